package transfer

import (
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
	queue  []wantedPiece // and not out
	later  []wantedPiece // not out, and nobody waits for them
	queued map[int]bool
	out    map[int]int64 // the block that each is wanted for
	stash  map[int]stashed
	cursor int // TreeOnly: pieces below are wanted already
	path   []int
	paths  []*path
	early  []int64 // blocks whose path was verified, and whose pieces are not all here yet
}

// wantedPiece is a piece of the tree, and the block that it is wanted for, -1: for none. Who
// holds the block verified it with that piece.
type wantedPiece struct {
	piece int
	block int64
}

type stashed struct {
	data  []byte
	from  *source
	sure  bool
	block int64
}

func newTreeFetch(shape chunk.Shape) treeFetch {
	return treeFetch{
		shape: shape, queued: make(map[int]bool),
		out: make(map[int]int64), stash: make(map[int]stashed),
	}
}

// wantLeaf queues what is missing of the path of a block. True: the leaf is
// there.
func (t *treeFetch) wantLeaf(f *chunk.Tree, block int64) bool {
	if t.shape.Blocks() <= 1 || f.Has(t.shape.LeafPiece(block)) {
		return true
	}
	if t.underPath(block) { // it is all that is needed
		t.want(f, t.shape.LeafPiece(block), block)
		return false
	}
	t.path = t.shape.PathPieces(block, t.path[:0])
	for _, p := range t.path {
		t.want(f, p, block)
	}
	return false
}

func (t *treeFetch) want(f *chunk.Tree, piece int, block int64) {
	if t.queued[piece] {
		if i := slices.IndexFunc(t.later, func(w wantedPiece) bool { return w.piece == piece }); i >= 0 {
			t.queue = append(t.queue, t.later[i])
			t.later = slices.Delete(t.later, i, i+1)
		}
	} else if t.lacks(f, piece) {
		t.queued[piece] = true
		t.queue = append(t.queue, wantedPiece{piece, block})
	}
}

// lacks says whether a piece is neither here nor on its way.
func (t *treeFetch) lacks(f *chunk.Tree, piece int) bool {
	_, early := t.stash[piece]
	_, out := t.out[piece]
	return !early && !out && !t.queued[piece] && !f.Has(piece)
}

// next takes the first wanted piece that fits says a peer has, of those for a block.
func (t *treeFetch) next(fits func(block int64) bool) (off int64, n int, ok bool) {
	return t.nextOf(&t.queue, fits)
}

// nextLater is next of what nobody waits for.
func (t *treeFetch) nextLater(fits func(block int64) bool) (off int64, n int, ok bool) {
	return t.nextOf(&t.later, fits)
}

func (t *treeFetch) nextOf(queue *[]wantedPiece, fits func(block int64) bool) (off int64, n int, ok bool) {
	i := slices.IndexFunc(*queue, func(w wantedPiece) bool { return fits(w.block) })
	if i < 0 {
		return 0, 0, false
	}
	w := (*queue)[i]
	*queue = slices.Delete(*queue, i, i+1)
	delete(t.queued, w.piece)
	off, n = t.shape.Piece(w.piece)
	t.out[w.piece] = w.block
	return off, n, true
}

// lost queues a piece again whose answer did not come or was of no use.
func (t *treeFetch) lost(off int64) {
	piece := t.shape.PieceAt(off)
	block, out := t.out[piece]
	if !out {
		return
	}
	delete(t.out, piece)
	t.queued[piece] = true
	t.queue = slices.Insert(t.queue, 0, wantedPiece{piece, block})
}

// wanted says for which block a piece is wanted that is out, or is to be asked for again as its answer seemed lost.
func (t *treeFetch) wanted(piece int) (block int64, ok bool) {
	if block, ok = t.out[piece]; ok || !t.queued[piece] {
		return block, ok
	}
	for _, queue := range [][]wantedPiece{t.queue, t.later} {
		if i := slices.IndexFunc(queue, func(w wantedPiece) bool { return w.piece == piece }); i >= 0 {
			return queue[i].block, true
		}
	}
	return 0, false
}

// came notes that a piece that was wanted is here.
func (t *treeFetch) came(piece int) {
	delete(t.out, piece)
	if t.queued[piece] {
		isIt := func(w wantedPiece) bool { return w.piece == piece }
		t.queue, t.later = slices.DeleteFunc(t.queue, isIt), slices.DeleteFunc(t.later, isIt)
		delete(t.queued, piece)
	}
}

// complete says whether the whole tree is verified; it queues what is not.
func (t *treeFetch) complete(f *chunk.Tree) bool {
	if t.shape.Blocks() <= 1 {
		return true
	}
	for t.cursor < t.shape.Pieces() && len(t.queue)+len(t.out) < maxStash {
		t.want(f, t.cursor, -1)
		t.cursor++
	}
	return t.cursor == t.shape.Pieces() && len(t.queue)+len(t.out)+len(t.stash) == 0
}

// arriveTree takes a piece of the tree, or a part of one. One that seemed lost and came late is as good: while a download is fast, content is
// taken at once and pieces wait for the loop, so that those which were asked for later often come before.
func (d *Download) arriveTree(s *source, a *arrival, fl flight) {
	r := request{tree: true, at: a.offset}
	whole := r
	if u := s.parts.of(r); u != nil {
		whole = u.whole
	} else if fl.part {
		d.stats.Twice++
		return
	}
	piece := d.tree.shape.PieceAt(whole.at)
	block, wanted := d.tree.wanted(piece)
	if !wanted || !s.usable(d.size, d.proven) {
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
		s.parts.came(whole)
		d.tree.came(piece)
		d.putPiece(s, wantedPiece{piece, block}, a.data[:a.n], a.proven, a.at)
	case fl.part && a.n == int(fl.n):
		s.noTree, s.short = 0, 0
		s.lastGot = a.at
		if u, done := s.parts.arrived(r, a.data[:a.n], a.proven); done {
			d.tree.came(piece)
			d.putPiece(s, wantedPiece{piece, block}, u.data, !u.weak, a.at)
			u.free()
		}
	default:
		// It has no tree, or we are not proven to it yet, or less fits its way.
		s.short++
		if s.short > shortsLimit || a.n == 0 || fl.part {
			s.noTree++
		}
		if a.n >= partBytes {
			s.length.tooLong(a.at)
		}
		if fl.part && s.treeless() {
			d.back(s, whole) // all wait for it
			return
		}
		d.lost(s, r, fl)
	}
}

// putPiece verifies a piece and what waited for it.
func (d *Download) putPiece(s *source, w wantedPiece, data []byte, sure bool, now time.Time) {
	err := d.cfg.File.Tree().Put(w.piece, data)
	switch {
	case err == nil:
	case isNoParent(err):
		if len(d.tree.stash) < maxStash {
			d.tree.stash[w.piece] = stashed{data: append([]byte(nil), data...), from: s, sure: sure, block: w.block}
			return
		}
		d.tree.want(d.cfg.File.Tree(), w.piece, w.block)
		return
	case isBadTree(err):
		d.tree.want(d.cfg.File.Tree(), w.piece, w.block)
		d.strike(s, sure)
		return
	default:
		d.fail(err)
		return
	}
	d.lastGood = now
	s.lastGot = now
	d.unstash(now, func(piece int) bool { return d.tree.shape.Parent(piece) == w.piece })
}

// unstash looks again at those of the pieces that wait which may be verified now.
func (d *Download) unstash(now time.Time, which func(piece int) bool) {
	var room [maxStash]int
	pieces := room[:0]
	for piece := range d.tree.stash {
		if which(piece) {
			pieces = append(pieces, piece)
		}
	}
	slices.Sort(pieces)
	for _, piece := range pieces {
		if st, ok := d.tree.stash[piece]; ok {
			delete(d.tree.stash, piece)
			d.putPiece(st.from, wantedPiece{piece, st.block}, st.data, st.sure, now)
		}
	}
}
