package chunk

// earlyPaths bounds the paths whose leaves a Tree remembers beside its pieces: 16 of 80 bytes.
const earlyPaths = 16

// earlyLeaves are the leaves at the end of one path.
type earlyLeaves struct {
	first int64
	n     int // 0: none
	cvs   [2]Hash
}

// PathNodes returns where in the tree file the two nodes of a level lie that a block's path goes through: the one
// above the block and its sibling. n is 0 where the path has none: there is no such level or block, or an odd last
// node was carried up, which is then the same as the one above it.
func (s Shape) PathNodes(block int64, level int) (off int64, n int) {
	first := block >> level &^ 1
	if block < 0 || block >= s.blocks || first+1 >= s.LevelLen(level) {
		return 0, 0
	}
	return s.Offset(level, first), 2 * nodeSize
}

// PutPath verifies the nodes of one block's path, those of PathNodes from the highest level down, and remembers the
// leaves at its end for as long as not too many others come: Leaves and HasLeaf know them, as if their piece were
// held. Nothing is written, and nothing of it can be read by ReadAt. The error is ErrBadTree when the nodes contradict
// the root, fs.ErrClosed when the tree was given up.
func (t *Tree) PutPath(block int64, nodes []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errTreeClosed
	}
	if !t.valid || t.shape.Blocks() <= 1 || block < 0 || block >= t.shape.Blocks() {
		return ErrBadTree
	}
	above := t.root
	e := earlyLeaves{first: block, n: 1}
	for level := t.shape.Levels() - 1; level >= 0; level-- {
		_, n := t.shape.PathNodes(block, level)
		if n == 0 {
			continue
		}
		if len(nodes) < n {
			return ErrBadTree
		}
		pair := [2]Hash{Hash(nodes), Hash(nodes[nodeSize:])}
		nodes = nodes[n:]
		node := ParentCV(pair[0], pair[1])
		if level == t.shape.Levels()-1 {
			node = RootOf(pair[0], pair[1])
		}
		if node != above {
			return ErrBadTree
		}
		above = pair[block>>level&1]
		if level == 0 {
			e = earlyLeaves{first: block &^ 1, n: 2, cvs: pair}
		}
	}
	if len(nodes) > 0 {
		return ErrBadTree
	}
	if e.n == 1 {
		e.cvs[0] = above
	}
	t.early[t.nextEarly%earlyPaths] = e
	t.nextEarly++
	return nil
}

// earlyLocked returns the leaf of a block from the paths that came.
func (t *Tree) earlyLocked(block int64) (cv Hash, ok bool) {
	for i := range t.early {
		if e := &t.early[i]; block >= e.first && block < e.first+int64(e.n) {
			return e.cvs[block-e.first], true
		}
	}
	return Hash{}, false
}
