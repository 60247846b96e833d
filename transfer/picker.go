package transfer

import (
	"math/bits"
	"math/rand/v2"
	"slices"

	"sharer/chunk"
)

// A stripe is what is checked and written in one piece: 64 blocks, 256 KiB. It
// fits the bits of a word, and half a leaf piece of the tree.
const (
	stripeBlocks = 64
	stripeBytes  = stripeBlocks * chunk.BlockSize
	// maxStripes bounds the memory of one download: 64 stripes are 16 MiB, four
	// times the largest window (512 blocks are 2 MiB) with room for holes.
	maxStripes = 64
	// readerStripes are open beyond that for what a reader waits for.
	readerStripes = 16
	// maxReaders bounds the windows that are wanted first.
	maxReaders = 8
)

// stripe is a run of blocks that are being fetched into memory. The four sets
// are bits by place in the stripe.
type stripe struct {
	index    int64
	buf      []byte
	want     uint64 // not yet done
	asked    uint64 // in flight to somebody
	twice    uint64 // in flight to two: the endgame's limit
	got      uint64 // in buf, not yet checked and written
	sure     uint64 // came with the cookie of the peer that gave it
	again    uint64 // missing, and asked for before
	from     [stripeBlocks]uint8
	by       [stripeBlocks]uint8 // the peer that was asked last
	owner    int16               // the peer that took it for its own last, slot + 1; 0: none
	checking bool                // a writer holds buf
	leaves   bool                // the part of the tree that verifies it is there
	since    int64               // Unix nanoseconds when its first unwritten block came; 0: none
}

// missing are the blocks that nobody was asked for.
func (s *stripe) missing() uint64 { return s.want &^ (s.asked | s.got) }

// full says that all that is wanted is there.
func (s *stripe) full() bool { return s.want != 0 && s.want == s.got }

// spanMask has the bits from ≤ i < to.
func spanMask(from, to int) uint64 {
	m := ^uint64(0) << from
	if to < 64 {
		m &= 1<<to - 1
	}
	return m
}

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
	rarity  rarity        // how many partial holders each part of the content has
	orphans int           // blocks of active stripes that nobody was asked for; a hint, never too low
	vain    int           // of them, those that were asked for before
	crowd   bool          // others fetch it too and give what they have: see takeRare
	rng     *rand.Rand    // for crowd
	news    uint64        // grows when what nobody could be asked for may be asked for
}

// reset starts over for a content of size bytes, of which done are there.
// Buffers are not kept: a writer may still read one.
func (p *picker) reset(size int64, done chunk.Ranges) {
	blocks := (size + chunk.BlockSize - 1) / chunk.BlockSize
	*p = picker{
		size: size, blocks: blocks, limit: maxStripes, done: done, urgent: -1, first: p.first, rarity: newRarity(blocks),
		crowd: p.crowd, rng: p.rng, news: p.news + 1,
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
	p.orphans += bits.OnesCount64(s.want)
	return s
}

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

// found forgets that a block was asked for in vain.
func (p *picker) found(s *stripe, i int) {
	if s.again>>i&1 == 1 {
		s.again &^= 1 << i
		p.vain--
	}
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

// gotUrgent says whether the urgent block waits in s.
func (p *picker) gotUrgent(s *stripe) bool {
	return p.urgent/stripeBlocks == s.index && p.urgent >= 0 && s.got>>(p.urgent%stripeBlocks)&1 == 1
}

// takeUrgent takes the urgent block, if nobody was asked for it.
func (p *picker) takeUrgent() (int64, bool) {
	if p.urgent < 0 || p.done.Has(p.urgent) {
		return 0, false
	}
	s := p.open(p.urgent/stripeBlocks, p.limit+readerStripes)
	bit := uint64(1) << (p.urgent % stripeBlocks)
	if s == nil || s.missing()&bit == 0 {
		return 0, false
	}
	return p.ask(s, bit), true
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
	s.since = 0
	s.got &^= good | bad
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
