package netsim

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"sharer/wire"
)

// Sockets is what [Faulty] wraps: simulated or real ones.
type Sockets interface {
	Readers() []wire.BatchReader
	WriteBatch(ds []wire.Datagram) (n int, err error)
	LocalAddrs() []netip.AddrPort
	Close() error
}

var (
	_ Sockets = (*Conn)(nil)
	_ Sockets = (*Faulty)(nil)
)

// Fault is what happens to some of the datagrams that are written.
type Fault struct {
	To    netip.Prefix // only what goes there; invalid: anywhere
	Above int          // only datagrams of more bytes; 0: of any size

	Skip  int // so many of these datagrams pass first
	Every int // then each so-manieth is hit, the first at once; 0: each
	Times int // until so many were hit; 0: for ever

	// Err comes from WriteBatch for the datagram, which is not sent, after those before it in the batch were: syscall.ENOBUFS, EAGAIN,
	// EPERM, ENETUNREACH, EMSGSIZE, EIO and so on. nil is a short write: those before it are sent and counted, and there is no error;
	// the first of a batch is never hit by that, as a write of nothing would not be short but stuck.
	Err error

	// Bounce sends the datagram, and has the reader of its socket (Via, or the first) return Err instead: an ICMP message
	// comes back, such as syscall.ECONNREFUSED where nobody listens.
	Bounce bool
}

// Rule is a fault at work.
type Rule struct {
	fault Fault
	seen  int // datagrams that it is for
	hits  atomic.Int64
}

// Hits is how many datagrams it was that this rule hit.
func (r *Rule) Hits() int { return int(r.hits.Load()) }

// FaultyCounts is what happened to a [Faulty]. Of datagrams that were asked to be written, Written went to the socket, Refused had an
// error, and the rest stood behind one or behind a short write.
type FaultyCounts struct {
	Written, Refused int
	Short            int // writes without a reason
	Bounced          int // errors that reads are to return
	Unread           int // of these, dropped as too many were waiting
}

// bounces is how many errors wait for a reader. A system keeps one to a few; what is beyond is dropped.
const bounces = 16

// Faulty is sockets that fail by script. It counts what it does; errors of the sockets themselves pass.
// Each reader has a goroutine, which ends with Close.
type Faulty struct {
	under   Sockets
	readers []*faultyReader
	running sync.WaitGroup

	mu     sync.Mutex
	rules  []*Rule
	counts FaultyCounts
}

// NewFaulty wraps sockets, which are closed with it. Without a fault they behave as they do.
func NewFaulty(under Sockets) *Faulty {
	f := &Faulty{under: under}
	for _, r := range under.Readers() {
		fr := &faultyReader{
			under: r, ask: make(chan struct{}, 1), got: make(chan batch, 1), errs: make(chan error, bounces), done: make(chan struct{}),
		}
		f.readers = append(f.readers, fr)
		f.running.Go(fr.run)
	}
	return f
}

// Add puts a rule to work, after those that are at work. Of each datagram the first rule that hits it decides; later ones do not see it.
func (f *Faulty) Add(fault Fault) *Rule {
	r := &Rule{fault: fault}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, r)
	return r
}

// Remove ends a rule.
func (f *Faulty) Remove(r *Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = slices.DeleteFunc(f.rules, func(o *Rule) bool { return o == r })
}

// FailRead has the next read of a socket return an error, a waiting one at once. Sockets count from 1, as Via does.
func (f *Faulty) FailRead(via uint8, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bounceLocked(via, err)
}

// Counts returns what happened so far.
func (f *Faulty) Counts() FaultyCounts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}

// WriteBatch sends the datagrams up to the first that a fault hits.
func (f *Faulty) WriteBatch(ds []wire.Datagram) (int, error) {
	pass, back, failed := f.judge(ds)
	n, err := f.under.WriteBatch(ds[:pass])
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts.Written += n
	for _, b := range back {
		if b.index < n {
			b.rule.hits.Add(1)
			f.bounceLocked(ds[b.index].Via, b.rule.fault.Err)
		}
	}
	if err != nil || n < pass || failed == nil {
		return n, err
	}
	failed.hits.Add(1)
	if failed.fault.Err == nil {
		f.counts.Short++
		return n, nil
	}
	f.counts.Refused++
	return n, fmt.Errorf("write to %s: %w", ds[n].Addr, failed.fault.Err)
}

// bounced is a datagram that is sent, and to which an error answers.
type bounced struct {
	index int
	rule  *Rule
}

// judge returns how many datagrams pass, to which of them errors answer, and what stops the next.
func (f *Faulty) judge(ds []wire.Datagram) (pass int, back []bounced, failed *Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range ds {
		for _, r := range f.rules {
			if !r.hit(&ds[i], i == 0) {
				continue
			}
			if !r.fault.Bounce {
				return i, back, r
			}
			back = append(back, bounced{i, r})
			break
		}
	}
	return len(ds), back, nil
}

// hit reports whether a rule hits a datagram, the first of its batch or not, and counts it.
func (r *Rule) hit(d *wire.Datagram, first bool) bool {
	ft := &r.fault
	if ft.To.IsValid() && !ft.To.Contains(plain(d.Addr.Addr())) || ft.Above > 0 && len(d.Data) <= ft.Above || ft.Err == nil && first {
		return false
	}
	r.seen++
	k := r.seen - 1 - ft.Skip
	every := max(ft.Every, 1)
	return k >= 0 && k%every == 0 && (ft.Times <= 0 || k/every < ft.Times)
}

func (f *Faulty) bounceLocked(via uint8, err error) {
	i := max(int(via)-1, 0)
	if i >= len(f.readers) || err == nil {
		return
	}
	f.counts.Bounced++
	select {
	case f.readers[i].errs <- err:
	default:
		f.counts.Unread++
	}
}

// Readers returns one for each of the sockets.
func (f *Faulty) Readers() []wire.BatchReader {
	var out []wire.BatchReader
	for _, r := range f.readers {
		out = append(out, r)
	}
	return out
}

// LocalAddrs are those of the sockets.
func (f *Faulty) LocalAddrs() []netip.AddrPort { return f.under.LocalAddrs() }

// Prefixes are those of the sockets, if they know any.
func (f *Faulty) Prefixes() []netip.Prefix {
	if lan, ok := f.under.(interface{ Prefixes() []netip.Prefix }); ok {
		return lan.Prefixes()
	}
	return nil
}

// AnnounceTo is that of the sockets, if they have any.
func (f *Faulty) AnnounceTo() []netip.Addr {
	if lan, ok := f.under.(interface{ AnnounceTo() []netip.Addr }); ok {
		return lan.AnnounceTo()
	}
	return nil
}

// RecvBuffer is that of the sockets in bytes, if they say.
func (f *Faulty) RecvBuffer() int {
	if b, ok := f.under.(interface{ RecvBuffer() int }); ok {
		return b.RecvBuffer()
	}
	return receiveBuffer
}

// Close closes the sockets and waits for the goroutines.
func (f *Faulty) Close() error {
	err := f.under.Close()
	for _, r := range f.readers {
		r.once.Do(func() { close(r.done) })
	}
	f.running.Wait()
	return err
}
