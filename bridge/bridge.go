package bridge

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sharer/identity"
	"sharer/wire"
)

const (
	maxPages    = 64               // 64 × (1 MiB queued + 256 KiB being read) = 80 MiB
	maxOfOrigin = 16               // pages of one origin
	maxPurses   = 256              // origins that are remembered, some 300 bytes each
	keepPurse   = time.Minute      // after its last page left: reconnecting gains nothing
	lookFor     = 20 * time.Second // how long a letter waits for its receiver
)

// Errors of who would be a guest.
var (
	ErrFull   = errors.New("too many pages are connected: close one")
	ErrClosed = errors.New("the node is closing")
)

// Config says what a bridge stands between.
type Config struct {
	Key       identity.PublicKey // of the local node: pages are greeted with it
	Node      Node
	Directory Directory
}

// Bridge passes letters between guests and the swarm. Its methods are safe for concurrent use.
type Bridge struct {
	c        Config
	ctx      context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup
	present  atomic.Pointer[[]*guest] // replaced whole under mu: arrivals take no lock
	counts   counts
	programs *programs

	mu        sync.Mutex
	purses    map[string]*purse
	pages     int
	unobserve func() // nil: nobody listens
	closing   bool
}

// counts are what was done, and what was not.
type counts struct{ sent, failed, refused, poor, ignored, shed, slow atomic.Int64 }

// Stats is a copy of the counters.
type Stats struct {
	Pages, Programs int
	Sent            int64 // letters that left
	Failed          int64 // letters that the node could not send
	Refused         int64 // letters to an address that the guest may not send to, or with what is not sent on
	Poor            int64 // letters beyond the budget of their origin
	Ignored         int64 // arrays and elements that are none, or not for a guest to say
	Shed            int64 // news of an arrival that one guest was not told, each guest counted
	Slow            int64 // pages that were closed because they did not keep up
}

// New returns a bridge. It starts nothing before the first guest comes.
func New(c Config) *Bridge {
	b := &Bridge{c: c, purses: map[string]*purse{}}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.present.Store(&[]*guest{})
	b.programs = newPrograms(b)
	return b
}

// Stats returns what was done so far.
func (b *Bridge) Stats() Stats {
	b.mu.Lock()
	pages := b.pages
	b.mu.Unlock()
	c := &b.counts
	return Stats{
		Pages: pages, Programs: b.programs.len(time.Now()), Sent: c.sent.Load(), Failed: c.failed.Load(), Refused: c.refused.Load(),
		Poor: c.poor.Load(), Ignored: c.ignored.Load(), Shed: c.shed.Load(), Slow: c.slow.Load(),
	}
}

// Close ends all pages and waits for everything that the bridge started.
func (b *Bridge) Close() {
	b.mu.Lock()
	b.closing = true
	b.mu.Unlock()
	b.stop()
	b.wg.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unobserve != nil {
		b.unobserve()
		b.unobserve = nil
	}
}

// begin counts a goroutine that Close waits for, unless the bridge is closing.
func (b *Bridge) begin() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return ErrClosed
	}
	b.wg.Add(1)
	return nil
}

// purseLocked is the purse of an origin. Those without guests for a minute make room.
func (b *Bridge) purseLocked(origin string, now time.Time) (*purse, error) {
	p := b.purses[origin]
	if p == nil {
		if len(b.purses) >= maxPurses {
			for o, old := range b.purses {
				if old.guests == 0 && now.Sub(old.used) > keepPurse {
					delete(b.purses, o)
				}
			}
			if len(b.purses) >= maxPurses {
				return nil, ErrFull
			}
		}
		p = newPurse()
		b.purses[origin] = p
	}
	return p, nil
}

// join tells a guest of what arrives from now on.
func (b *Bridge) join(g *guest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := append(slices.Clone(*b.present.Load()), g)
	b.present.Store(&all)
	if b.unobserve == nil && !b.closing {
		b.unobserve = b.c.Node.Observe(b.arrived)
	}
}

// leave ends that.
func (b *Bridge) leave(g *guest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(*b.present.Load()), func(o *guest) bool { return o == g })
	b.present.Store(&all)
	if len(all) == 0 && b.unobserve != nil {
		b.unobserve()
		b.unobserve = nil
	}
}

// arrived tells all guests of an arrival. It is called on the receive path.
func (b *Bridge) arrived(a Arrival) {
	now := time.Now()
	if a.From.Addr().IsLoopback() && (b.programs.spoke(a.From, now) || says(a.Messages, wire.Forward{}.Name())) {
		return // what a program says to its node is nobody's business
	}
	clear := a.Key == [32]byte{} && bulk(a.Messages)
	var whole, rest []byte // as pages and as programs are told
	for _, g := range *b.present.Load() {
		if clear && !g.bulk.AllowN(now, len(a.Messages)) {
			b.counts.shed.Add(1)
			continue
		}
		text := &whole
		if g.out == b.programs.out {
			text = &rest
		}
		if *text == nil {
			messages := a.Messages
			if text == &rest {
				messages = withoutForwarded(messages)
			}
			if messages == nil {
				continue
			}
			*text = forwarded(&a, messages)
		}
		if !g.tell(&a, *text) {
			b.counts.shed.Add(1)
		}
	}
}

// said does what a guest says and returns the answer, nil for none. It waits for nothing but the node's socket.
func (b *Bridge) said(g *guest, text []byte) (answer []byte) {
	s, err := hear(text)
	if err != nil {
		b.counts.ignored.Add(1)
		return nil
	}
	b.counts.ignored.Add(int64(s.ignored))
	for _, l := range s.letters {
		b.forward(g, l)
	}
	if s.local == nil {
		return nil
	}
	return b.c.Node.HandleLocal(g.addr, s.local)
}

// forward sends a letter, if the guest may.
func (b *Bridge) forward(g *guest, l wire.Forward) {
	to := Recipient{Addr: clean(l.Src)}
	if !to.Addr.IsValid() {
		to = Recipient{Key: *l.To}
	}
	ok, empty := sendable(l.Messages)
	byAddr := to.Addr.IsValid()
	switch {
	case !ok, byAddr && !g.heard.has(to.Addr) && !b.c.Directory.Proven(to.Addr):
		b.counts.refused.Add(1)
	case empty:
	case !g.purse.take(time.Now(), len(l.Messages)):
		b.counts.poor.Add(1)
	case byAddr && b.c.Directory.Proven(to.Addr) || !byAddr && b.c.Directory.Known(to.Key):
		b.send(b.ctx, to, l)
	default:
		b.errand(g, to, l)
	}
}

func (b *Bridge) send(ctx context.Context, to Recipient, l wire.Forward) {
	if err := b.c.Node.Forward(ctx, to, l.Messages, l.Sign); err != nil {
		b.counts.failed.Add(1)
		return
	}
	b.counts.sent.Add(1)
}

// errand sends a letter to a key that must be looked for first, or to an address that must prove itself. The guest
// goes on meanwhile.
func (b *Bridge) errand(g *guest, to Recipient, l wire.Forward) {
	select {
	case g.purse.errands <- struct{}{}:
	default:
		b.counts.poor.Add(1)
		return
	}
	if b.begin() != nil {
		<-g.purse.errands
		return
	}
	l.Messages = slices.Clone(l.Messages)
	go func() {
		defer b.wg.Done()
		defer func() { <-g.purse.errands }()
		ctx, cancel := context.WithTimeout(b.ctx, lookFor)
		defer cancel()
		b.send(ctx, to, l)
	}()
}

// clean is the one form in which addresses are compared: IPv4 is plain, and only what is link-local has a zone.
func clean(a netip.AddrPort) netip.AddrPort {
	ip := a.Addr().Unmap()
	if ip.Zone() != "" && !ip.IsLinkLocalUnicast() {
		ip = ip.WithZone("")
	}
	return netip.AddrPortFrom(ip, a.Port())
}
