package transfer

import (
	"maps"
	"slices"
	"time"

	"sharer/chunk"
)

// maxStash bounds the pieces of a tree that wait for their parent: 16 of 4 KiB
// are the 64 KiB that a tree may cost in memory, and enough for the right edge
// of a tree of 2^28 blocks, 1 TiB, asked for in one go.
const maxStash = 24

// treeFetch is what of the tree is wanted, out, or early. Pieces are verified
// from the top; a whole path is asked for at once, and what overtakes its parent
// waits in the stash.
type treeFetch struct {
	shape  chunk.Shape
	queue  []int // wanted and not out
	queued map[int]bool
	out    map[int]bool
	stash  map[int]stashed
	cursor int // TreeOnly: pieces below are wanted already
	path   []int
}

type stashed struct {
	data []byte
	from *source
	sure bool
}

func newTreeFetch(shape chunk.Shape) treeFetch {
	return treeFetch{
		shape: shape, queued: make(map[int]bool),
		out: make(map[int]bool), stash: make(map[int]stashed),
	}
}

// wantLeaf queues what is missing of the path of a block. True: the leaf is
// there.
func (t *treeFetch) wantLeaf(f *chunk.Tree, block int64) bool {
	if t.shape.Blocks() <= 1 || f.Has(t.shape.LeafPiece(block)) {
		return true
	}
	t.path = t.shape.PathPieces(block, t.path[:0])
	for _, p := range t.path {
		t.want(f, p)
	}
	return false
}

func (t *treeFetch) want(f *chunk.Tree, piece int) {
	if _, early := t.stash[piece]; early || t.queued[piece] || t.out[piece] || f.Has(piece) {
		return
	}
	t.queued[piece] = true
	t.queue = append(t.queue, piece)
}

// next takes the first wanted piece.
func (t *treeFetch) next() (off int64, n int, ok bool) {
	if len(t.queue) == 0 {
		return 0, 0, false
	}
	piece := t.queue[0]
	t.queue = t.queue[1:]
	delete(t.queued, piece)
	off, n = t.shape.Piece(piece)
	t.out[piece] = true
	return off, n, true
}

// lost queues a piece again whose answer did not come or was of no use.
func (t *treeFetch) lost(off int64) {
	piece := t.shape.PieceAt(off)
	if !t.out[piece] {
		return
	}
	delete(t.out, piece)
	t.queued[piece] = true
	t.queue = append([]int{piece}, t.queue...)
}

// complete says whether the whole tree is verified; it queues what is not.
func (t *treeFetch) complete(f *chunk.Tree) bool {
	if t.shape.Blocks() <= 1 {
		return true
	}
	for t.cursor < t.shape.Pieces() && len(t.queue)+len(t.out) < maxStash {
		t.want(f, t.cursor)
		t.cursor++
	}
	return t.cursor == t.shape.Pieces() && len(t.queue)+len(t.out)+len(t.stash) == 0
}

// arriveTree takes a piece of the tree, or a part of one.
func (d *Download) arriveTree(s *source, a arrival, fl flight) {
	r := request{tree: true, at: a.offset}
	whole := r
	if u := s.parts.of[r]; u != nil {
		whole = u.whole
	} else if fl.part {
		d.stats.Twice++
		return
	}
	piece := d.tree.shape.PieceAt(whole.at)
	if !d.tree.out[piece] || !s.usable(d.size, d.proven) {
		d.back(s, whole)
		return
	}
	// The answer to an earlier request for all of it may come after one for a part.
	_, size := d.tree.shape.Piece(piece)
	falseSize := a.eof >= 0 && a.eof != d.tree.shape.FileSize()
	switch {
	case falseSize || a.n > size:
		d.back(s, whole)
		d.strike(s, a.proven)
	case a.n == size && r == whole:
		s.noTree, s.short = 0, 0
		s.parts.drop(whole)
		delete(d.tree.out, piece)
		d.putPiece(s, piece, a.data[:a.n], a.proven, a.at)
	case fl.part && a.n == int(fl.n):
		s.noTree, s.short = 0, 0
		s.lastGot = a.at
		if u, done := s.parts.arrived(r, a.data[:a.n], a.proven); done {
			delete(d.tree.out, piece)
			d.putPiece(s, piece, u.data[:u.size], !u.weak, a.at)
			blockPool.Put(u.data)
		}
	default:
		// It has no tree, or we are not proven to it yet, or less fits its way.
		s.short++
		if s.short > shortsLimit || a.n == 0 {
			s.noTree++
		}
		if a.n >= partBytes {
			s.length.tooLong(a.at)
		}
		d.lost(s, r, fl)
	}
}

// putPiece verifies a piece and what waited for it.
func (d *Download) putPiece(s *source, piece int, data []byte, sure bool, now time.Time) {
	err := d.cfg.File.Tree().Put(piece, data)
	switch {
	case err == nil:
	case isNoParent(err):
		if len(d.tree.stash) < maxStash {
			d.tree.stash[piece] = stashed{data: append([]byte(nil), data...), from: s, sure: sure}
			return
		}
		d.tree.want(d.cfg.File.Tree(), piece)
		return
	case isBadTree(err):
		d.tree.want(d.cfg.File.Tree(), piece)
		d.strike(s, sure)
		return
	default:
		d.fail(err)
		return
	}
	d.lastGood = now
	s.lastGot = now
	for _, child := range slices.Sorted(maps.Keys(d.tree.stash)) {
		if st, ok := d.tree.stash[child]; ok && d.tree.shape.Parent(child) == piece {
			delete(d.tree.stash, child)
			d.putPiece(st.from, child, st.data, st.sure, now)
		}
	}
}
