package transfer

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"sharer/chunk"
)

// picker decides which block is asked next. It depends on: what is done, what
// is in flight, what the asker's peer holds, how many others hold it, and what a
// reader waits for. Pure: no clock, no goroutine; called by the loop of its
// download only.
type picker struct {
	size    int64
	blocks  int64
	limit   int           // stripes in memory at most
	done    chunk.Ranges  // blocks that were verified and written
	active  []*stripe     // by index
	free    [][]byte      // stripe buffers
	start   int64         // where the search for a new stripe begins
	urgent  int64         // a block wanted before all others, -1: none
	first   []chunk.Range // blocks that readers wait for, the most urgent first; at most maxReaders
	readers int           // as many of them; the others are what peers asked for in vain
	rarity  rarity        // how many partial holders each part of the content has
	orphans int           // blocks of active stripes that nobody was asked for; a hint, never too low
	vain    int           // of them, those that were asked for before
	crowd   bool          // others fetch it too and give what they have: see takeRare
	rng     *rand.Rand    // for crowd
	opened  uint64        // stripes so far
	news    uint64        // grows when what nobody could be asked for may be asked for
}

// reset starts over for a content of size bytes, of which done are there.
// Buffers are not kept: a writer may still read one.
func (p *picker) reset(size int64, done chunk.Ranges) {
	blocks := (size + chunk.BlockSize - 1) / chunk.BlockSize
	*p = picker{
		size: size, blocks: blocks, limit: maxStripes, done: done, urgent: -1, first: p.first, readers: p.readers, rarity: newRarity(blocks),
		crowd: p.crowd, rng: p.rng, news: p.news + 1, opened: p.opened,
	}
}

func (p *picker) remaining() int64 { return p.blocks - p.done.Total() }

func (p *picker) find(index int64) (int, bool) {
	return slices.BinarySearchFunc(p.active, index, func(s *stripe, i int64) int {
		switch {
		case s.index < i:
			return -1
		case s.index > i:
			return 1
		}
		return 0
	})
}

// stripeOf returns the active stripe that holds block, or nil.
func (p *picker) stripeOf(block int64) *stripe {
	if i, ok := p.find(block / stripeBlocks); ok {
		return p.active[i]
	}
	return nil
}

// open makes the stripe active, or returns nil when limit buffers are in use.
func (p *picker) open(index int64, limit int) *stripe {
	i, ok := p.find(index)
	if ok {
		return p.active[i]
	}
	var buf []byte
	switch {
	case len(p.active) >= limit:
		return nil
	case len(p.free) > 0:
		buf, p.free = p.free[len(p.free)-1], p.free[:len(p.free)-1]
	default:
		buf = make([]byte, min(stripeBlocks, p.blocks)*chunk.BlockSize)
	}
	s := &stripe{index: index, buf: buf}
	first := index * stripeBlocks
	end := min(first+stripeBlocks, p.blocks)
	s.want = spanMask(0, int(end-first))
	for b := first; b < end; b++ {
		if p.done.Has(b) {
			s.want &^= 1 << (b - first)
		}
	}
	p.active = slices.Insert(p.active, i, s)
	p.opened++
	p.orphans += bits.OnesCount64(s.want)
	return s
}

// found forgets that a block was asked for in vain.
func (p *picker) found(s *stripe, i int) {
	if s.again>>i&1 == 1 {
		s.again &^= 1 << i
		p.vain--
	}
}

// arrived copies a block that was asked for into its stripe. It returns nil when
// the block is not wanted any more: it came twice.
func (p *picker) arrived(block int64, data []byte, from uint8, sure bool) *stripe {
	if p.done.Has(block) {
		return nil
	}
	before := len(p.active)
	s := p.open(block/stripeBlocks, p.limit+readerStripes)
	if s == nil {
		return nil
	}
	if len(p.active) > before { // it came late: what else is in its stripe may be asked for now
		p.news++
	}
	i := block % stripeBlocks
	bit := uint64(1) << i
	if s.want&bit == 0 || s.got&bit != 0 {
		return nil
	}
	// A writer may be reading other blocks of the buffer meanwhile, never this one.
	copy(s.buf[i*chunk.BlockSize:], data)
	if s.asked&bit == 0 {
		p.orphans-- // given up, and it came after all
		p.found(s, int(i))
	}
	s.got |= bit
	s.sure &^= bit
	if sure {
		s.sure |= bit
	}
	s.asked &^= bit
	s.twice &^= bit
	s.from[i] = from
	return s
}

// awaited says whether a reader waits for a stripe: it is among the first ones of a window.
func (p *picker) awaited(s *stripe) bool {
	for _, w := range p.first {
		if first := w.From / stripeBlocks; s.index >= first && s.index <= first+1 {
			return true
		}
	}
	return false
}

// jumpedTo says whether a reader waits for this very block, and has not come to it by reading on.
func (p *picker) jumpedTo(block int64) bool {
	for _, w := range p.first[:min(p.readers, len(p.first))] {
		if w.From == block && !p.done.Has(block-1) {
			return true
		}
	}
	return false
}

// gotUrgent says whether the urgent block waits in s.
func (p *picker) gotUrgent(s *stripe) bool {
	return p.urgent/stripeBlocks == s.index && p.urgent >= 0 && s.got>>(p.urgent%stripeBlocks)&1 == 1
}

// bytes is how much of the buffer of s holds content.
func (p *picker) bytes(s *stripe) int {
	return int(min(stripeBytes, p.size-s.index*stripeBytes))
}

// checking says whether a writer holds any stripe.
func (p *picker) checking() bool {
	return slices.ContainsFunc(p.active, func(s *stripe) bool { return s.checking })
}

// lost notes that a request for block was given up; other says that a second
// one is still out.
func (p *picker) lost(block int64, other bool) {
	s := p.stripeOf(block)
	if s == nil {
		return
	}
	bit := uint64(1) << (block % stripeBlocks)
	if s.asked&bit == 0 || s.want&bit == 0 {
		return
	}
	s.twice &^= bit
	if !other {
		s.asked &^= bit
		p.missed(s, bit)
	}
}

// missed notes blocks of a stripe that were asked for and are wanted still.
func (p *picker) missed(s *stripe, m uint64) {
	n := bits.OnesCount64(m)
	s.again |= m
	p.vain += n
	p.orphans += n
	p.news++
}

// wrote notes what became of the blocks of a stripe that were handed to the
// writer: good ones are done, bad ones are wanted again.
func (p *picker) wrote(s *stripe, good, bad uint64) {
	s.checking = false
	if s.got &^= good | bad; s.got == 0 {
		s.since = time.Time{}
	}
	s.want &^= good
	p.missed(s, bad)
	for m := good; m != 0; {
		i := bits.TrailingZeros64(m)
		n := bits.TrailingZeros64(^(m >> i))
		first := s.index*stripeBlocks + int64(i)
		p.done.Add(first, first+int64(n))
		m &^= spanMask(i, i+n)
	}
	if s.want == 0 {
		p.close(s)
	}
}

func (p *picker) close(s *stripe) {
	if i, ok := p.find(s.index); ok && p.active[i] == s {
		p.active = slices.Delete(p.active, i, i+1)
		p.free = append(p.free, s.buf)
		p.orphans -= bits.OnesCount64(s.missing())
		p.vain -= bits.OnesCount64(s.again)
		p.news++
	}
}

func (p *picker) countOrphans() int {
	n := 0
	for _, s := range p.active {
		n += bits.OnesCount64(s.missing())
	}
	return n
}
