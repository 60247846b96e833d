package transfer

import "sharer/chunk"

// reach says what a source can give, in blocks; nil ranges mean everything.
type reach struct {
	have *chunk.Ranges
}

// holding is the reach of a peer that holds these ranges and nothing else.
func holding(have ...chunk.Range) reach {
	r := reach{have: new(chunk.Ranges)}
	for _, h := range have {
		r.have.Add(h.From, h.To)
	}
	return r
}

func (r reach) has(block int64) bool { return r.have == nil || r.have.Has(block) }

// mask returns which blocks of stripe i can be given.
func (r reach) mask(i int64) uint64 {
	m := ^uint64(0)
	if r.have == nil {
		return m
	}
	first, end := i*stripeBlocks, (i+1)*stripeBlocks
	for at := first; ; {
		gap, ok := r.have.NextGap(at, end)
		if !ok {
			return m
		}
		m &^= spanMask(int(gap.From-first), int(gap.To-first))
		at = gap.To
	}
}

// firstFrom returns the first block in from ≤ i < to that can be given.
func (r reach) firstFrom(from, to int64) (int64, bool) {
	if r.have == nil {
		return from, from < to
	}
	if gap, ok := r.have.NextGap(from, to); ok && gap.From == from {
		from = gap.To
	}
	return from, from < to
}

// maxCells bounds the memory of a rarity: 128 KiB. Up to 256 MiB of content a cell is a block.
const maxCells = 1 << 16

// rarity counts for each part of a content how many partial holders have some of
// it. Those that hold everything count nowhere: they change no comparison.
type rarity struct {
	shift int // a cell is 2^shift blocks
	n     []uint16
}

// newRarity makes the counts of a content; they take memory once the first partial
// holder is known.
func newRarity(blocks int64) rarity {
	r := rarity{}
	for blocks>>r.shift >= maxCells {
		r.shift++
	}
	return r
}

// of is how many partial holders have the block, or one of its neighbours in a
// content of more than 2^16 blocks.
func (r *rarity) of(block int64) uint16 {
	if cell := block >> r.shift; cell < int64(len(r.n)) {
		return r.n[cell]
	}
	return 0
}

// gain counts what a holder has beyond what it had, and adds it to that. It returns
// whether there was any.
func (r *rarity) gain(had *chunk.Ranges, have []chunk.Range) (news bool) {
	for _, h := range have {
		for at := h.From; ; {
			gap, ok := had.NextGap(at, h.To)
			if !ok {
				break
			}
			news = true
			for cell := gap.From >> r.shift; cell <= (gap.To-1)>>r.shift; cell++ {
				from, to := cell<<r.shift, (cell+1)<<r.shift
				if none, ok := had.NextGap(from, to); ok && none.From == from && none.To == to {
					r.add(cell, 1)
				}
			}
			had.Add(gap.From, gap.To)
			at = gap.To
		}
	}
	return news
}

// lose takes a holder of ranges away.
func (r *rarity) lose(have *chunk.Ranges) {
	if have == nil {
		return
	}
	next := int64(0) // two ranges may touch one cell
	for _, h := range have.All() {
		for cell := max(next, h.From>>r.shift); cell <= (h.To-1)>>r.shift; cell++ {
			r.add(cell, -1)
			next = cell + 1
		}
	}
}

func (r *rarity) add(cell int64, by int) {
	for int64(len(r.n)) <= cell {
		r.n = append(r.n, 0)
	}
	r.n[cell] += uint16(by)
}
