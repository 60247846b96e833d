package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"sharer/chunk"
)

// finishTree writes the verified tree to the target.
func (n *Node) finishTree(ctx context.Context, g Get, p *chunk.Partial, got *Got) error {
	shape := chunk.ShapeOf(got.Size)
	got.Size = shape.FileSize()
	tree, err := treeFile(ctx, p, shape)
	if err == nil {
		err = writeTree(g, tree, shape.FileSize(), n.cfg.Fsync)
	}
	if errors.Is(err, errSame) {
		got.Existed, err = true, nil
	}
	if err != nil {
		return errors.Join(err, p.Close())
	}
	return p.Remove()
}

var errSame = errors.New("the target is this tree already")

// treeFile returns the bytes of the tree file of what p holds.
func treeFile(ctx context.Context, p *chunk.Partial, shape chunk.Shape) (io.ReaderAt, error) {
	if shape.Blocks() > 1 {
		return p.Tree(), nil
	}
	// The one leaf stands under no parent: it follows from the content.
	var tree memory
	_, err := chunk.Sum(ctx, io.NewSectionReader(p, 0, shape.Size()), shape.Size(), &tree, nil)
	return bytes.NewReader(tree.b), err
}

// memory is a small file in memory.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if grow := int(off) + len(p) - len(m.b); grow > 0 {
		m.b = append(m.b, make([]byte, grow)...)
	}
	return copy(m.b[off:], p), nil
}

// writeTree puts a tree of n bytes in the place of the target.
func writeTree(g Get, tree io.ReaderAt, n int64, sync bool) (err error) {
	if old, stamp, err := chunk.OpenRegular(g.Path); err == nil {
		same := stamp.Size == n && equal(old, tree, n)
		if err := old.Close(); err != nil {
			return err
		}
		if same {
			return errSame
		}
		if !g.Force {
			return fmt.Errorf("%s: %w", g.Path, ErrExists)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", g.Path, ErrExists)
	}
	temp := chunk.PartName(g.Path) + ".tree"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.NewSectionReader(tree, 0, n))
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, g.Path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

func equal(a, b io.ReaderAt, n int64) bool {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for off := int64(0); off < n; off += int64(len(x)) {
		k := min(int64(len(x)), n-off)
		i, _ := a.ReadAt(x[:k], off)
		j, _ := b.ReadAt(y[:k], off)
		if int64(i) < k || int64(j) < k || !bytes.Equal(x[:k], y[:k]) {
			return false
		}
	}
	return true
}
