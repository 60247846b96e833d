package chunk

// earlyPaths bounds the paths that a Tree remembers beside its pieces: 16 of 64 bytes a level, 39 KB for 1 PiB.
const earlyPaths = 16

// pieceLevels is how many levels above a piece one node has all of it below: 2^7 = 128.
const pieceLevels = 7

// earlyPath is a path that was verified: of each level the two nodes of PathNodes, where there are such.
type earlyPath struct {
	block int64
	pairs [][2]Hash // by level; none: nothing is remembered here
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

// PutPath verifies the nodes of one block's path, those of PathNodes from the highest level down, and remembers them
// for as long as not too many others come: Leaves and HasLeaf know the leaves at its end as if their piece were held,
// and Put verifies pieces by its nodes whose parents are not. Nothing is written, and nothing of it can be read by
// ReadAt. The error is ErrBadTree when the nodes contradict the root, fs.ErrClosed when the tree was given up.
func (t *Tree) PutPath(block int64, nodes []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errTreeClosed
	}
	if !t.valid || t.shape.Blocks() <= 1 || block < 0 || block >= t.shape.Blocks() {
		return ErrBadTree
	}
	above, top := t.root, t.shape.Levels()-1
	e := earlyPath{block: block, pairs: make([][2]Hash, top+1)}
	for level := top; level >= 0; level-- {
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
		if level == top {
			node = RootOf(pair[0], pair[1])
		}
		if node != above {
			return ErrBadTree
		}
		above, e.pairs[level] = pair[block>>level&1], pair
	}
	if len(nodes) > 0 {
		return ErrBadTree
	}
	t.early[t.nextEarly%earlyPaths] = e
	t.nextEarly++
	return nil
}

// earlyLocked returns a node that a path has brought.
func (t *Tree) earlyLocked(level int, i int64) (cv Hash, ok bool) {
	if i >= t.shape.LevelLen(level) {
		return Hash{}, false
	}
	for k := range t.early {
		e := &t.early[k]
		for level, i := level, i; level < len(e.pairs) && i>>1 == e.block>>level>>1; level, i = level+1, i>>1 {
			if _, n := t.shape.PathNodes(e.block, level); n > 0 {
				return e.pairs[level][i&1], true
			}
		}
	}
	return Hash{}, false
}

// verifyEarlyLocked compares a piece whose parent is not held with the node of a path that is above all of it.
func (t *Tree) verifyEarlyLocked(piece int, data []byte) error {
	level, j, _ := t.shape.place(piece)
	above, ok := t.earlyLocked(level+pieceLevels, j)
	if !ok {
		return ErrNoParent
	}
	nodes := append(t.nodes[:0], data...)
	for len(nodes) > nodeSize {
		up := nodes[:0]
		for ; len(nodes) > nodeSize; nodes = nodes[2*nodeSize:] {
			cv := ParentCV(Hash(nodes), Hash(nodes[nodeSize:]))
			up = append(up, cv[:]...)
		}
		nodes = append(up, nodes...) // an odd last one is carried up
	}
	if Hash(nodes) != above {
		return ErrBadTree
	}
	return nil
}
