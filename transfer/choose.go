package transfer

import (
	"slices"
	"time"

	"sharer/chunk"
)

// nextWhole chooses a piece of the tree or a block: n bytes are asked for, size are
// wanted. A block is asked for in full, so that what is behind a claimed end shows.
func (d *Download) nextWhole(s *source, now time.Time) (r request, n, size int, ok bool) {
	if !d.onTrial(s) {
		if b, ok := d.blockAhead(s, now); ok {
			return request{at: b * chunk.BlockSize}, chunk.BlockSize, d.blockLen(b), true
		}
	}
	if d.turns++; d.turns%laterEvery == 0 {
		if r, n, ok := d.pieceLater(s); ok {
			return r, n, n, true
		}
	}
	if d.asksTree(s) {
		if off, n, ok := d.tree.next(func(block int64) bool { return d.hasPath(s, block) }); ok {
			return request{tree: true, at: off}, n, n, true
		}
	}
	if d.onTrial(s) {
		return request{}, 0, 0, false
	}
	block, ok := d.pickBlock(s, now)
	if !ok {
		r, n, ok = d.pieceLater(s)
		return r, n, n, ok
	}
	return request{at: block * chunk.BlockSize}, chunk.BlockSize, d.blockLen(block), true
}

// hasPath says whether s may be asked for a piece of the path of a block, or of any if block is
// -1: who holds a part has the paths of what it holds, and is the one to ask for others if nobody
// else can be.
func (d *Download) hasPath(s *source, block int64) bool {
	if s.reach.have == nil || block >= 0 && s.reach.mask(block/stripeBlocks) != 0 {
		return true
	}
	for _, o := range d.sources {
		if !o.also && o.reach.have == nil && !o.treeless() && !o.quiet() && o.usable(d.size, d.proven) {
			return false
		}
	}
	return true
}

// treeElsewhere says whether somebody else than s may be asked for any piece of the tree.
func (d *Download) treeElsewhere(s *source) bool {
	return slices.ContainsFunc(d.sources, func(o *source) bool {
		return o != s && !o.also && !o.slow && o.reach.have == nil && !o.treeless() && !o.quiet() && o.usable(d.size, d.proven)
	})
}

// asksTree says whether s is one to ask for the tree: nodes that know sha256
// ids only have none, and leave such requests unanswered; from slow ones blocks
// would wait for it that have come long ago, and from one that has let a timeout pass for another. Who holds a part is none to wait for in the
// place of one that is doubted: it may have no piece that is wanted.
func (d *Download) asksTree(s *source) bool {
	if s.also || s.slow && d.quick {
		return false
	}
	doubt := s.treeDoubt()
	return doubt == 0 || !slices.ContainsFunc(d.sources, func(o *source) bool {
		return !o.also && !(o.slow && d.quick) && o.reach.have == nil && o.treeDoubt() < doubt && !o.quiet() && o.usable(d.size, d.proven)
	})
}

// treeless says whether s seems to have no tree: it has left that many requests for pieces of it unanswered in a row.
func (s *source) treeless() bool { return s.noTree >= 4 }

// treeDoubt is how doubtful it is that a piece of the tree comes from s soon; 0: not at all.
func (s *source) treeDoubt() int {
	switch {
	case s.treeless():
		return s.noTree
	case s.silent > 0:
		return 1 // it may have gone
	}
	return 0
}

func (d *Download) pickBlock(s *source, now time.Time) (int64, bool) {
	if d.cfg.TreeOnly && d.pick.urgent < 0 {
		return 0, false
	}
	if d.cfg.TreeOnly {
		return d.pick.takeUrgent()
	}
	if s.slow && d.left > 0 && 4*s.rtt.Smoothed() > d.left {
		return 0, false // the others are done before it answers
	}
	reach := d.reachOf(s, now)
	b, ok := d.pick.take(asker{slot: s.slot, reach: reach, cur: &s.run, slow: s.slow, busy: d.busy})
	if !ok && now.Sub(s.twiceAt) >= twiceEvery {
		if b, ok = d.pick.again(reach, func(b int64) bool { return d.worthTwice(s, b, now) }); !ok {
			s.twiceAt = now
			if d.speed.fast && s.flights.live == 0 { // nothing that comes has it look again
				d.wakeAt(now.Add(max(twiceEvery, s.rtt.Smoothed())))
			}
		}
	}
	if ok {
		d.pick.stripeOf(b).by[b%stripeBlocks] = s.slot
	}
	return b, ok
}

// twiceEvery is between two looks for what another peer was asked for and is worth asking for again: all that is out is looked at, and
// where the disk is slower than the peers nothing else can be asked for most of the time.
const twiceEvery = time.Millisecond

// busy says whether a peer is at work.
func (d *Download) busy(slot uint8) bool {
	o := d.sources[slot]
	return o.flights.live > 0 && !o.quiet() && !o.excluded
}

// worthTwice says whether, at the end, a block that another peer was asked for
// is asked of s too: its answer is overdue by that peer's own measure, or s
// would bring it much sooner.
func (d *Download) worthTwice(s *source, block int64, now time.Time) bool {
	o := d.sources[d.pick.stripeOf(block).by[block%stripeBlocks]]
	if o == s {
		return false
	}
	whole := request{at: block * chunk.BlockSize}
	age := time.Duration(0)
	if fl, ok := o.flights.whole(whole); ok {
		age = now.Sub(fl.sent)
	} else if u := o.parts.unit(whole); u == nil {
		return false
	} else if d.speed.fast && !u.sent.IsZero() {
		age = now.Sub(u.sent)
	}
	return age > 2*o.rtt.Smoothed() && age > s.rtt.Smoothed() || o.rtt.Smoothed() > 4*s.rtt.Smoothed()
}
