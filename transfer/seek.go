package transfer

import (
	"time"

	"sharer/chunk"
)

// pollBytes is what is asked of a peer to learn the size and what it holds.
const pollBytes = 64

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
		s.probe = 0
		also := d.alsoID != nil && s.seeks%2 == 1 // the one hash, then the other
		s.seeks++
		if d.send(s, request{}, flight{n: int32(d.firstLength(s)), also: also}, d.padFor(s), now) {
			most := 30 * time.Second
			if d.cfg.Peers.Proven(s.addr) {
				most = 4 * time.Second
			}
			s.idle = min(max(2*s.idle, time.Second), most)
			s.nextAsk = now.Add(s.idle)
		} else {
			s.nextAsk = now.Add(idleWait)
		}
	}
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
