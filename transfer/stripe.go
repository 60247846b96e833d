package transfer

import (
	"time"

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
	since    time.Time           // its first unwritten block came; zero: there is none
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
