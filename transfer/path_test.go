package transfer

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"sharer/chunk"
)

// treeBytes is a tree file in memory.
type treeBytes []byte

func (m *treeBytes) WriteAt(p []byte, off int64) (int, error) {
	if grow := int(off) + len(p) - len(*m); grow > 0 {
		*m = append(*m, make([]byte, grow)...)
	}
	return copy((*m)[off:], p), nil
}

func (m *treeBytes) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(*m).ReadAt(p, off)
}

func treeFor(t *testing.T, size int) (chunk.Hash, treeBytes) {
	t.Helper()
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{8}).Read(data)
	var file treeBytes
	sums, err := chunk.Sum(context.Background(), bytes.NewReader(data), int64(size), &file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sums.BLAKE3, file
}

// The path of two blocks of any file verifies both, from answers of one packet each.
func TestPathsVerify(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, size := range []int{300 << 10, 1<<20 + 1, 129 * 4096, 257 * 4096, 640*4096 - 5, 3 << 20} {
		root, file := treeFor(t, size)
		shape := chunk.ShapeOf(int64(size))
		for _, blocks := range [][]int64{{0, shape.Blocks() - 1}, {r.Int64N(shape.Blocks())}, {shape.Blocks()/2 - 1, shape.Blocks() / 2}} {
			p := newPath(shape, blocks)
			for i := range p.spans {
				s := &p.spans[i]
				if s.n > spanMost || i > 0 && s.at < p.spans[i-1].end() || p.whole() {
					t.Fatalf("%d bytes, blocks %d: %+v", size, blocks, p.spans)
				}
				s.data = file[s.at:s.end()]
			}
			tree := chunk.NewTree(root, int64(size), new(treeBytes), 0)
			for _, b := range blocks {
				if err := tree.PutPath(b, p.nodes(shape, b)); err != nil || !tree.HasLeaf(b) {
					t.Errorf("%d bytes, block %d: %v", size, b, err)
				}
			}
		}
	}
}

// What the two paths at first contact cost: they leave room for two blocks in a first window.
func TestPathsAreShort(t *testing.T) {
	for size, most := range map[int64]int{64 << 20: 12, 1 << 30: 16, 1<<30 - 12345: 16, 1 << 40: 26, chunk.MaxSize: 60} {
		shape := chunk.ShapeOf(size)
		p := newPath(shape, []int64{0, shape.Blocks() - 1})
		n := 0
		for _, s := range p.spans {
			n += s.n
		}
		t.Logf("%d bytes: %d questions for %d bytes", size, len(p.spans), n)
		if len(p.spans) > most || n > 256*shape.Levels() {
			t.Errorf("%d bytes: %d questions for %d bytes", size, len(p.spans), n)
		}
	}
}

// Paths are asked for once, a few at a time, and given up after some losses; two that share nodes wait for one another.
func TestWantPath(t *testing.T) {
	const size = 3 << 20
	root, file := treeFor(t, size)
	tree := chunk.NewTree(root, size, new(treeBytes), 0)
	f := newTreeFetch(tree.Shape())
	last := f.shape.Blocks() - 1
	want := func(blocks ...int64) { f.wantPath(tree, blocks) }
	want(last, 0, 300) // two at a time
	want(last, 0, 300)
	if len(f.paths) != 2 || f.pathOf(300) == nil && f.pathOf(last) == nil || !f.awaits(0) {
		t.Fatalf("%d paths", len(f.paths))
	}
	a, b := f.paths[0], f.paths[1]
	a.giver, b.giver = 4, 5
	for s := f.nextSpan(a); s != nil; s = f.nextSpan(a) {
		s.out = true
	}
	for s := f.nextSpan(b); s != nil; s = f.nextSpan(b) {
		if i := a.find(s.at); i >= 0 {
			t.Fatalf("nodes at %d are out twice", s.at)
		}
		s.out = true
	}
	at := a.spans[0].at
	if p, s := f.spanFor(at, 3); p != a || s != &a.spans[0] {
		t.Error("a span that is out is not found")
	}
	if p, _ := f.spanFor(at, 9); p != nil {
		t.Error("a span is found that somebody else gives")
	}
	for range spanTries - 1 {
		if f.lostSpan(at); a.over {
			t.Fatal("given up too early")
		}
		a.spans[0].out = true
	}
	if f.lostSpan(at); !a.over || f.awaits(0) {
		t.Error("a path that never comes is not given up")
	}
	want(0) // it was tried
	want(100)
	want(200)
	want(400) // the one that is over gives way
	want(500) // no room
	if len(f.paths) != maxPaths || f.pathOf(400) == nil || f.pathOf(0) != nil || f.pathOf(500) != nil {
		t.Errorf("%d paths; 400 %v, 0 %v, 500 %v", len(f.paths), f.pathOf(400), f.pathOf(0), f.pathOf(500))
	}
	b.over = true
	f.out[f.shape.LeafPiece(600)] = 600
	if want(601); f.pathOf(601) != nil {
		t.Error("a path is asked for though its piece comes")
	}
	for _, p := range f.shape.PathPieces(700, nil) {
		off, n := f.shape.Piece(p)
		if err := tree.Put(p, file[off:off+int64(n)]); err != nil {
			t.Fatal(err)
		}
	}
	if want(700); f.pathOf(700) != nil {
		t.Error("a path is asked for though its leaf is here")
	}
	f = newTreeFetch(chunk.ShapeOf(200_000))
	if want(0); len(f.paths) != 0 {
		t.Error("a path is asked for where the head has all of the tree")
	}
}

// Under a path nothing but the piece with the leaf is waited for. The pieces between come when there is time, or when something else
// needs them, and all of them do.
func TestPiecesBetweenComeLater(t *testing.T) {
	const size = 3 << 20
	root, file := treeFor(t, size)
	tree := chunk.NewTree(root, size, new(treeBytes), 0)
	f := newTreeFetch(tree.Shape())
	const block = 700
	f.wantPath(tree, []int64{block})
	if f.wantLeaf(tree, block) || len(f.queue) != 1 || f.queue[0].piece != f.shape.LeafPiece(block) || len(f.later) != 0 {
		t.Fatalf("%+v is waited for", f.queue)
	}
	if f.wantLeaf(tree, block-128); len(f.queue) != 2 {
		t.Fatalf("%+v is waited for, with the piece beside it", f.queue)
	}
	p := f.paths[0]
	for i := range p.spans {
		p.spans[i].data = file[p.spans[i].at:p.spans[i].end()]
	}
	if err := tree.PutPath(block, p.nodes(f.shape, block)); err != nil {
		t.Fatal(err)
	}
	p.over, p.good = true, true
	f.early = append(f.early, block)
	f.wantEarly(tree)
	f.wantEarly(tree)
	path := f.shape.PathPieces(block, nil)
	if len(f.later) != len(path)-1 || len(f.early) != 1 {
		t.Fatalf("%+v of %d come later", f.later, path)
	}
	f.wantLeaf(tree, 0) // under no path
	if len(f.queue) != 2+len(f.shape.PathPieces(0, nil)) || len(f.later) >= len(path)-1 {
		t.Errorf("%+v is waited for, later %+v", f.queue, f.later)
	}
	anybody := func(int64) bool { return true }
	for next := range 2 {
		for {
			off, n, ok := f.next(anybody)
			if next == 1 {
				off, n, ok = f.nextLater(anybody)
			}
			if !ok {
				break
			}
			if err := tree.Put(f.shape.PieceAt(off), file[off:off+int64(n)]); err != nil {
				t.Errorf("the piece at %d: %v", off, err)
			}
			delete(f.out, f.shape.PieceAt(off))
		}
	}
	if f.wantEarly(tree); len(f.early) != 0 {
		t.Errorf("pieces of %d are not here", f.early)
	}
}
