package transfer

import (
	"time"

	"sharer/chunk"
)

// lost is told that a request is not out any more and brought nothing of use. A part is
// asked for again, of the same peer; a whole by whoever comes first.
func (d *Download) lost(s *source, r request, fl flight) {
	if r.unit {
		s.lostUnit(r, fl)
		return
	}
	if fl.part {
		s.parts.lost(r)
		return
	}
	d.back(s, r)
	for at := int64(chunk.BlockSize); at < int64(fl.n); at += chunk.BlockSize {
		d.back(s, request{at: r.at + at}) // the rest of a run
	}
}

// back gives a block or piece to whoever comes first, s being done with it, and with it all blocks of
// the unit in which it is asked for.
func (d *Download) back(s *source, whole request) {
	u := s.parts.unit(whole)
	s.parts.drop(whole)
	switch {
	case whole.path:
		d.tree.lostSpan(whole.at)
	case whole.tree:
		d.tree.lost(whole.at)
	case u == nil:
		d.pick.lost(whole.at/chunk.BlockSize, d.inFlightElsewhere(s, whole))
	default:
		for b := range u.blocks {
			d.pick.lost(b.at/chunk.BlockSize, d.inFlightElsewhere(s, b))
		}
	}
}

// leaveUnits gives back what else was to come with units of s that have some of the blocks which s is to be asked for anew, as when
// another has brought one of them, and it was bad.
func (d *Download) leaveUnits(s *source, first request, size int) {
	for at := first.at; at < first.at+int64(size); at += chunk.BlockSize {
		u := s.parts.unit(request{at: at})
		if u == nil {
			continue
		}
		s.parts.drop(request{at: at})
		for b := range u.blocks {
			if b.at < first.at || b.at >= first.at+int64(size) {
				d.pick.lost(b.at/chunk.BlockSize, d.inFlightElsewhere(s, b))
			}
		}
	}
}

func (d *Download) inFlightElsewhere(s *source, r request) bool {
	for _, o := range d.sources {
		if o != s && (o.flights.hasWhole(r) || o.parts.unit(r) != nil) {
			return true
		}
	}
	return false
}

// hasNothing is told of a MaybeTheyHaveSome without content: of what was asked of a peer something is not there.
func (d *Download) hasNothing(s *source, a *arrival) {
	if s.flights.live == 0 {
		return
	}
	s.nones++
	s.silent = 0
	s.answered = a.at
	switch {
	case a.tree: // it has the content, or some of it, and not the tree
		s.noTree++
		d.giveUp(s, func(r request) bool { return r.tree })
		return
	case a.have == nil && !s.answers:
		d.giveUp(s, func(request) bool { return true })
		if next := a.at.Add(noneGap); s.nones <= noneTries && next.Before(s.nextAsk) {
			s.nextAsk = next
		}
		return
	case a.have == nil:
		d.lacksOne(s, a.at)
		return
	}
	s.answers = true
	s.polled = a.at
	if d.size < 0 {
		d.giveUp(s, func(request) bool { return true })
		return
	}
	// What it said before is not so: this is all that is known now.
	d.pick.rarity.lose(s.reach.have)
	s.reach, s.run = holding(), noRun
	d.pick.rarity.gain(s.reach.have, blocksOf(a.have, d.size))
	d.giveUp(s, func(r request) bool { return !r.tree && !s.reach.has(r.at/chunk.BlockSize) })
}

// Who knows of a content and lacks the block that it was asked for first may have others: it is asked for some, one after the other.
const (
	noneGap   = 300 * time.Millisecond
	noneTries = 12
)

// lacksOne is told that s, which gives content, has not one of the blocks that it was asked for. Which one, it does not say: what was asked
// first is answered first. Who says so many times in a row, or has given nothing else when all is answered, has no more at present.
func (d *Download) lacksOne(s *source, now time.Time) {
	if r, fl, ok := s.flights.giveUpFirst(); ok {
		s.front.lack(r.at/chunk.BlockSize, now)
		d.wakeAt(now.Add(frontIdle))
		d.lost(s, r, fl)
	}
	if s.nones < 2 || s.flights.live > 0 && s.nones < manyNones {
		return
	}
	d.giveUp(s, func(request) bool { return true })
	d.rest(s, now)
	s.nones = 0 // those that come are of what it is asked for next
	s.front.shut()
	s.nextAsk = now.Add(min(s.idle, frontIdle))
}

// rest leaves a peer alone for a while that has nothing for us now; what it is asked for in parts is asked elsewhere.
func (d *Download) rest(s *source, now time.Time) {
	for _, whole := range s.parts.wholes() {
		d.back(s, whole)
	}
	s.short = 0
	s.run = noRun
	s.idle = min(max(2*s.idle, time.Second), 15*time.Second)
	s.nextAsk = now.Add(s.idle)
}

// refused is told that nothing may go to s now, as when it was banned for what it did in another download: what it was to be asked for is asked
// of others.
func (d *Download) refused(s *source, now time.Time) {
	s.nextAsk = now.Add(idleWait)
	if ok, next := d.cfg.Peers.MayRequest(s.addr, now); !ok {
		s.nextAsk = orLater(next, now)
	}
	d.giveUp(s, func(request) bool { return true })
}

// giveUp ends those requests to s that are out and that which names: their blocks
// are asked for elsewhere.
func (d *Download) giveUp(s *source, which func(request) bool) {
	s.flights.drop(which, func(r request, fl flight) {
		if !fl.part {
			d.lost(s, r, fl)
		}
	})
	for _, whole := range s.parts.wholes() {
		if which(whole) {
			d.back(s, whole)
		}
	}
}

// strike is told that s sent what contradicts the id at the size that s claims
// itself: its own fault, whatever the true size is. sure says that it came with the
// cookie of s; what did not may be somebody else's, and costs s no more than
// this download.
func (d *Download) strike(s *source, sure bool) {
	d.stats.Bad++
	s.bad++
	d.contradicted = d.contradicted || s.also
	if sure && !s.also { // by its own id it may be right, and the two ids may not belong together
		s.badSure++
	}
	if s.bad >= strikes {
		d.exclude(s, s.badSure >= strikes)
	}
}

// exclude ends a download's dealings with a liar. Only an address that was
// proven loses its standing elsewhere too.
func (d *Download) exclude(s *source, sure bool) {
	if s.excluded {
		return
	}
	s.excluded = true
	d.stats.Excluded++
	if !d.found() {
		d.started = time.Now() // nobody is left: another search
	}
	d.giveUp(s, func(request) bool { return true })
	d.holdsAll(s) // and counts nowhere
	if sure && d.cfg.Peers.Proven(s.addr) {
		d.cfg.Peers.Punish(s.addr)
	}
}
