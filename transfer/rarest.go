package transfer

import "math/bits"

// In a crowd, where many fetch one content at once, what a peer alone can give must not be
// asked of it by everybody: each downloader takes what the fewest of the others have, and
// begins at random, so that two seldom ask one holder for the same. Runs are short: they
// end where others have more than where they began.

// probes is how many places are compared for one run.
const probes = 16

// takeRare goes on with the peer's run, or begins one.
func (p *picker) takeRare(a asker) (block int64, ok bool) {
	c := a.cur
	if c.at >= 0 && c.at < p.blocks && !p.done.Has(c.at) && a.reach.has(c.at) && p.rarity.of(c.at) <= c.rare {
		if s := p.openSpare(c.at / stripeBlocks); s != nil && s.missing()>>(c.at%stripeBlocks)&1 == 1 {
			c.at++
			return p.ask(s, 1<<((c.at-1)%stripeBlocks)), true
		}
	}
	c.at = -1
	b, ok := p.rarest(a.reach)
	if !ok {
		return 0, false
	}
	s := p.openSpare(b / stripeBlocks)
	if s == nil {
		return 0, false
	}
	c.at, c.rare = b+1, p.rarity.of(b)
	return p.ask(s, 1<<(b%stripeBlocks)), true
}

// rarest returns of some random blocks that may be asked for the one that the fewest have.
func (p *picker) rarest(r reach) (block int64, ok bool) {
	least := uint16(0)
	if r.have != nil {
		least = 1 // the peer itself
	}
	best, fewest := int64(-1), ^uint16(0)
	for range probes {
		b, ok := p.unasked(p.rng.Int64N(p.blocks), r)
		if !ok {
			break
		}
		if n := p.rarity.of(b); n < fewest {
			best, fewest = b, n
		}
		if fewest <= least {
			break
		}
	}
	return best, best >= 0
}

// unasked is the first block at or after from, or else from the start on, that can be given
// and nobody was asked for.
func (p *picker) unasked(from int64, r reach) (block int64, ok bool) {
	if b, ok := p.unaskedIn(from, p.blocks, r); ok {
		return b, true
	}
	return p.unaskedIn(0, from, r)
}

func (p *picker) unaskedIn(at, to int64, r reach) (block int64, ok bool) {
	for {
		gap, ok := p.done.NextGap(at, to)
		if !ok {
			return 0, false
		}
		if at, ok = r.firstFrom(gap.From, to); !ok {
			return 0, false
		}
		if at >= gap.To {
			continue
		}
		i, active := p.find(at / stripeBlocks)
		if !active {
			return at, true
		}
		s, first := p.active[i], at/stripeBlocks*stripeBlocks
		if m := s.missing() & r.mask(s.index) & spanMask(int(at-first), int(min(to-first, stripeBlocks))); m != 0 {
			return first + int64(bits.TrailingZeros64(m)), true
		}
		at = first + stripeBlocks
	}
}

// openSpare is open, at the cost of a stripe of which nothing is in memory or on its way.
func (p *picker) openSpare(index int64) *stripe {
	if s := p.open(index, p.limit); s != nil {
		return s
	}
	for _, s := range p.active {
		if s.asked|s.got == 0 && !s.checking {
			p.close(s)
			return p.open(index, p.limit)
		}
	}
	return nil
}
