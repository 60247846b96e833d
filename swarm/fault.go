package swarm

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Fault is what kind of error a socket gave for a datagram.
type Fault uint8

// The faults, and what a Batch does about them.
const (
	FaultOther       Fault = iota
	FaultBusy              // ENOBUFS, EAGAIN, ENOMEM: a queue of the system is full. Tried again after the rest of the batch: at once it would meet the same queue
	FaultDevice            // EIO: such as an offload that the device does not do, which the socket has switched off by now. Tried again at once
	FaultEarlier           // ECONNREFUSED, ECONNRESET: what ICMP said of an earlier datagram; this one was not even tried. Tried again at once
	FaultForbidden         // EPERM, EACCES: a firewall
	FaultUnreachable       // ENETUNREACH, EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL, EAFNOSUPPORT: no way there now
	FaultTooLarge          // EMSGSIZE: the sender should say less at a time to this peer
	FaultClosed            // the socket is closed: nothing else is tried
	numFaults
)

var faultNames = [numFaults]string{"other", "busy", "device", "earlier", "forbidden", "unreachable", "too large", "closed"}

func (f Fault) String() string {
	if f < numFaults {
		return faultNames[f]
	}
	return "unknown"
}

// faultErrors are looked through in order.
var faultErrors = []struct {
	err   error
	fault Fault
}{
	{net.ErrClosed, FaultClosed},
	{syscall.EMSGSIZE, FaultTooLarge},
	{syscall.ENOBUFS, FaultBusy}, {syscall.EAGAIN, FaultBusy}, {syscall.ENOMEM, FaultBusy},
	{syscall.EIO, FaultDevice},
	{syscall.ECONNREFUSED, FaultEarlier}, {syscall.ECONNRESET, FaultEarlier},
	{syscall.EPERM, FaultForbidden}, {syscall.EACCES, FaultForbidden},
	{syscall.ENETUNREACH, FaultUnreachable}, {syscall.EHOSTUNREACH, FaultUnreachable}, {syscall.ENETDOWN, FaultUnreachable},
	{syscall.EADDRNOTAVAIL, FaultUnreachable}, {syscall.EAFNOSUPPORT, FaultUnreachable},
}

// FaultOf classifies an error of a Conn.
func FaultOf(err error) Fault {
	for _, f := range faultErrors {
		if errors.Is(err, f.err) {
			return f.fault
		}
	}
	return FaultOther
}

// SendError is a datagram that the socket refused, and refused again where that is worth a second
// try; errors.Is sees through to the cause, such as syscall.EMSGSIZE.
type SendError struct {
	To    netip.AddrPort
	Size  int // bytes of payload
	Why   Reason
	Fault Fault
	Err   error
}

func (e *SendError) Error() string {
	return fmt.Sprintf("send %d bytes to %s: %v", e.Size, e.To, e.Err)
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// errNothingTaken stands in for the reason that a Conn did not give.
var errNothingTaken = errors.New("the socket took nothing")

// flush sends the queue. It returns the first error; Failed hears of each.
func (b *Batch) flush() (first error) {
	again := b.again[:0]
	fail := func(i int, f Fault, err error) {
		e := b.failed(i, f, err)
		if first == nil {
			first = e
		}
	}
	for i := 0; i < len(b.queue); {
		n, err := b.write(i, len(b.queue))
		if i += n; i >= len(b.queue) || n > 0 && err == nil { // a short write without a reason: go on
			continue
		}
		f := FaultOf(err)
		if f == FaultDevice || f == FaultEarlier {
			if n, err = b.write(i, i+1); n == 1 {
				b.gate.counts.resent.Add(1)
				i++
				continue
			}
			f = FaultOf(err)
		}
		switch f {
		case FaultClosed:
			for ; i < len(b.queue); i++ {
				fail(i, f, err)
			}
		case FaultBusy:
			again = append(again, i)
			i++
		default:
			fail(i, f, err)
			i++
		}
	}
	for _, i := range again {
		if n, err := b.write(i, i+1); n == 1 {
			b.gate.counts.resent.Add(1)
		} else {
			fail(i, FaultOf(err), err)
		}
	}
	b.queue, b.whys, b.used = b.queue[:0], b.whys[:0], 0
	return first
}

// write hands the queue from i to j to the socket, and counts what it took.
func (b *Batch) write(i, j int) (n int, err error) {
	n, err = b.gate.conn.WriteBatch(b.queue[i:j])
	if n == 0 && err == nil {
		err = errNothingTaken
	}
	b.left(i, n)
	return n, err
}

func (b *Batch) failed(i int, f Fault, err error) *SendError {
	b.gate.counts.sendErrors[f].Add(1)
	d := &b.queue[i]
	e := &SendError{To: d.Addr, Size: len(d.Data), Why: b.whys[i], Fault: f, Err: err}
	if b.Failed != nil {
		b.Failed(e)
	}
	return e
}
