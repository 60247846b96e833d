package sim

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"sharer/chunk"
)

// Content is something to be fetched, whose bytes the world knows.
type Content struct {
	Data []byte
	Sums chunk.Sums
	tree func() []byte
}

// ContentOf makes a content of bytes, which must not be changed any more.
func ContentOf(data []byte) (*Content, error) {
	sums, err := chunk.Sum(context.Background(), bytes.NewReader(data), int64(len(data)), nil, nil)
	if err != nil {
		return nil, fmt.Errorf("hash %d bytes: %w", len(data), err)
	}
	return &Content{Data: data, Sums: sums, tree: sync.OnceValue(func() []byte { return treeFile(data) })}, nil
}

// randomContent draws size bytes.
func randomContent(rng *rand.Rand, size int) (*Content, error) {
	var key [32]byte
	for i := range key {
		key[i] = byte(rng.Uint32())
	}
	data := make([]byte, size)
	rand.NewChaCha8(key).Read(data)
	return ContentOf(data)
}

// Size is the number of bytes.
func (c *Content) Size() int64 { return int64(len(c.Data)) }

// BLAKE3 is its name by that hash.
func (c *Content) BLAKE3() chunk.ID { return chunk.ID{Kind: chunk.BLAKE3, Hash: c.Sums.BLAKE3} }

// SHA256 is its name by that hash.
func (c *Content) SHA256() chunk.ID { return chunk.ID{Kind: chunk.SHA256, Hash: c.Sums.SHA256} }

// TreeID is the name of its tree file.
func (c *Content) TreeID() chunk.ID { return chunk.ID{Kind: chunk.BLAKE3Tree, Hash: c.Sums.BLAKE3} }

// ID is its name of a kind.
func (c *Content) ID(k chunk.Kind) chunk.ID {
	switch k {
	case chunk.SHA256:
		return c.SHA256()
	case chunk.BLAKE3Tree:
		return c.TreeID()
	}
	return c.BLAKE3()
}

// Tree is its tree file.
func (c *Content) Tree() []byte { return c.tree() }

// Bytes are what an id of this content stands for.
func (c *Content) Bytes(k chunk.Kind) []byte {
	if k == chunk.BLAKE3Tree {
		return c.Tree()
	}
	return c.Data
}

// treeFile builds the tree file of data. Writing to memory does not fail.
func treeFile(data []byte) []byte {
	var m memory
	if _, err := chunk.Sum(context.Background(), bytes.NewReader(data), int64(len(data)), &m, nil); err != nil {
		panic(err)
	}
	return m.b
}

// memory is a file in memory.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if grow := int(off) + len(p) - len(m.b); grow > 0 {
		m.b = append(m.b, make([]byte, grow)...)
	}
	return copy(m.b[off:], p), nil
}
