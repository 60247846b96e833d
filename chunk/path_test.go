package chunk

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// pathOf takes the nodes of a block's path out of a tree file.
func pathOf(s Shape, file []byte, block int64) (nodes []byte) {
	for level := s.Levels() - 1; level >= 0; level-- {
		off, n := s.PathNodes(block, level)
		nodes = append(nodes, file[off:off+int64(n)]...)
	}
	return nodes
}

// TestPath proves blocks by their paths alone, none of whose pieces is held: leaf and blocks are as those of the whole tree, and a bit
// that is another, or a node more or less, is refused.
func TestPath(t *testing.T) {
	r := rand.New(rand.NewPCG(20, 21))
	for _, size := range append(treeSizes, 129*4096, 257*4096, 513*4096+1) {
		content := random(20, size)
		sums, file := treeOf(t, content)
		s := ShapeOf(int64(size))
		leaves := LeafCVs(nil, content, 0)
		for _, b := range []int64{0, 1, s.Blocks() - 1, s.Blocks() - 2, r.Int64N(s.Blocks())} {
			tree := NewTree(sums.BLAKE3, int64(size), &memory{}, 0)
			path := pathOf(s, file, b)
			for i := 0; i < len(path); i += 32 {
				wrong := slices.Clone(path)
				wrong[i+r.IntN(32)] ^= 1 << r.IntN(8)
				if err := tree.PutPath(b, wrong); err != ErrBadTree || tree.HasLeaf(b) {
					t.Fatalf("size %d, block %d: a bit at %d: %v", size, b, i, err)
				}
			}
			for _, wrong := range [][]byte{nil, path[:len(path)-64], path[:len(path)-1], append(slices.Clone(path), path...)} {
				if err := tree.PutPath(b, wrong); err != ErrBadTree || tree.HasLeaf(b) {
					t.Fatalf("size %d, block %d: %d bytes: %v", size, b, len(wrong), err)
				}
			}
			if err := tree.PutPath(b, path); err != nil || !tree.HasLeaf(b) {
				t.Fatalf("size %d, block %d: %v", size, b, err)
			}
			if got, err := tree.Leaves(b, 1, nil); err != nil || got[0] != leaves[b] {
				t.Fatalf("size %d, block %d: leaf %x, %v", size, b, got, err)
			}
			if tree.Has(s.LeafPiece(b)) || tree.Complete() {
				t.Fatalf("size %d, block %d: a path is no piece", size, b)
			}
		}
		for _, b := range []int64{-1, s.Blocks()} {
			if err := NewTree(sums.BLAKE3, int64(size), &memory{}, 0).PutPath(b, nil); err != ErrBadTree {
				t.Errorf("size %d, block %d: %v", size, b, err)
			}
		}
	}
}

// TestPathsAndPieces reads leaves that come from both, and forgets the oldest path.
func TestPathsAndPieces(t *testing.T) {
	const blocks = 4 * pieceNodes
	content := random(22, blocks*BlockSize)
	sums, file := treeOf(t, content)
	var m memory
	tree := NewTree(sums.BLAKE3, blocks*BlockSize, &m, 0)
	s := tree.Shape()
	ps := pieces(s, file)
	for _, p := range s.PathPieces(pieceNodes, nil) { // the leaves of blocks 128 to 255
		if err := tree.Put(p, ps[p]); err != nil {
			t.Fatal(err)
		}
	}
	put := func(b int64) {
		if err := tree.PutPath(b, pathOf(s, file, b)); err != nil {
			t.Fatal(err)
		}
	}
	put(pieceNodes - 1)
	put(2 * pieceNodes)
	want := LeafCVs(nil, content, 0)[pieceNodes-2 : 2*pieceNodes+2]
	if got, err := tree.Leaves(pieceNodes-2, pieceNodes+4, nil); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%d leaves of pieces and paths: %v", len(got), err)
	}
	if got, err := tree.Leaves(pieceNodes-2, pieceNodes+5, nil); err != ErrNoParent || len(got) != 0 {
		t.Fatalf("%d leaves, one of which is not there: %v", len(got), err)
	}
	for i := range int64(earlyPaths - 1) {
		put(3*pieceNodes + 2*i)
	}
	if tree.HasLeaf(pieceNodes-1) || !tree.HasLeaf(2*pieceNodes) || !tree.HasLeaf(pieceNodes) {
		t.Error("the oldest path, and no other, gives way")
	}
}

// TestPiecesUnderPaths verifies pieces whose parents are not held by a node of a path high above them: its own and its sibling's, bit by
// bit, and no others.
func TestPiecesUnderPaths(t *testing.T) {
	r := rand.New(rand.NewPCG(24, 25))
	for _, size := range []int{257 * 4096, 400*4096 + 1, 640 * 4096, 1100*4096 - 7, 1153 * 4096, 1280 * 4096} {
		content := random(24, size)
		sums, file := treeOf(t, content)
		s := ShapeOf(int64(size))
		ps := pieces(s, file)
		leaves := LeafCVs(nil, content, 0)
		for _, b := range []int64{0, s.Blocks() - 1, r.Int64N(s.Blocks())} {
			var m memory
			tree := NewTree(sums.BLAKE3, int64(size), &m, 0)
			if err := tree.PutPath(b, pathOf(s, file, b)); err != nil {
				t.Fatal(err)
			}
			for j := range (s.Blocks() + pieceNodes - 1) / pieceNodes {
				p := s.LeafPiece(j * pieceNodes)
				if s.Levels() <= pieceLevels || j/2 != b/pieceNodes/2 {
					if err := tree.Put(p, ps[p]); err != ErrNoParent {
						t.Fatalf("size %d: leaves %d beside the path of block %d: %v", size, j, b, err)
					}
					continue
				}
				for i := 0; i < len(ps[p]); i += 32 {
					wrong := slices.Clone(ps[p])
					wrong[i+r.IntN(32)] ^= 1 << r.IntN(8)
					if err := tree.Put(p, wrong); err != ErrBadTree {
						t.Fatalf("size %d, leaves %d: a bit at %d: %v", size, j, i, err)
					}
				}
				if err := tree.Put(p, ps[p]); err != nil {
					t.Fatalf("size %d: leaves %d under the path of block %d: %v", size, j, b, err)
				}
				end := min((j+1)*pieceNodes, s.Blocks())
				got, err := tree.Leaves(j*pieceNodes, int(end-j*pieceNodes), nil)
				if err != nil || !slices.Equal(got, leaves[j*pieceNodes:end]) {
					t.Fatalf("size %d: leaves %d: %v", size, j, err)
				}
			}
			for p, data := range ps { // the pieces between come later
				if err := tree.Put(p, data); err != nil {
					t.Fatalf("size %d, piece %d: %v", size, p, err)
				}
			}
			if !tree.Complete() || !slices.Equal(m.b, file) {
				t.Errorf("size %d: the tree is another", size)
			}
		}
	}
}

// A path of a false size is refused, or ends at what no last block matches.
func TestPathOfFalseSize(t *testing.T) {
	for _, size := range treeSizes {
		content := random(23, size)
		sums, file := treeOf(t, content)
		truth := ShapeOf(int64(size))
		for _, claim := range []int{size / 2, (size + 1) / 2, size - 4096, size + 4096, 2 * size, 4*size + 1} {
			tree := NewTree(sums.BLAKE3, int64(claim), &memory{}, 0)
			s := tree.Shape()
			if s.Blocks() <= 1 || s.Blocks() == truth.Blocks() {
				continue
			}
			b := s.Blocks() - 1
			path := pathOf(truth, file, truth.Blocks()-1) // the liar's best: as much of the true path as is wanted
			want := 0
			for level := range s.Levels() {
				_, n := s.PathNodes(b, level)
				want += n
			}
			if tree.PutPath(b, path[:min(want, len(path))]) != nil {
				continue
			}
			last := make([]byte, s.BlockLen(b))
			copy(last, content[min(size, int(b)*BlockSize):])
			if leaves, err := tree.Leaves(b, 1, nil); err != nil || len(CheckBlocks(last, b, leaves, nil)) == 0 {
				t.Errorf("size %d as %d: the last block matches, %v", size, claim, err)
			}
		}
	}
}
