package transfer

import (
	"net/netip"
	"time"

	"sharer/chunk"
	"sharer/swarm"
	"sharer/wire"
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
	near bool // on this machine: datagrams of any length pass whole
	via  uint8

	control     control
	pacer       pacer
	saving      bool // its window was full, and no lump of it is free yet: see savesUp
	flights     flights
	parts       parts
	length      length
	least       time.Duration // the smallest round trip seen, 0: none
	rtt         swarm.RTT
	raw         rawness
	each        eachness
	extra       int           // bytes of an answer beyond its content as it is encoded, headers included; learned
	granted     int           // the largest window while any request that is out was sent
	overtaken   time.Duration // by how much answers have come after such that were asked for later
	overtakenAt time.Time
	dry         bool // there was nothing to ask it for, though it might have been asked
	proven      bool // its address is, as of the plan that is made
	slow        bool // its answers take much longer than those of the best

	doubted time.Time // when an answer of it came without our cookie, before any with it; zero: never
	vouched bool      // an answer of it came with our cookie: one without is not its own
	bare    bool      // it returns no cookie with its answers
	also    bool      // it is asked by the other hash of the content
	answers bool      // it sent content for this id at least once
	claim   int64     // the size it says, -1: none
	sworn   bool      // claim came in a datagram with our cookie
	reach   reach
	front   front
	run     run
	asked   bool  // in a crowd: it is one of the few that are asked now
	cameBy  int64 // of came, by the crowd's last turn

	badSure  int  // of bad, those that came with its cookie
	bad      int  // blocks and pieces that contradicted the id
	short    int  // short answers in a row
	excluded bool // lied: not asked again by this download

	gave   int64 // blocks of it that were written
	came   int64 // blocks of it that came
	judged int64 // of them, those that were checked
	solos  int   // sha256: turns at giving the whole alone

	silent   int           // timeouts in a row
	answered time.Time     // when it last answered anything
	nextAsk  time.Time     // not asked before, while it is silent or has nothing
	lastOut  time.Time     // last timeout
	idle     time.Duration // how long it was left alone last time
	seeks    int           // times it was asked whether it has any
	lastSent time.Time
	lostPart time.Time // when a part was last lost
	twiceAt  time.Time // when it was last looked what another was asked for and is worth asking it too
	probe    int64     // offset at which little was asked, to learn size and ranges; -1: none
	polled   time.Time // when it last said what it holds without being of use
	lastGot  time.Time // when something of use came
	heard    int       // addresses taken from its hints
	nones    int       // MaybeTheyHaveSome in a row without content
	noTree   int       // requests for pieces of the tree in a row that it left unanswered
}

func newSource(slot uint8, addr netip.AddrPort, c control) *source {
	return &source{
		slot: slot, addr: addr, near: addr.Addr().IsLoopback(), claim: -1, run: noRun, probe: -1, extra: answerOverhead,
		control: c, flights: newFlights(), rtt: swarm.RTT{Floor: rtoFloor},
	}
}

// cost is how many bytes of the wire an answer with n bytes of content takes.
func (s *source) cost(n int) int { return s.encoded(n) + s.extra }

// learnCost is told how long a datagram with n bytes of content was.
func (s *source) learnCost(n, datagram int) {
	extra := datagram + wire.HeaderBytes - s.encoded(n)
	s.extra = min(max((7*s.extra+extra)/8, 64), 1500)
}

// usable says whether blocks may be asked at size: it answers, claims this very
// size, and has not lied. A peer that says no size, or knows the content by its sha256 only and
// so has no tree, is asked only once the size is proven.
func (s *source) usable(size int64, proven bool) bool {
	return s.answers && !s.excluded && (!s.also || proven) && (s.claim == size || s.claim < 0 && proven)
}

// rtoFloor is what an answer may take beyond the round trips before: an uploader at
// its limit queues from one moment to the next. Losses between other answers are found
// sooner, by order; this is Linux's bound for TCP.
const rtoFloor = 200 * time.Millisecond

// tailFloor is what timers and the other side's processor may add to a round trip.
const tailFloor = 10 * time.Millisecond

// How long a peer that has fallen silent is left alone between two requests. For
// contactSpan it may be a shadow on the path that ends any time; after that, longer and
// longer, as RFC 8085 section 3.1.3 has it.
const (
	contactSpan = 10 * time.Second
	contactGap  = 480 * time.Millisecond // so that half a second and a round trip after the shadow it is over
	silentGap   = 30 * time.Second
)

// rto is how long an answer may take (RFC 6298 section 2): one second until a round
// trip was measured. With each timeout in a row it doubles, bounded by how long the peer
// has been silent. Questions to one that never answered are spaced by seek.
func (s *source) rto(now time.Time) time.Duration {
	rto := swarm.RTODefault
	if rtt := s.rtt.Smoothed(); rtt > 0 {
		rto = max(s.rtt.RTO(), rtt+min(rtt/2, rtoFloor))
	}
	gap := contactGap
	if silence := now.Sub(s.answered); !s.answered.IsZero() && silence >= contactSpan {
		gap = min(silence/2, silentGap)
	}
	return max(rto, min(rto<<min(s.silent, 10), gap))
}

// waits are how long answers are waited for. What nothing follows cannot be found lost by order: at the end of a download it is asked
// for again once it is clearly late (the probe for a lost tail of RFC 8985), without the margin that rtoFloor gives.
func (s *source) waits(now time.Time) waits {
	w := waits{reorder: s.reorder(), rto: s.rto(now), memory: lateMemory}
	if rtt := s.rtt.Smoothed(); s.dry && rtt > 0 {
		w.tail = rtt + max(4*s.rtt.Var(), w.reorder, tailFloor)
	}
	return w
}

// quiet says that a peer has let two timeouts pass: one may be a lost tail, two in a
// row mean that the path or the peer is in trouble.
func (s *source) quiet() bool { return s.silent >= 2 }

// reorder is by how much answers may overtake one another before the slower
// counts as lost: RFC 8985 takes a quarter of the round trip, and more where answers
// have come that had been given up.
func (s *source) reorder() time.Duration {
	return max(s.rtt.Smoothed()/4, 2*time.Millisecond, s.overtaken)
}

// outcome notes that a request was answered or lost. While too much is asked for, to find out how fast the path is, that tells nothing of
// fragments.
func (s *source) outcome(now time.Time, long, lost bool) {
	fits := s.control.fits()
	if !s.length.unsure() || fits > 0 {
		s.length.few = fits > 0 && fits < fewLong*s.cost(chunk.BlockSize)
		s.length.outcome(now, long, lost)
	}
}

// cameLate is told of an answer that had been given up: by how much others that were
// asked for later have overtaken it is what may happen again.
func (s *source) cameLate(fl flight, now time.Time) {
	s.overtaken = max(s.overtaken, min(5*s.flights.newest.Sub(fl.first)/4, time.Second))
	s.overtakenAt = now
}

// trip is told of an answer and samples its round trip. It says whether it answers an
// earlier request for the same, which had been given up: it came sooner after the
// latest one than anything comes (Eifel's question, RFC 3522, without its timestamp).
func (s *source) trip(fl flight, now time.Time) (earlier bool) {
	rtt := now.Sub(fl.sent)
	switch {
	case !fl.stamp.again:
		s.rtt.Sample(rtt)
		if s.least == 0 || rtt < s.least {
			s.least = rtt
		}
	case rtt < s.least-s.least/4:
		s.rtt.Sample(now.Sub(fl.first))
		return true
	}
	return fl.lost
}

// calmAfter is how long no answer must have come late until that is forgotten.
const calmAfter = 10 * time.Second

// blocksOf turns byte ranges that a peer says it holds into ranges of whole blocks. They may lie anywhere up to the largest number:
// what begins behind the end is left out.
func blocksOf(have []chunk.Range, size int64) []chunk.Range {
	blocks := make([]chunk.Range, 0, len(have))
	for _, h := range have {
		if h.From >= size {
			continue
		}
		from := (h.From + chunk.BlockSize - 1) / chunk.BlockSize
		to := h.To / chunk.BlockSize
		if h.To >= size {
			to = (size + chunk.BlockSize - 1) / chunk.BlockSize
		}
		if from < to {
			blocks = append(blocks, chunk.Range{From: from, To: to})
		}
	}
	return blocks
}
