package transfer

import (
	"math/bits"

	"sharer/chunk"
)

// run is what one peer works on.
type run struct {
	stripe int64  // of its own, -1: none
	at     int64  // crowd: the block that is next, -1: none
	rare   uint16 // crowd: how many had the first one
	dry    uint64 // there was nothing for it when news was this
}

var noRun = run{stripe: -1, at: -1}

// asker is a peer as the picker sees it.
type asker struct {
	slot  uint8
	reach reach
	cur   *run
	slow  bool                  // others bring what a reader waits for much sooner
	busy  func(slot uint8) bool // that peer still works on the stripe that it owns
}

// take chooses the next block to ask of a peer, and notes it as asked. The order:
// what is urgent; what a reader waits for; what was asked before and did not come; in
// a crowd the rarest; the peer's own stripe; the first stripe with unasked blocks that
// no other peer works on; a new stripe, the rarest; any unasked block.
func (p *picker) take(a asker) (block int64, ok bool) {
	if p.urgent >= 0 && a.reach.has(p.urgent) {
		if b, ok := p.takeUrgent(); ok {
			return b, true
		}
	}
	if !a.slow {
		for _, w := range p.first {
			if b, ok := p.takeIn(w, a.reach); ok {
				return b, true
			}
		}
	}
	if a.cur.dry == p.news {
		return 0, false
	}
	if block, ok = p.takeWhere(a); !ok {
		*a.cur = noRun
		a.cur.dry = p.news
	}
	return block, ok
}

// takeWhere is take for what neither is urgent nor waited for.
func (p *picker) takeWhere(a asker) (block int64, ok bool) {
	if p.vain > 0 && !a.slow {
		for _, s := range p.active {
			if m := s.again & s.missing() & a.reach.mask(s.index); m != 0 {
				return p.ask(s, m), true
			}
		}
	}
	if p.crowd {
		if b, ok := p.takeRare(a); ok {
			return b, true
		}
	} else if b, ok := p.takeOwn(a); ok {
		return b, true
	}
	if p.orphans > 0 {
		for _, s := range p.active {
			if m := s.missing() & a.reach.mask(s.index); m != 0 {
				return p.ask(s, m), true
			}
		}
		p.orphans = p.countOrphans()
	}
	return 0, false
}

// takeOwn takes from the peer's own stripe, or makes one its own.
func (p *picker) takeOwn(a asker) (block int64, ok bool) {
	if i, ok := p.find(a.cur.stripe); ok {
		if m := p.active[i].missing() & a.reach.mask(a.cur.stripe); m != 0 {
			return p.ask(p.active[i], m), true
		}
	}
	if p.orphans > 0 {
		for _, s := range p.active {
			if s.missing() == 0 || s.owner != 0 && s.owner != int16(a.slot)+1 && a.busy(uint8(s.owner-1)) {
				continue
			}
			if m := s.missing() & a.reach.mask(s.index); m != 0 {
				return p.own(s, a, m), true
			}
		}
	}
	if s := p.next(a.reach); s != nil {
		return p.own(s, a, s.missing()&a.reach.mask(s.index)), true
	}
	return 0, false
}

// own makes s the stripe of the asker and takes a block of m.
func (p *picker) own(s *stripe, a asker, m uint64) int64 {
	a.cur.stripe = s.index
	s.owner = int16(a.slot) + 1
	return p.ask(s, m)
}

// takeIn takes the first unasked block of a window that a reader waits for.
func (p *picker) takeIn(w chunk.Range, r reach) (int64, bool) {
	to := min(w.To, p.blocks)
	for at := w.From; at < to; {
		gap, ok := p.done.NextGap(at, to)
		if !ok {
			return 0, false
		}
		index := gap.From / stripeBlocks
		end := (index + 1) * stripeBlocks
		span := spanMask(int(gap.From-index*stripeBlocks), int(min(to, end)-index*stripeBlocks))
		if span&r.mask(index) != 0 {
			s := p.open(index, p.limit+readerStripes)
			if s == nil {
				return 0, false
			}
			if m := s.missing() & span & r.mask(index); m != 0 {
				return p.ask(s, m), true
			}
		}
		at = end
	}
	return 0, false
}

// again chooses a block for the endgame: one that is in flight to one other
// peer only. fits says whether that flight is worth a second request.
func (p *picker) again(r reach, fits func(block int64) bool) (block int64, ok bool) {
	for _, s := range p.active {
		m := s.asked & s.want &^ (s.got | s.twice) & r.mask(s.index)
		for ; m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m)
			if b := s.index*stripeBlocks + int64(i); fits(b) {
				s.twice |= 1 << i
				return b, true
			}
		}
	}
	return 0, false
}

// ask notes the lowest block of m as asked.
func (p *picker) ask(s *stripe, m uint64) int64 {
	i := bits.TrailingZeros64(m)
	p.found(s, i)
	s.asked |= 1 << i
	p.orphans--
	return s.index*stripeBlocks + int64(i)
}

// takeMore takes at most n of the blocks that follow one which was taken, as long as nobody was asked for them, and returns how many:
// those of its stripe only.
func (p *picker) takeMore(block int64, n int, r reach) (taken int64) {
	s := p.stripeOf(block)
	i := int(block%stripeBlocks) + 1
	m := s.missing() & r.mask(s.index)
	for ; n > 0 && i < stripeBlocks && m>>i&1 == 1; n, i = n-1, i+1 {
		p.ask(s, 1<<i)
		taken++
	}
	return taken
}

// next opens a stripe that is neither done nor active and that the peer has some
// of: the one with the fewest partial holders among those that follow start, the
// nearest of several. Its result has something that may be asked of the peer.
func (p *picker) next(r reach) *stripe {
	if len(p.active) >= p.limit {
		return nil
	}
	best, fewest := int64(-1), ^uint16(0)
	least := uint16(0) // nothing is rarer
	if r.have != nil {
		least = 1 // the peer itself
	}
	left := maxLooks
	for _, part := range [2]chunk.Range{{From: p.start, To: p.blocks}, {From: 0, To: p.start}} {
		for at := part.From; left > 0; left-- {
			index, ok := p.candidate(r, at, part.To)
			if !ok {
				break
			}
			if n := p.rarity.of(index * stripeBlocks); n < fewest {
				best, fewest = index, n
			}
			if fewest <= least {
				return p.open(best, p.limit)
			}
			at = (index + 1) * stripeBlocks
		}
	}
	if best < 0 {
		return nil
	}
	return p.open(best, p.limit)
}

// maxLooks bounds how many stripes are compared for one choice: 512 are 128 MiB.
const maxLooks = 512

// candidate is the first stripe with a block in from ≤ i < to that is not done, in no
// active stripe, and within the peer's reach.
func (p *picker) candidate(r reach, from, to int64) (index int64, ok bool) {
	for at := from; ; {
		gap, ok := p.done.NextGap(at, to)
		if !ok {
			return 0, false
		}
		index := gap.From / stripeBlocks
		end := (index + 1) * stripeBlocks
		if _, active := p.find(index); active {
			at = end
			continue
		}
		first, ok := r.firstFrom(gap.From, to)
		if !ok {
			return 0, false
		}
		switch {
		case first/stripeBlocks > index:
			at = first
		case first < gap.To:
			return index, true
		default: // the next gap may be in this stripe too
			at = first
		}
	}
}

// takeUrgent takes the urgent block, if nobody was asked for it.
func (p *picker) takeUrgent() (int64, bool) { return p.urgent, p.takeBlock(p.urgent) }

// takeBlock takes a block, if it is wanted and nobody was asked for it.
func (p *picker) takeBlock(block int64) bool {
	if block < 0 || p.done.Has(block) {
		return false
	}
	s := p.open(block/stripeBlocks, p.limit+readerStripes)
	bit := uint64(1) << (block % stripeBlocks)
	if s == nil || s.missing()&bit == 0 {
		return false
	}
	p.ask(s, bit)
	return true
}
