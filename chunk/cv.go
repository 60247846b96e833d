package chunk

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"lukechampine.com/blake3/guts"
)

const (
	chunksPerBlock = BlockSize / guts.ChunkSize    // 4
	groupSize      = guts.MaxSIMD * guts.ChunkSize // 16 KiB: what one guts call takes
	groupBlocks    = groupSize / BlockSize         // 4
	pairSize       = 2 * BlockSize                 // its node is the parent of two leaves, so one call gives both
)

// groups lends 16 KiB arrays: guts reads the whole array even where the buffer in it is shorter.
var groups = sync.Pool{New: func() any { return new([groupSize]byte) }}

// compress returns the uncompressed node of up to 16 KiB of content that begin with the given block.
// The last call on a buffer copies; the others read in place.
func compress(data []byte, n int, first int64) guts.Node {
	counter := uint64(first) * chunksPerBlock
	if len(data) >= groupSize {
		return guts.CompressBuffer((*[groupSize]byte)(data), n, &guts.IV, counter, 0)
	}
	g := groups.Get().(*[groupSize]byte)
	defer groups.Put(g)
	copy(g[:], data[:n])
	return guts.CompressBuffer(g, n, &guts.IV, counter, 0)
}

// LeafCV returns the chaining value of one block, 0 to 4096 bytes, that is block number index of its content.
func LeafCV(block []byte, index int64) Hash {
	cv := guts.ChainingValue(compress(block, min(len(block), BlockSize), index))
	return toHash(cv[:])
}

// LeafCVs appends the chaining values of consecutive blocks, the first being block number first of its content. Only
// the last may be shorter than 4096 bytes.
func LeafCVs(dst []Hash, data []byte, first int64) []Hash {
	for len(data) > BlockSize {
		n := min(pairSize, len(data))
		node := compress(data, n, first)
		dst = append(dst, toHash(node.Block[:8]), toHash(node.Block[8:]))
		data, first = data[n:], first+2
	}
	if len(data) > 0 {
		dst = append(dst, LeafCV(data, first))
	}
	return dst
}

// ParentCV returns the chaining value of the node above two others.
func ParentCV(l, r Hash) Hash { return parent(l, r, 0) }

// RootOf returns the BLAKE3 of a content whose tree has these two nodes at its top.
func RootOf(l, r Hash) Hash { return parent(l, r, guts.FlagRoot) }

// RootOfBlock returns the BLAKE3 of a content of one block, 0 to 4096 bytes.
func RootOfBlock(block []byte) Hash {
	node := compress(block, min(len(block), BlockSize), 0)
	node.Flags |= guts.FlagRoot
	cv := guts.ChainingValue(node)
	return toHash(cv[:])
}

// Root returns the BLAKE3 of a content that is in memory as a whole.
func Root(data []byte) Hash {
	if len(data) <= groupSize {
		node := compress(data, len(data), 0)
		node.Flags |= guts.FlagRoot
		cv := guts.ChainingValue(node)
		return toHash(cv[:])
	}
	half := halfOf(len(data))
	return RootOf(subtreeCV(data[:half], 0), subtreeCV(data[half:], int64(half/BlockSize)))
}

// subtreeCV is the chaining value of what begins with the given block and is not all of a content.
func subtreeCV(data []byte, first int64) Hash {
	if len(data) <= groupSize {
		cv := guts.ChainingValue(compress(data, len(data), first))
		return toHash(cv[:])
	}
	half := halfOf(len(data))
	return ParentCV(subtreeCV(data[:half], first), subtreeCV(data[half:], first+int64(half/BlockSize)))
}

// halfOf is how long the left half of a tree of n bytes is: the largest power of two below n.
func halfOf(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

func parent(l, r Hash, flags uint32) Hash {
	cv := guts.ChainingValue(guts.ParentNode(toWords(&l), toWords(&r), &guts.IV, flags))
	return toHash(cv[:])
}

func toHash(words []uint32) (h Hash) {
	for i, w := range words[:8] {
		binary.LittleEndian.PutUint32(h[4*i:], w)
	}
	return h
}

func toWords(h *Hash) (words [8]uint32) {
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(h[4*i:])
	}
	return words
}
