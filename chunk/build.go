package chunk

import (
	"fmt"
	"io"
)

const (
	leafBuffer = 32 << 10 // bytes of leaves written at once: a write for 4 MiB of content
	nodeBuffer = 4 << 10  // the same for each level above
)

// treeBuilder computes a tree from leaves that come in order, and writes each level of the tree file through a small
// buffer. Memory is proportional to the number of levels.
type treeBuilder struct {
	shape  Shape
	w      io.WriterAt // nil: only the root is wanted
	levels []buildLevel
	leaves []Hash // scratch
	root   Hash
}

// buildLevel is one level while it grows.
type buildLevel struct {
	n   int64  // nodes so far
	odd Hash   // the last node, while n is odd
	buf []byte // nodes not yet written
	off int64  // byte of the tree file where buf belongs
}

func newTreeBuilder(s Shape, w io.WriterAt) *treeBuilder {
	b := &treeBuilder{shape: s, w: w, levels: make([]buildLevel, s.Levels())}
	for k := range b.levels {
		b.levels[k].off = s.Offset(k, 0)
	}
	if s.Blocks() == 0 {
		b.root = RootOfBlock(nil)
	}
	return b
}

// add takes the next consecutive blocks. Only the last of the content may be short, as in LeafCVs.
func (b *treeBuilder) add(data []byte) error {
	if b.shape.Blocks() == 1 {
		b.root = RootOfBlock(data)
	}
	first := int64(0)
	if len(b.levels) > 0 {
		first = b.levels[0].n
	}
	b.leaves = LeafCVs(b.leaves[:0], data, first)
	return b.addLeaves(b.leaves)
}

func (b *treeBuilder) addLeaves(leaves []Hash) error {
	for _, cv := range leaves {
		if err := b.push(0, cv); err != nil {
			return err
		}
	}
	return nil
}

// push appends a node to a level, and what it completes to the levels above.
func (b *treeBuilder) push(level int, cv Hash) error {
	for ; ; level++ {
		lv := &b.levels[level]
		if err := b.write(level, &cv); err != nil {
			return err
		}
		if lv.n++; lv.n&1 == 1 {
			lv.odd = cv
			return nil
		}
		if level == len(b.levels)-1 {
			b.root = RootOf(lv.odd, cv)
			return nil
		}
		cv = ParentCV(lv.odd, cv)
	}
}

func (b *treeBuilder) write(level int, cv *Hash) error {
	if b.w == nil {
		return nil
	}
	lv := &b.levels[level]
	if lv.buf == nil {
		size := int64(nodeBuffer)
		if level == 0 {
			size = leafBuffer
		}
		lv.buf = make([]byte, 0, min(size, b.shape.LevelLen(level)*nodeSize))
	}
	if lv.buf = append(lv.buf, cv[:]...); len(lv.buf) == cap(lv.buf) {
		return b.flush(lv)
	}
	return nil
}

func (b *treeBuilder) flush(lv *buildLevel) error {
	if len(lv.buf) == 0 {
		return nil
	}
	if err := writeAt(b.w, lv.buf, lv.off); err != nil {
		return fmt.Errorf("write tree: %w", err)
	}
	lv.off += int64(len(lv.buf))
	lv.buf = lv.buf[:0]
	return nil
}

// finish carries odd last nodes up, writes what is left, and the header. Only then is root valid.
func (b *treeBuilder) finish() error {
	for k := range b.levels {
		if lv := &b.levels[k]; k+1 < len(b.levels) && lv.n&1 == 1 {
			if err := b.push(k+1, lv.odd); err != nil {
				return err
			}
		}
		if err := b.flush(&b.levels[k]); err != nil {
			return err
		}
	}
	if b.w == nil {
		return nil
	}
	head := treeHeader(b.root)
	if err := writeAt(b.w, head[:], 0); err != nil {
		return fmt.Errorf("write tree: %w", err)
	}
	return nil
}

// treeHeader is the first 64 bytes of a tree file.
func treeHeader(root Hash) (h [headerSize]byte) {
	copy(h[:], "B3T\x02")
	copy(h[32:], root[:])
	return h
}

// writeAt is w.WriteAt that takes a short write without an error for one.
func writeAt(w io.WriterAt, p []byte, off int64) error {
	n, err := w.WriteAt(p, off)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}
