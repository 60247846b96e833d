package transfer

import "sharer/chunk"

// reach says what a source can give: nil ranges mean everything.
type reach struct {
	have []chunk.Range // in blocks, sorted, half-open
}

func (r reach) has(block int64) bool {
	if r.have == nil {
		return true
	}
	for _, h := range r.have {
		if block >= h.From && block < h.To {
			return true
		}
	}
	return false
}

// mask returns which blocks of stripe i can be given.
func (r reach) mask(i int64) uint64 {
	if r.have == nil {
		return ^uint64(0)
	}
	var m uint64
	first, end := i*stripeBlocks, (i+1)*stripeBlocks
	for _, h := range r.have {
		from, to := max(h.From, first), min(h.To, end)
		if from < to {
			m |= spanMask(int(from-first), int(to-first))
		}
	}
	return m
}

// firstFrom returns the first block at or after from that can be given.
func (r reach) firstFrom(from int64) (int64, bool) {
	if r.have == nil {
		return from, true
	}
	for _, h := range r.have {
		if h.To > from {
			return max(h.From, from), true
		}
	}
	return 0, false
}

// add puts ranges into what can be given; a peer that holds a part gains, it does
// not lose.
func (r *reach) add(have []chunk.Range) {
	var all chunk.Ranges
	for _, h := range r.have {
		all.Add(h.From, h.To)
	}
	for _, h := range have {
		all.Add(h.From, h.To)
	}
	if r.have = all.All(); r.have == nil {
		r.have = []chunk.Range{}
	}
}

// maxCells bounds the memory of a rarity: 128 KiB.
const maxCells = 1 << 16

// rarity counts for each part of a content how many partial holders have some of
// it. Those that hold everything count nowhere: they change no comparison.
type rarity struct {
	shift int // a cell is 2^shift stripes
	n     []uint16
}

// newRarity makes the counts of a content; they take memory once the first partial
// holder is known.
func newRarity(blocks int64) rarity {
	r := rarity{}
	for (blocks/stripeBlocks)>>r.shift >= maxCells {
		r.shift++
	}
	return r
}

// of is how many partial holders have some of the stripe, or of its neighbours in a
// content of more than 2^16 stripes.
func (r *rarity) of(stripe int64) uint16 {
	if cell := stripe >> r.shift; cell < int64(len(r.n)) {
		return r.n[cell]
	}
	return 0
}

// count adds or takes away a holder of ranges.
func (r *rarity) count(have []chunk.Range, by int) {
	next := int64(0) // two ranges may touch one cell
	for _, h := range have {
		for cell := max(next, h.From/stripeBlocks>>r.shift); cell <= (h.To-1)/stripeBlocks>>r.shift; cell++ {
			for int64(len(r.n)) <= cell {
				r.n = append(r.n, 0)
			}
			r.n[cell] += uint16(by)
			next = cell + 1
		}
	}
}
