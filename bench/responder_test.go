package main

import (
	"testing"

	"sharer/chunk"
)

// memory is a backing that holds what was written.
type memory map[int64]byte

func (m memory) WriteAt(p []byte, off int64) (int, error) {
	for i, b := range p {
		m[off+int64(i)] = b
	}
	return len(p), nil
}

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = m[off+int64(i)]
	}
	return len(p), nil
}

// What is pretended is a content for whoever verifies it: the pieces of the tree on the way to its blocks fit, and the blocks their leaves.
func TestPretended(t *testing.T) {
	for _, size := range []int64{8192, 5 << 20, 1<<30 + 4096, 1 << 40} {
		middle := size / 2 / chunk.BlockSize * chunk.BlockSize
		p := pretend(size, chunk.Range{To: chunk.BlockSize}, chunk.Range{From: middle, To: middle + chunk.BlockSize}, chunk.Range{From: size - chunk.BlockSize, To: size})
		tree := chunk.NewTree(p.root, size, memory{}, 0)
		for _, part := range p.parts {
			block := part.From / chunk.BlockSize
			for _, piece := range p.shape.PathPieces(block, nil) {
				off, n := p.shape.Piece(piece)
				if err := tree.Put(piece, p.readTree(nil, off, n)); err != nil {
					t.Fatalf("%d bytes, block %d, piece %d: %v", size, block, piece, err)
				}
			}
			leaves, err := tree.Leaves(block, 1, nil)
			must(t, err)
			if bad := chunk.CheckBlocks(p.read(nil, part.From, chunk.BlockSize), block, leaves, nil); len(bad) > 0 {
				t.Errorf("%d bytes: block %d is not what its leaf says", size, block)
			}
		}
	}
}
