package transfer

import (
	"time"

	"sharer/chunk"
)

// pollBytes is what is asked of a peer to learn the size and what it holds.
const pollBytes = 64

// evenSeeks is how often a peer is asked each second before it is left alone for longer and longer. The gate knows whom that is too much for.
const evenSeeks = 3

// seek asks peers that have not answered yet whether they have it.
func (d *Download) seek(now time.Time) {
	asked := 0
	for _, s := range d.sources {
		if s.excluded || asked >= maxAsked {
			continue
		}
		if s.answers && (!s.also || d.proven) {
			d.poll(s, now)
			continue
		}
		if s.flights.live > 0 || now.Before(s.nextAsk) {
			continue
		}
		asked++
		if ok, next := d.cfg.Peers.MayRequest(s.addr, now); !ok {
			s.nextAsk = orLater(next, now)
			continue
		}
		also := d.alsoID != nil && s.seeks%2 == 1 // the one hash, then the other
		s.probe = d.probeOf(s) * chunk.BlockSize
		s.seeks++
		if d.send(s, request{at: s.probe}, flight{n: int32(d.firstLength(s)), also: also}, d.padFor(s), now) {
			most := 30 * time.Second
			if d.cfg.Peers.Proven(s.addr) {
				most = 4 * time.Second
			}
			if s.idle = max(s.idle, time.Second); s.seeks > evenSeeks {
				s.idle = min(2*s.idle, most)
			}
			s.nextAsk = now.Add(s.idle)
		} else {
			s.nextAsk = now.Add(idleWait)
		}
	}
}

// probeBits bounds which block is asked for while the size is not known: the one behind 16 MiB at most.
const probeBits = 12

// probeOf is the block that a peer is asked for that has not answered yet: the first, which is there whatever the size is, and then two
// times of three any other. Who fetches the content may lack the one, and have all others.
func (d *Download) probeOf(s *source) int64 {
	turn := s.seeks
	if d.alsoID != nil {
		turn /= 2 // each is asked for under both hashes
	}
	switch {
	case turn%3 == 0:
		return 0
	case d.size > 0:
		return d.cfg.Rand.Int64N(d.pick.blocks)
	}
	return 1 << (7 * turn % (probeBits + 1)) // of small and large contents alike
}

// firstLength is how much a peer is asked for that has not answered yet: the
// first few for a block, so that a small content needs no second question, the
// others for just enough to learn the size and what they hold. Who does not answer
// that is not asked so again: a way that eats fragments eats such answers.
func (d *Download) firstLength(s *source) int {
	if d.size < 0 && d.stats.Requests < 3 && s.seeks == 1 && !s.length.short {
		return chunk.BlockSize
	}
	return pollBytes
}

func (d *Download) padFor(s *source) int {
	if d.cfg.Peers.Proven(s.addr) {
		return 0
	}
	return unprovenPad
}
