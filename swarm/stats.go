package swarm

import (
	"errors"
	"sync/atomic"

	"sharer/wire"
)

// DropReason is why a datagram that came in was not handled.
type DropReason uint8

// The reasons.
const (
	DropNotArray DropReason = iota // wire.ErrNotArray and every other error of Split
	DropTooLarge
	DropTooDeep
	DropAddress // from an address that no peer can have
	DropSelf    // from ourselves
	DropBanned
	DropBusy // a bounded queue of the receiver was full
	numDrops
)

var dropNames = [numDrops]string{"not an array", "too large", "too deep", "address", "self", "banned", "busy"}

func (r DropReason) String() string {
	if r < numDrops {
		return dropNames[r]
	}
	return "unknown"
}

// DropFor is the reason for an error of wire.Split.
func DropFor(err error) DropReason {
	switch {
	case errors.Is(err, wire.ErrTooLarge):
		return DropTooLarge
	case errors.Is(err, wire.ErrTooDeep):
		return DropTooDeep
	}
	return DropNotArray
}

type counts struct {
	in, handled    atomic.Uint64
	dropped        [numDrops]atomic.Uint64
	out            [numReasons]atomic.Uint64
	outBytes       atomic.Uint64
	outWire        [numReasons]atomic.Uint64
	inWire         atomic.Uint64
	refused        [numRefusals]atomic.Uint64
	sendErrors     [numFaults]atomic.Uint64
	resent         atomic.Uint64
	cookiesRefused atomic.Uint64
	cookiesWrong   atomic.Uint64
}

// Stats is one look at the counters. Where nothing is in flight, In = Handled + the sum of
// Dropped.
type Stats struct {
	In, Handled    uint64             // datagrams
	Dropped        [numDrops]uint64   // datagrams, by DropReason
	Out            [numReasons]uint64 // datagrams that the socket took, by Reason
	OutBytes       uint64             // payload bytes of them
	OutWire        [numReasons]uint64 // bytes of them with wire.HeaderBytes each, by Reason
	InWire         uint64             // the same of what came in, as far as ReceivedBatch was told
	Refused        [numRefusals]uint64
	SendErrors     uint64            // datagrams that the socket refused
	Faults         [numFaults]uint64 // the same, by Fault
	Resent         uint64            // datagrams that the socket took at the second try
	CookiesRefused uint64            // of others: larger than 256 bytes
	CookiesWrong   uint64            // datagrams with an AlwaysReturned that is not ours
}

// DroppedAll is the sum of Dropped.
func (s Stats) DroppedAll() (n uint64) {
	for _, d := range s.Dropped {
		n += d
	}
	return n
}

// Received counts n datagrams that were read, for those who know no more of them than that; see
// ReceivedBatch. Each of them must get to Admit, or to Dropped.
func (g *Gate) Received(n int) { g.counts.in.Add(uint64(n)) }

// Dropped counts a datagram that does not get to Admit.
func (g *Gate) Dropped(r DropReason) { g.counts.dropped[r].Add(1) }

// Stats copies the counters. In is read last, so that it is never the smaller side of the sum.
func (g *Gate) Stats() (s Stats) {
	c := &g.counts
	for i := range s.Dropped {
		s.Dropped[i] = c.dropped[i].Load()
	}
	for i := range s.Out {
		s.Out[i] = c.out[i].Load()
	}
	for i := range s.Refused {
		s.Refused[i] = c.refused[i].Load()
	}
	s.OutBytes = c.outBytes.Load()
	for i := range s.OutWire {
		s.OutWire[i] = c.outWire[i].Load()
	}
	s.InWire = c.inWire.Load()
	for i := range s.Faults {
		s.Faults[i] = c.sendErrors[i].Load()
		s.SendErrors += s.Faults[i]
	}
	s.Resent = c.resent.Load()
	s.CookiesRefused = c.cookiesRefused.Load()
	s.CookiesWrong = c.cookiesWrong.Load()
	s.Handled = c.handled.Load()
	s.In = c.in.Load()
	return s
}
