package transfer

import (
	"slices"
	"time"

	"sharer/chunk"
)

// wantPaths begins the paths of the block that proves the size, and of what readers wait for.
func (d *Download) wantPaths() {
	d.ahead = d.ahead[:0]
	if d.pick.urgent >= 0 {
		d.ahead = append(d.ahead, d.pick.urgent)
	}
	for _, w := range d.pick.first[:min(d.pick.readers, len(d.pick.first))] {
		if w.From < d.pick.blocks && !d.pick.done.Has(w.From) {
			d.ahead = append(d.ahead, w.From)
		}
	}
	if len(d.ahead) > 0 && !d.cfg.TreeOnly {
		d.tree.wantPath(d.cfg.File.Tree(), d.ahead)
	}
}

// askPaths asks for what is wanted of paths, and returns what room is left. They are little, and blocks wait for all of them: so they go
// first, and together, as one block's answer comes together.
func (d *Download) askPaths(room int, now time.Time) int {
	for _, p := range d.tree.paths {
		for !p.over {
			sp := d.tree.nextSpan(p)
			if sp == nil {
				break
			}
			s := d.giverOf(p, now)
			if s == nil {
				break
			}
			cost := s.cost(sp.n)
			if room < cost || s.windowFull(cost) || !d.withinLimit(cost, now) {
				break
			}
			if wait := d.limits.peerWait(now, s.addr, cost); wait > 0 {
				d.wakeAt(now.Add(wait))
				break
			}
			if !d.send(s, request{tree: true, path: true, at: sp.at}, flight{n: int32(sp.n)}, 0, now) {
				break
			}
			sp.out = true
			p.giver = int16(s.slot) + 1
			room -= cost
		}
	}
	return room
}

// giverOf is who gives a path: the nearest at first, and then the same. If that is nobody, as when its blocks lie with several peers, it is
// left to the pieces: they would not be asked for while it is awaited.
func (d *Download) giverOf(p *path, now time.Time) *source {
	if p.giver > 0 {
		if s := d.sources[p.giver-1]; d.givesPath(s, p, now) {
			return s
		}
		p.over = true
		return nil
	}
	var best *source
	for _, s := range d.sources {
		if d.givesPath(s, p, now) && (best == nil || s.rtt.Smoothed() < best.rtt.Smoothed()) {
			best = s
		}
	}
	p.over = best == nil
	return best
}

// givesPath says whether s may be asked for a path. One without proof is asked one question at a time, which the pieces need fewer of.
func (d *Download) givesPath(s *source, p *path, now time.Time) bool {
	if !s.usable(d.size, d.proven) || !s.proven || s.quiet() || s.slow || now.Before(s.nextAsk) || d.crowd.few && !s.asked {
		return false
	}
	return d.asksTree(s) && !slices.ContainsFunc(p.blocks, func(b int64) bool { return !s.reach.has(b) })
}

// blockAhead takes a block that has a path and that nobody was asked for. It is asked for with the path, and waits for it.
func (d *Download) blockAhead(s *source, now time.Time) (block int64, ok bool) {
	if s.slow {
		return 0, false
	}
	for _, p := range d.tree.paths {
		for _, b := range p.blocks {
			if s.reach.has(b) && !s.front.lacking(b, now) && d.pick.takeBlock(b) {
				d.pick.stripeOf(b).by[b%stripeBlocks] = s.slot
				return b, true
			}
		}
	}
	return 0, false
}

// requestOf is which request of s an answer is to: nodes of a path may begin where a piece does.
func (s *source) requestOf(a *arrival) request {
	r := request{tree: a.tree, at: a.offset}
	if !a.tree || a.n > spanMost {
		return r
	}
	onPath := r
	onPath.path = true
	if fl, ok := s.flights.out[onPath.key()]; ok {
		if _, piece := s.flights.out[r.key()]; !piece || a.n == int(fl.n) {
			return onPath
		}
	}
	return r
}

// arrivePath takes nodes of a path. A path that fails is nothing lost: the pieces are asked for all the same.
func (d *Download) arrivePath(s *source, a *arrival) {
	p, sp := d.tree.spanFor(a.offset, s.slot)
	if sp != nil {
		sp.out = false // of a path that is over, too: others that begin there have waited for it
	}
	if p == nil || p.over {
		d.stats.Twice++
		return
	}
	switch {
	case a.eof >= 0 && a.eof != d.tree.shape.FileSize():
		p.over = true
		d.strike(s, a.proven)
		return
	case a.n != sp.n || !s.usable(d.size, d.proven):
		p.over = true
		return
	}
	s.noTree, s.short = 0, 0
	s.lastGot = a.at
	sp.data = slices.Clone(a.data[:a.n])
	p.weak = p.weak || !a.proven
	if p.whole() {
		p.over = true
		d.followPath(s, p, a.at)
	}
}

// followPath verifies a path that is whole, and hands over the blocks that have waited for it.
func (d *Download) followPath(s *source, p *path, now time.Time) {
	for _, b := range p.blocks {
		err := d.cfg.File.Tree().PutPath(b, p.nodes(d.tree.shape, b))
		if isBadTree(err) {
			d.strike(s, !p.weak)
			return
		} else if err != nil {
			d.fail(err)
			return
		}
		d.lastGood = now
		d.tree.early = append(d.tree.early, b)
		if st := d.pick.stripeOf(b); st != nil {
			d.handIfReady(st)
		}
	}
	p.good = true
	d.unstash(now, func(int) bool { return true }) // the path may verify any
}

// laterEvery is one of how many questions for a block or piece that may be for a piece nobody waits for, while there is other work.
const laterEvery = 64

// pieceLater takes a piece that nobody waits for.
func (d *Download) pieceLater(s *source) (r request, n int, ok bool) {
	if len(d.tree.later) == 0 || !d.asksTree(s) {
		return request{}, 0, false
	}
	off, n, ok := d.tree.nextLater(func(block int64) bool { return d.hasPath(s, block) })
	return request{tree: true, at: off}, n, ok
}

// wantEarly queues the pieces on the way to blocks that were verified by a path, for when there is time: others ask for them, and after a crash
// they are what shows that blocks are good.
func (t *treeFetch) wantEarly(f *chunk.Tree) {
	if len(t.early) == 0 {
		return
	}
	t.early = slices.DeleteFunc(t.early, func(b int64) bool {
		here := true
		t.path = t.shape.PathPieces(b, t.path[:0])
		for _, p := range t.path {
			if here = here && f.Has(p); t.lacks(f, p) {
				t.queued[p] = true
				t.later = append(t.later, wantedPiece{p, b})
			}
		}
		return here
	})
}

// earlyIn are those blocks of a stripe whose leaf came by a path.
func (t *treeFetch) earlyIn(f *chunk.Tree, stripe int64) (m uint64) {
	for _, p := range t.paths {
		for _, b := range p.blocks {
			for _, b := range [2]int64{b &^ 1, b | 1} {
				if b/stripeBlocks == stripe && f.HasLeaf(b) {
					m |= 1 << (b % stripeBlocks)
				}
			}
		}
	}
	return m
}
