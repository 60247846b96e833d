package chunk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Write takes consecutive blocks, the first being block number first, and writes those that are good and not yet
// held, each run of them in one go. bad are the indices, relative to first, of the blocks that do not match: with a
// BLAKE3 id each is compared with its leaf, or with the root when the content has one block; with a SHA-256 id there
// is nothing to compare with.
//
// The errors are ErrNoSize, ErrNotBlocks, ErrNoParent when a leaf is not held, and those of the file system: ENOSPC
// is found by errors.Is. After an error what was held is still held, and Write may be tried again.
func (p *Partial) Write(first int64, data []byte) (bad []int, err error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	shape, tree := p.shape, p.tree
	err = p.writableLocked(first, len(data))
	end := first + int64(len(data)+BlockSize-1)/BlockSize
	var todo Ranges
	if err == nil {
		todo.rs = p.done.Gaps(first, end)
	}
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}

	if tree != nil && todo.Len() > 0 {
		if bad, err = p.check(tree, shape, first, data); err != nil {
			return nil, err
		}
		for _, i := range bad {
			todo.Remove(first+int64(i), first+int64(i)+1)
		}
	}
	for _, run := range todo.rs {
		from, to := (run.From-first)*BlockSize, min((run.To-first)*BlockSize, int64(len(data)))
		if err := p.writeRun(run, data[from:to]); err != nil {
			return bad, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return bad, p.side.flush()
}

// writableLocked checks that n bytes from block first on are whole blocks of the content.
func (p *Partial) writableLocked(first int64, n int) error {
	switch {
	case p.closed || p.finished:
		return fs.ErrClosed
	case p.side.head.Size < 0:
		return ErrNoSize
	case first < 0 || first >= p.shape.Blocks() || n <= 0:
		return ErrNotBlocks
	}
	if rest := p.side.head.Size - first*BlockSize; int64(n) > rest || int64(n) < rest && n%BlockSize != 0 {
		return ErrNotBlocks
	}
	return nil
}

// check compares blocks with their leaves.
func (p *Partial) check(tree *Tree, shape Shape, first int64, data []byte) (bad []int, err error) {
	if shape.Blocks() == 1 {
		if RootOfBlock(data) != p.id.Hash {
			bad = append(bad, 0)
		}
		return bad, nil
	}
	n := (len(data) + BlockSize - 1) / BlockSize
	if p.leaves, err = tree.Leaves(first, n, p.leaves[:0]); err != nil {
		return nil, err
	}
	return CheckBlocks(data, first, p.leaves, nil), nil
}

// writeRun writes blocks and, with a SHA-256 id, their leaves: the bytes before the leaf that claims them.
func (p *Partial) writeRun(run Range, data []byte) error {
	if err := writeAt(p.part, data, run.From*BlockSize); err != nil {
		return fmt.Errorf("write partial file: %w", err)
	}
	if p.id.Kind == SHA256 {
		p.leaves = LeafCVs(p.leaves[:0], data, run.From)
		if err := p.side.keepLeaves(run.From, p.leaves); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holdLocked(run.From, run.To)
	p.sums = nil
	return nil
}

// takeOver sets up the geometry for the size in the header, and finds what is on disk: by the mark when it holds,
// else by hashing what is there. The caller has p for itself.
func (p *Partial) takeOver(mark *clean, now Stamp) error {
	p.shape = ShapeOf(p.side.head.Size)
	if p.side.head.Size == 0 {
		p.proveLocked() // falseSize has seen that the id is that of nothing
	}
	if p.id.Kind == BLAKE3 {
		p.tree = NewTree(p.id.Hash, p.side.head.Size, p.side.f, sidecarBase)
		if err := p.tree.Recover(); err != nil {
			return err
		}
	}
	if mark.trusted(now) {
		for _, r := range mark.Done {
			p.holdLocked(r[0], r[1])
			p.marked = true
		}
		return nil
	}
	if p.id.Kind == SHA256 && p.done.Len() > 0 {
		return nil // another size: what was kept of the blocks is known
	}
	return p.rehash()
}

// rehash holds the blocks on disk that match a known leaf. It looks at no more than both files hold.
func (p *Partial) rehash() error {
	fi, err := p.part.Stat()
	if err != nil {
		return fmt.Errorf("read partial file: %w", err)
	}
	onDisk := ShapeOf(min(fi.Size(), p.side.head.Size)).Blocks()
	if p.id.Kind == SHA256 {
		size, err := p.side.size()
		if err != nil {
			return err
		}
		onDisk = min(onDisk, size/nodeSize)
	}
	var buf []byte
	for first := int64(0); first < onDisk; first += pieceNodes {
		end := min(first+pieceNodes, onDisk)
		leaves, err := p.knownLeaves(first, int(end-first))
		if err != nil {
			return err
		}
		if len(leaves) == 0 {
			continue
		}
		if buf == nil {
			buf = make([]byte, pieceNodes*BlockSize)
		}
		n := min(end*BlockSize, p.side.head.Size) - first*BlockSize
		got, err := p.part.ReadAt(buf[:n], first*BlockSize)
		if int64(got) < n && err != io.EOF {
			return fmt.Errorf("read partial file: %w", err)
		}
		p.holdMatching(first, buf[:got], leaves)
	}
	return nil
}

// holdMatching holds those blocks of data that match. A last one that is cut off does not.
func (p *Partial) holdMatching(first int64, data []byte, leaves []Hash) {
	if p.id.Kind == BLAKE3 && p.shape.Blocks() == 1 {
		if RootOfBlock(data) == p.id.Hash {
			p.holdLocked(0, 1)
		}
		return
	}
	var good Ranges
	good.Add(first, first+int64(len(data)+BlockSize-1)/BlockSize)
	for _, i := range CheckBlocks(data, first, leaves, nil) {
		good.Remove(first+int64(i), first+int64(i)+1)
	}
	for _, r := range good.rs {
		p.holdLocked(r.From, r.To)
	}
}

// knownLeaves returns the leaves of up to 128 blocks that begin at a multiple of 128, unknown ones being zero; none
// at all when none is known.
func (p *Partial) knownLeaves(first int64, n int) ([]Hash, error) {
	if p.id.Kind == SHA256 {
		leaves, err := p.side.keptLeaves(first, n)
		for _, h := range leaves {
			if h != (Hash{}) {
				return leaves, err
			}
		}
		return nil, err
	}
	if p.shape.Blocks() == 1 {
		return make([]Hash, 1), nil // holdMatching asks the root instead
	}
	leaves, err := p.tree.Leaves(first, n, nil)
	if errors.Is(err, ErrNoParent) {
		return nil, nil
	}
	return leaves, err
}
