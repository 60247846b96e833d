package transfer

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"sharer/chunk"
)

// unprovenStripes are in memory while a size is only claimed: less than 1 MiB.
const unprovenStripes = 3

// vote is a size, how many peers claim it, and how often it led nowhere.
type vote struct {
	size    int64
	votes   int
	stalled int
}

// chooseSize decides at which of the claimed sizes blocks are asked. `eof` is a
// claim (wire.md section 5): nobody's is final before it is proven, under blake3 by
// the path of the last block, under sha256 by the whole. A claim that leads nowhere
// in time (blake3: to no proof, sha256: to no new block) gives way to the next, so one
// liar delays by proveWithin. Of those that led nowhere as often, most votes win,
// and of two with as many the smaller, since that one is disproved the sooner.
func (d *Download) chooseSize(now time.Time) {
	if d.proven || d.only != nil || d.hashing > 0 {
		return
	}
	byTree := d.cfg.ID.Kind == chunk.BLAKE3
	var votes []vote
	for _, s := range d.sources {
		if s.claim < 0 || s.excluded {
			continue
		}
		i := slices.IndexFunc(votes, func(v vote) bool { return v.size == s.claim })
		if i < 0 {
			i = len(votes)
			votes = append(votes, vote{size: s.claim, stalled: d.stalled[s.claim]})
		}
		votes[i].votes++
	}
	if !byTree {
		votes = slices.DeleteFunc(votes, func(v vote) bool { return v.votes == 1 && v.size > maxSingleClaim })
	}
	if len(votes) == 0 {
		return
	}
	if held := slices.IndexFunc(votes, func(v vote) bool { return v.size == d.size }); held >= 0 {
		since := d.sizeSet
		if !byTree && d.lastGood.After(since) {
			since = d.lastGood
		}
		patience := proveWithin
		least := slices.MinFunc(votes, func(a, b vote) int { return cmp.Compare(a.size, b.size) }).size
		if held := d.pick.done.All(); !byTree && len(held) > 0 && held[len(held)-1].To > least/chunk.BlockSize+1 {
			patience = 10 * proveWithin // a smaller size throws away what is there
		}
		late := now.Sub(since) >= patience && d.pick.remaining() > 0
		if len(votes) == 1 || !late {
			return
		}
		if late {
			d.stalled[d.size]++
			votes[held].stalled++
			d.sizeSet = now
		}
	}
	best := slices.MinFunc(votes, func(a, b vote) int {
		return cmp.Or(cmp.Compare(a.stalled, b.stalled), cmp.Compare(b.votes, a.votes), cmp.Compare(a.size, b.size))
	})
	if best.size != d.size {
		d.setSize(best.size, now)
	}
}

// setSize starts over at another size. Nothing is allocated for it.
func (d *Download) setSize(size int64, now time.Time) {
	d.recall()
	d.size, d.sizeSet = size, now
	if err := d.cfg.File.SetSize(size); errors.Is(err, chunk.ErrSize) {
		d.disbelieve(size)
		return
	} else if err != nil {
		d.fail(err)
		return
	}
	shape := chunk.ShapeOf(size)
	d.pick.reset(size, d.cfg.File.Done())
	d.tree = newTreeFetch(shape)
	for _, s := range d.sources {
		s.run = noRun
		if s.answers {
			s.flights.drop(func(request) bool { return true }, func(request, flight) {})
		} else { // whether it has any is the same question at any size: else a second peer that answers a moment later is not asked for a second
			s.flights.giveUp(func(request, flight) {})
		}
		s.parts.clear()
		s.judged = s.came
		if s.reach.have != nil { // said at another size: it is asked again
			s.reach = holding()
			s.polled = time.Time{}
		}
	}
	switch {
	case d.cfg.ID.Kind == chunk.SHA256:
		d.checkWhole()
	case d.cfg.File.Proven():
		d.prove()
	default:
		d.pick.limit = unprovenStripes
		d.pick.urgent = shape.Blocks() - 1
	}
}

// disbelieve excludes everybody who claims a size that was proven false.
func (d *Download) disbelieve(size int64) {
	for _, s := range d.sources {
		if s.claim == size {
			d.exclude(s, false)
		}
	}
	d.size = -1
}

// prove is told that the last block and its path have verified: a block's place
// is part of its chaining value, and its path is the right edge of the tree, so
// that nothing can follow it. From here on the size is certain.
func (d *Download) prove() {
	if d.proven {
		return
	}
	d.proven = true
	d.pick.urgent = -1
	d.pick.limit = maxStripes
	// Each download goes on elsewhere, so that those who fetch one content at the
	// same time have something to give each other. A size that is only claimed
	// must not lead to an offset where nothing is.
	d.pick.start = d.cfg.Rand.Int64N(d.pick.blocks/stripeBlocks+1) * stripeBlocks
	d.cfg.File.ProveSize()
	for _, s := range d.sources {
		if s.claim >= 0 && s.claim != d.size {
			d.exclude(s, false)
		}
	}
}

// fail ends the download with an error that is not a peer's fault.
func (d *Download) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}
