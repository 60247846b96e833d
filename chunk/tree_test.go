package chunk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// pieces cuts a tree file.
func pieces(s Shape, tree []byte) [][]byte {
	var ps [][]byte
	for p := range s.Pieces() {
		off, n := s.Piece(p)
		ps = append(ps, tree[off:off+int64(n)])
	}
	return ps
}

// putAll puts every piece in the order of the file.
func putAll(t testing.TB, tree *Tree, file []byte) {
	t.Helper()
	for p, data := range pieces(tree.Shape(), file) {
		if err := tree.Put(p, data); err != nil {
			t.Fatalf("piece %d: %v", p, err)
		}
	}
}

var treeSizes = []int{4097, 8192, 12288, 12289, 28673, 100000, 262144, 262145, 400*4096 + 1, 640 * 4096, 1100*4096 - 7}

// TestTree puts the pieces in random order, each as soon as its parent is there, and compares at every step what can be read.
func TestTree(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, size := range treeSizes {
		content := random(6, size)
		sums, file := treeOf(t, content)
		const base = 777
		var m memory
		tree := NewTree(sums.BLAKE3, int64(size), &m, base)
		s := tree.Shape()
		ps := pieces(s, file)
		held := make([]bool, len(ps))
		for _, p := range r.Perm(len(ps)) {
			if parent := s.Parent(p); parent >= 0 && !held[parent] {
				// The nodes above are in the backing, but not verified.
				if err := writeAt(&m, file, base); err != nil {
					t.Fatal(err)
				}
				if err := tree.Put(p, ps[p]); err != ErrNoParent {
					t.Fatalf("size %d: piece %d before its parent: %v", size, p, err)
				}
			}
			for _, q := range s.PathPieces(blockUnder(s, p), nil) {
				if q > p {
					break
				}
				if err := tree.Put(q, ps[q]); err != nil {
					t.Fatalf("size %d: piece %d: %v", size, q, err)
				}
				held[q] = true
			}
			checkTree(t, tree, file, held)
		}
		if !tree.Complete() || !bytes.Equal(m.b[base:], file) {
			t.Fatalf("size %d: the tree is not complete, or not as it was", size)
		}
		leaves, err := tree.Leaves(0, int(s.Blocks()), nil)
		if err != nil || !slices.Equal(leaves, LeafCVs(nil, content, 0)) {
			t.Fatalf("size %d: leaves differ: %v", size, err)
		}
		if err := tree.Put(0, []byte("rubbish")); err != nil {
			t.Errorf("size %d: a piece that is held: %v", size, err)
		}
	}
}

// blockUnder is some block whose path goes through a piece.
func blockUnder(s Shape, p int) int64 {
	level, j, ok := s.place(p)
	if !ok {
		return 0
	}
	return j * pieceNodes << level
}

func checkTree(t *testing.T, tree *Tree, file []byte, held []bool) {
	t.Helper()
	s := tree.Shape()
	got := make([]byte, len(file)+10)
	want := int64(headerSize)
	for p, have := range held {
		if tree.Has(p) != have {
			t.Fatalf("Has(%d) = %v", p, !have)
		}
		off, n := s.Piece(p)
		if have && off <= want {
			want = off + int64(n)
		}
		if !have {
			if n, err := tree.ReadAt(got[:5], max(off, headerSize)); n != 0 || err != ErrNotHeld {
				t.Fatalf("reading piece %d, which is not held: %d, %v", p, n, err)
			}
		} else if k, err := tree.ReadAt(got[:n], off); k != n || err != nil || !bytes.Equal(got[:n], file[off:off+int64(n)]) {
			t.Fatalf("reading piece %d: %d, %v", p, k, err)
		}
	}
	n, err := tree.ReadAt(got, 0)
	wantErr := ErrNotHeld
	if want == int64(len(file)) {
		wantErr = io.EOF
	}
	if int64(n) != want || err != wantErr || !bytes.Equal(got[:n], file[:n]) {
		t.Fatalf("ReadAt from the start: %d, %v, want %d, %v", n, err, want, wantErr)
	}
	for _, b := range []int64{0, s.Blocks() / 2, s.Blocks() - 1} {
		have := held[s.LeafPiece(b)]
		leaves, err := tree.Leaves(b, 1, []Hash{{9}})
		if tree.HasLeaf(b) != have || (err == nil) != have || err != nil && err != ErrNoParent || leaves[0] != (Hash{9}) {
			t.Fatalf("leaf %d: has %v, %v, want %v", b, tree.HasLeaf(b), err, have)
		}
	}
	if _, err := tree.Leaves(s.Blocks()-1, 2, nil); err != ErrNoParent {
		t.Fatalf("leaves behind the last: %v", err)
	}
}

// TestTreeFlips flips one bit in every node of every level, and in the header and the root: the piece must be refused, and with it nothing else.
func TestTreeFlips(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, size := range treeSizes[:9] {
		sums, file := treeOf(t, random(7, size))
		s := ShapeOf(int64(size))
		var m memory
		tree := NewTree(sums.BLAKE3, int64(size), &m, 0)
		for p, data := range pieces(s, file) {
			for i := 0; i < len(data); i += 32 {
				wrong := slices.Clone(data)
				wrong[i+r.IntN(32)] ^= 1 << r.IntN(8)
				if err := tree.Put(p, wrong); err != ErrBadTree {
					t.Fatalf("size %d, piece %d, a bit at %d: %v", size, p, i, err)
				}
			}
			for _, wrong := range [][]byte{nil, data[:len(data)-32], data[:len(data)-1], append(slices.Clone(data), 0)} {
				if err := tree.Put(p, wrong); err != ErrBadTree {
					t.Fatalf("size %d, piece %d, %d bytes: %v", size, p, len(wrong), err)
				}
			}
			if err := tree.Put(p, data); err != nil {
				t.Fatalf("size %d, piece %d: %v", size, p, err)
			}
		}
		sums.BLAKE3[r.IntN(32)] ^= 1 << r.IntN(8)
		if err := NewTree(sums.BLAKE3, int64(size), &m, 0).Put(0, file[:len(pieces(s, file)[0])]); err != ErrBadTree {
			t.Errorf("size %d, a bit of the root: %v", size, err)
		}
		for _, p := range []int{-1, s.Pieces(), 1 << 30} {
			if err := tree.Put(p, make([]byte, 32)); err != ErrBadTree {
				t.Errorf("size %d, piece %d: %v", size, p, err)
			}
		}
	}
}

// TestFalseSizes claims other sizes. A tree of another number of blocks must be refused by a piece, or by the last block of the content,
// and never let a false last block pass.
func TestFalseSizes(t *testing.T) {
	refused, caught := 0, 0
	for _, size := range treeSizes {
		content := random(8, size)
		sums, file := treeOf(t, content)
		for _, claim := range []int{1, 4096, size - 4096, size - 1, size + 1, size + 4096, 2 * size, size / 2, (size + 1) / 2, size * 256, 1 << 30} {
			if claim <= 0 {
				continue
			}
			var m memory
			tree := NewTree(sums.BLAKE3, int64(claim), &m, 0)
			s := tree.Shape()
			bad := false
			for _, p := range s.PathPieces(s.Blocks()-1, nil) {
				// The liar's best: what the true file has at that place.
				off, n := s.Piece(p)
				if off+int64(n) > int64(len(file)) || s.Blocks() > 1 && tree.Put(p, file[off:off+int64(n)]) != nil {
					bad = true
					break
				}
			}
			if bad {
				refused++
				continue
			}
			caught++
			last := make([]byte, s.BlockLen(s.Blocks()-1))
			copy(last, content[min(size, int(s.Blocks()-1)*BlockSize):])
			if s.Blocks() == 1 {
				if RootOfBlock(last) == sums.BLAKE3 {
					t.Fatalf("size %d as %d: the block has the root", size, claim)
				}
				continue
			}
			leaves, err := tree.Leaves(s.Blocks()-1, 1, nil)
			if err != nil || len(CheckBlocks(last, s.Blocks()-1, leaves, nil)) == 0 {
				t.Fatalf("size %d as %d: the last block matches, %v", size, claim, err)
			}
		}
	}
	if refused < 20 || caught < 20 {
		t.Errorf("%d refused by a piece, %d by the last block: both were to be seen", refused, caught)
	}
}

// TestTreeCost claims the largest sizes: no memory, no time, no panic.
func TestTreeCost(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var trees []*Tree
	for _, size := range []int64{MaxSize, MaxSize - 1, 1 << 45, MaxSize + 1, 1<<63 - 1, -1, -1 << 63} {
		var m memory
		tree := NewTree(Hash{1}, size, &m, 1<<13)
		trees = append(trees, tree)
		for _, p := range []int{0, 1, 2, tree.Shape().Pieces() - 1, 1 << 30, -1} {
			if err := tree.Put(p, make([]byte, 4096)); err == nil {
				t.Errorf("size %d: piece %d is taken", size, p)
			}
		}
		if err := tree.Recover(); err != nil || tree.Complete() || tree.HasLeaf(0) || tree.Has(0) {
			t.Errorf("size %d: something is held: %v", size, err)
		}
		if n, err := tree.ReadAt(make([]byte, 100), 1<<40); n != 0 || err == nil {
			t.Errorf("size %d: %d bytes are read", size, n)
		}
		if len(m.b) > 0 {
			t.Errorf("size %d: %d bytes are written", size, len(m.b))
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
	runtime.KeepAlive(trees)
}

func TestTreeOfOneBlock(t *testing.T) {
	for _, size := range []int{0, 1, 100, 4096} {
		sums, file := treeOf(t, counting(int64(size)))
		var m memory
		tree := NewTree(sums.BLAKE3, int64(size), &m, 0)
		if !tree.Complete() || !tree.Has(0) || tree.HasLeaf(0) || tree.Shape().Pieces() != 1 {
			t.Errorf("size %d: complete %v, head %v, leaf %v", size, tree.Complete(), tree.Has(0), tree.HasLeaf(0))
		}
		if err := tree.Put(0, file); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
		if _, err := tree.Leaves(0, 1, nil); err != ErrNoParent {
			t.Errorf("size %d: leaves: %v", size, err)
		}
		got := make([]byte, 200)
		n, err := tree.ReadAt(got, 0)
		if wantErr := map[bool]error{true: io.EOF, false: ErrNotHeld}[size == 0]; n != 64 || err != wantErr || !bytes.Equal(got[:n], file[:64]) {
			t.Errorf("size %d: ReadAt %d, %v", size, n, err)
		}
		if err := tree.Recover(); err != nil || !tree.Complete() {
			t.Errorf("size %d: after Recover %v, %v", size, tree.Complete(), err)
		}
	}
}

// TestRecover leaves some pieces away or breaks them: exactly what hangs on them is lost.
func TestRecover(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, size := range treeSizes {
		sums, file := treeOf(t, random(9, size))
		for range 5 {
			m := memory{append(make([]byte, 50), file...)}
			tree := NewTree(sums.BLAKE3, int64(size), &m, 50)
			s := tree.Shape()
			held := make([]bool, s.Pieces())
			cut := int64(len(file))
			if r.IntN(2) == 0 {
				cut = r.Int64N(cut + 1)
				m.b = m.b[:50+cut]
			}
			for p := range held {
				off, n := s.Piece(p)
				held[p] = off+int64(n) <= cut && (p == 0 || held[s.Parent(p)])
				if off+int64(n) <= cut && r.IntN(2+p) == 1 {
					m.b[50+off+r.Int64N(int64(n))] ^= 4
					held[p] = false
				}
			}
			if err := tree.Recover(); err != nil {
				t.Fatal(err)
			}
			checkTree(t, tree, file, held)
		}
	}
}

type brokenBacking struct{ memory }

var errIO = errors.New("input/output error")

func (brokenBacking) ReadAt([]byte, int64) (int, error) { return 0, errIO }

func TestTreeIO(t *testing.T) {
	sums, file := treeOf(t, random(10, 400*4096))
	var m brokenBacking
	tree := NewTree(sums.BLAKE3, 400*4096, &m, 0)
	ps := pieces(tree.Shape(), file)
	if err := tree.Put(0, ps[0]); err != nil {
		t.Fatal(err)
	}
	if err := tree.Put(1, ps[1]); !errors.Is(err, errIO) || tree.Has(1) {
		t.Errorf("Put over a broken disk: %v", err)
	}
	if err := tree.Recover(); !errors.Is(err, errIO) {
		t.Errorf("Recover from a broken disk: %v", err)
	}
	full := struct {
		io.ReaderAt
		io.WriterAt
	}{&m, &fullDisk{}}
	tree = NewTree(sums.BLAKE3, 400*4096, full, 0)
	if err := tree.Put(0, ps[0]); !errors.Is(err, errFull) || tree.Has(0) {
		t.Errorf("Put to a full disk: %v", err)
	}
	tree.close()
	_, leavesErr := tree.Leaves(0, 1, nil)
	_, readErr := tree.ReadAt(make([]byte, 1), 0)
	for _, err := range []error{tree.Put(0, ps[0]), leavesErr, readErr} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("after close: %v", err)
		}
	}
}

// FuzzTreePut offers any piece for any size: never a panic, and what verifies is the piece of the true tree.
func FuzzTreePut(f *testing.F) {
	const trueSize = 300 * BlockSize
	content := random(11, trueSize)
	var m memory
	sums, file := treeOf(f, content)
	for p, data := range pieces(ShapeOf(trueSize), file) {
		f.Add(int64(trueSize), p, data, uint8(3))
		f.Add(int64(trueSize), p, data[:len(data)-32], uint8(0))
	}
	f.Add(int64(trueSize/2), 0, file[:4096], uint8(9))
	f.Add(MaxSize, 1<<30, []byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, size int64, piece int, data []byte, first uint8) {
		m = memory{}
		tree := NewTree(sums.BLAKE3, size, &m, 0)
		s := tree.Shape()
		if size == trueSize { // so far down as the fuzzer wants, the true pieces are there
			for p, data := range pieces(s, file)[:min(int(first), s.Pieces())] {
				if err := tree.Put(p, data); err != nil {
					t.Fatal(err)
				}
			}
		}
		had := tree.Has(piece)
		if err := tree.Put(piece, data); err != nil || had || s.Blocks() <= 1 {
			return
		}
		off, n := s.Piece(piece)
		if s.Blocks() == trueSize/BlockSize && !bytes.Equal(data, file[off:off+int64(n)]) {
			t.Fatalf("piece %d verifies, and is not the true one", piece)
		}
		// Of a false size only the top can verify, which is the top of the true tree.
		if nodes := data[min(len(data), 64):]; piece == 0 && !bytes.Contains(file, nodes) && len(nodes) <= 64 {
			t.Fatal("top nodes verify, and are not the true ones")
		}
	})
}

func ExampleShape_PathPieces() {
	s := ShapeOf(1 << 30) // 262,144 blocks
	fmt.Println(s.Pieces(), s.PathPieces(200000, nil))
	// Output: 4096 [0 1 3 7 14 28 56 112 225 451 902 1805 3610]
}
