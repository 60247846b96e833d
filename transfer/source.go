package transfer

import (
	"net/netip"
	"time"

	"sharer/chunk"
	"sharer/swarm"
)

// Bounds of what one download keeps about peers.
const (
	maxSources  = 200 // over a download's life; the index fits a byte
	maxAsked    = 64  // peers asked at a time
	maxHeard    = 32  // addresses taken from one peer's hints
	strikes     = 3   // bad blocks or pieces until a peer is not asked any more
	shortsLimit = 16  // answers in a row that were neither a block nor the tail
)

// source is one peer as this download sees it. Owned by the download's loop.
type source struct {
	slot uint8
	addr netip.AddrPort
	via  uint8

	window  window
	flights flights
	rtt     swarm.RTT

	answers bool  // it sent content for this id at least once
	claim   int64 // the size it says, -1: none
	sworn   bool  // claim came in a datagram with our cookie
	reach   reach
	current int64 // stripe it is working on, -1: none

	badSure  int  // of bad, those that came with its cookie
	bad      int  // blocks and pieces that contradicted the id
	short    int  // short answers in a row
	excluded bool // lied: not asked again by this download

	gave  int64 // blocks of it that were written
	solos int   // sha256: turns at giving the whole alone

	silent   int           // timeouts in a row
	nextAsk  time.Time     // not asked before, while it is silent or has nothing
	lastOut  time.Time     // last timeout
	idle     time.Duration // how long it was left alone last time
	lastSent time.Time
	probe    int64     // offset at which little was asked, to learn size and ranges; -1: none
	polled   time.Time // when it last said what it holds without being of use
	lastGot  time.Time // when something of use came
	heard    int       // addresses taken from its hints
	nones    int       // MaybeTheyHaveSome in a row without content
	noTree   int       // requests for pieces of the tree in a row that it left unanswered
}

func newSource(slot uint8, addr netip.AddrPort, capacity int) *source {
	return &source{
		slot: slot, addr: addr, claim: -1, current: -1, probe: -1,
		window: newWindow(capacity), flights: newFlights(), rtt: swarm.RTT{Floor: rtoFloor},
	}
}

// usable says whether blocks may be asked at size: it answers, claims this very
// size, and has not lied. A peer that says no size is asked only once the size
// is proven.
func (s *source) usable(size int64, proven bool) bool {
	return s.answers && !s.excluded && (s.claim == size || s.claim < 0 && proven)
}

// rtoFloor is what a busy machine may take to answer beyond its deviation.
const rtoFloor = 50 * time.Millisecond

// rto is how long an answer may take. It doubles with each timeout in a row, from
// one second on until a round trip was measured (RFC 6298 section 2).
func (s *source) rto() time.Duration {
	rto := swarm.RTODefault
	if s.rtt.Smoothed() > 0 {
		rto = s.rtt.RTO()
	}
	return min(rto<<min(s.silent, 6), swarm.RTOCeiling)
}

// quiet says that a peer has let two timeouts pass: one may be a lost tail, two in a
// row mean that the path or the peer is in trouble.
func (s *source) quiet() bool { return s.silent >= 2 }

// reorder is by how much answers may overtake one another before the slower
// counts as lost: RFC 8985 takes a quarter of the round trip.
func (s *source) reorder() time.Duration {
	return max(s.rtt.Smoothed()/4, 2*time.Millisecond)
}

// setHave replaces what the peer says it holds, in bytes; nil: not said, so
// what it said before stays.
func (s *source) setHave(have []chunk.Range, size int64) {
	if have == nil {
		return
	}
	blocks := make([]chunk.Range, 0, len(have))
	for _, h := range have {
		from := (h.From + chunk.BlockSize - 1) / chunk.BlockSize
		to := h.To / chunk.BlockSize
		if h.To >= size {
			to = (size + chunk.BlockSize - 1) / chunk.BlockSize
		}
		if from < to {
			blocks = append(blocks, chunk.Range{From: from, To: to})
		}
	}
	s.reach = reach{have: blocks}
}

// timedOut is told that requests were given up for their age, at most once for
// each timeout.
func (s *source) timedOut(now time.Time) {
	rto := s.rto()
	if now.Sub(s.lastOut) < rto {
		return
	}
	s.lastOut = now
	s.silent++
	s.current = -1
	if s.quiet() {
		s.window.timeout(now, rto)
	}
}
