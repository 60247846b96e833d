package transfer

import (
	"cmp"
	"slices"
	"time"

	"sharer/chunk"
)

// A crowd is there when others fetch the content too, and it is not so fast that the processors bind and runs cost the least. Then (takeRare) what is asked is the
// rarest, what came is checked sooner so that others can have it, and when many others are
// there, few are asked at a time: if everybody asked everybody, each line would carry as
// many flows as there are peers, and hundreds of windows of two answers each are more than
// a queue holds. Like this a line carries about as many flows as a peer asks others.
const (
	crowdSpan  = 10 * time.Second       // since its last answer, a peer that holds a part counts
	crowdLeast = 8                      // peers that are asked at a time; fewer in all are no matter
	crowdTurn  = 2 * time.Second        // then those that gave the least make room for others
	crowdFill  = 50 * time.Millisecond  // between two looks for somebody to ask instead of one that has nothing for us
	crowdLoss  = 0.05                   // share of requests lost above which fewer are asked
	shareAfter = 150 * time.Millisecond // a block waits so long for its stripe at most
	crowdPoll  = 30 * time.Millisecond  // between two questions what somebody holds meanwhile
)

// crowd is what a download knows of the others that fetch the same.
type crowd struct {
	partial  int  // peers that hold a part, and answer
	few      bool // not all are asked
	slots    int  // as many are asked
	turned   time.Time
	filled   time.Time
	requests int64 // by the last turn
	lost     int64
}

// gather looks who is there, and chooses who is asked.
func (d *Download) gather(now time.Time) {
	c := &d.crowd
	c.partial = 0
	for _, s := range d.sources {
		if s.reach.have != nil && s.usable(d.size, d.proven) && !s.quiet() && now.Sub(s.answered) < crowdSpan {
			c.partial++
		}
	}
	if there := c.partial > 0 && !d.speed.fast && d.proven && d.cfg.ID.Kind == chunk.BLAKE3; there != d.pick.crowd {
		d.pick.crowd = there
		d.pick.news++
	}
	if c.few = d.pick.crowd && c.partial >= crowdLeast; !c.few {
		return
	}
	c.slots = max(c.slots, crowdLeast)
	if now.Sub(c.turned) >= crowdTurn {
		d.turnCrowd(now)
	}
	if now.Sub(c.filled) >= crowdFill {
		c.filled = now
		d.fillCrowd()
	}
}

// turnCrowd lets a quarter of those that are asked go, the ones that gave the least. There
// are more places as long as little is lost.
func (d *Download) turnCrowd(now time.Time) {
	c := &d.crowd
	if lost := d.stats.Lost - c.lost; float64(lost) > crowdLoss*float64(d.stats.Requests-c.requests) {
		c.slots = max(crowdLeast, c.slots*3/4)
	} else {
		c.slots = min(c.slots+1, maxSources)
	}
	c.turned, c.requests, c.lost = now, d.stats.Requests, d.stats.Lost
	var asked []*source
	for _, s := range d.sources {
		if s.asked {
			asked = append(asked, s)
		}
	}
	slices.SortStableFunc(asked, func(a, b *source) int { return cmp.Compare(b.came-b.cameBy, a.came-a.cameBy) })
	for i, s := range asked {
		s.cameBy = s.came
		s.asked = i < c.slots*3/4
	}
}

// fillCrowd chooses others, at random, for the places of those that have nothing for us.
func (d *Download) fillCrowd() {
	free := d.crowd.slots
	var others []*source
	for _, s := range d.sources {
		switch {
		case s.flights.live == 0 && s.run.dry == d.pick.news && !d.treeWaitsFor(s) || s.quiet() || s.excluded:
			s.asked = false
		case s.asked:
			free--
		case s.usable(d.size, d.proven):
			others = append(others, s)
		}
	}
	for ; free > 0 && len(others) > 0; others = others[1:] {
		i := d.cfg.Rand.IntN(len(others))
		others[0], others[i] = others[i], others[0]
		if s := others[0]; s.flights.live > 0 || d.useful(s) || d.treeWaitsFor(s) {
			s.asked, s.cameBy = true, s.came
			free--
		}
	}
}

// useful says whether s holds a block that is wanted and was not asked for.
func (d *Download) useful(s *source) bool {
	_, ok := d.pick.unasked(d.cfg.Rand.Int64N(d.pick.blocks), s.reach)
	return ok
}

// treeWaitsFor says whether s may be asked for a piece of the tree that nobody is asked for: blocks that have come may wait for it.
func (d *Download) treeWaitsFor(s *source) bool {
	may := func(w wantedPiece) bool { return d.hasPath(s, w.block) }
	return len(d.tree.queue)+len(d.tree.later) > 0 && s.usable(d.size, d.proven) && d.asksTree(s) &&
		(slices.ContainsFunc(d.tree.queue, may) || slices.ContainsFunc(d.tree.later, may))
}

// pollGap is how often a peer is asked what it holds meanwhile.
func (d *Download) pollGap() time.Duration {
	return min(max(10*crowdPoll, time.Duration(d.crowd.partial)*crowdPoll), 5*time.Second)
}

// poll asks a peer that holds a part, and is not asked for any of it now, what it holds
// meanwhile. What it is asked for is something that it has: its answer tells what it
// holds behind that.
func (d *Download) poll(s *source, now time.Time) {
	gap := d.pollGap()
	if s.reach.have == nil || s.flights.live > 0 || now.Before(s.nextAsk) || now.Sub(s.polled) < gap || now.Sub(s.lastSent) < gap {
		return
	}
	at := int64(0)
	if d.pick.blocks > 0 {
		if held := s.reach.have.Around(d.cfg.Rand.Int64N(d.pick.blocks), 1); len(held) > 0 {
			at = held[0].From * chunk.BlockSize
		}
	}
	s.polled, s.probe = now, at
	d.send(s, request{at: at}, flight{n: pollBytes, also: s.also}, 0, now)
}
