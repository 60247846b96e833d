package transfer

import (
	"net/netip"
	"time"

	"sharer/chunk"
)

// Look is one look at a running download.
type Look struct {
	ID          chunk.ID
	Done, Total int64 // bytes of content; Total is -1 while it is not known
	Stats       Stats
	Sources     []SourceLook
}

// SourceLook is a peer as one download sees it.
type SourceLook struct {
	Addr     netip.AddrPort
	InFlight int           // bytes on the wire that the answers are expected to take which are out and not given up
	Window   int           // bytes that were allowed at most since anything of that was asked
	RTT      time.Duration // smoothed, 0: not measured
	Gave     int64         // blocks of it that were written
	Excluded bool          // it lied: not asked any more
}

// Looks returns a look at each running download, in no order. It waits until
// their loops have time, or have ended.
func (ds *Downloads) Looks() []Look {
	var looks []Look
	for _, d := range ds.all() {
		answer := make(chan Look, 1)
		select {
		case d.looks <- answer:
			looks = append(looks, <-answer)
		case <-d.ended:
		}
	}
	return looks
}

// look is called by the loop.
func (d *Download) look() Look {
	l := Look{ID: d.cfg.ID, Done: d.cfg.File.DoneBytes(), Total: d.size, Stats: d.stats}
	for _, s := range d.sources {
		l.Sources = append(l.Sources, SourceLook{
			Addr: s.addr, InFlight: s.flights.bytes, Window: max(s.granted, s.control.window()), RTT: s.rtt.Smoothed(),
			Gave: s.gave, Excluded: s.excluded,
		})
	}
	return l
}
