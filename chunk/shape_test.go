package chunk

import (
	"slices"
	"testing"
)

// TestShape checks the geometry by counting, for every number of blocks up to 20,000 in steps that meet odd and even ones.
func TestShape(t *testing.T) {
	for n := int64(0); n < 20000; n += 1 + n/16 {
		for _, size := range []int64{n * BlockSize, max(0, n*BlockSize-4095), max(0, n*BlockSize-1)} {
			s := ShapeOf(size)
			if s.Blocks() != n && size > (n-1)*BlockSize {
				t.Fatalf("size %d: %d blocks, want %d", size, s.Blocks(), n)
			}
			checkShape(t, s)
		}
	}
	for _, size := range []int64{MaxSize, MaxSize - 1, MaxSize/2 + 1, 1 << 40, 1<<40 + 12345} {
		checkEnds(t, ShapeOf(size))
	}
	for _, size := range []int64{-1, MaxSize + 1, 1<<63 - 1, -1 << 63} {
		if s := ShapeOf(size); s != ShapeOf(0) {
			t.Errorf("shape of %d: %+v", size, s)
		}
	}
}

func checkShape(t *testing.T, s Shape) {
	t.Helper()
	want := []int64{}
	for n := s.Blocks(); n > 0; n = (n + 1) / 2 {
		if want = append(want, n); n <= 2 {
			break
		}
	}
	if s.Blocks() == 1 {
		want = []int64{1}
	}
	if s.Levels() != len(want) || s.LevelLen(len(want)) != 0 || s.LevelLen(-1) != 0 {
		t.Fatalf("%d blocks: %d levels, want %v", s.Blocks(), s.Levels(), want)
	}
	at := int64(headerSize)
	for k := len(want) - 1; k >= 0; k-- {
		if s.LevelLen(k) != want[k] || s.Offset(k, 0) != at {
			t.Fatalf("%d blocks, level %d: %d nodes at %d, want %d at %d", s.Blocks(), k, s.LevelLen(k), s.Offset(k, 0), want[k], at)
		}
		at += 32 * want[k]
	}
	if s.FileSize() != at {
		t.Fatalf("%d blocks: file of %d bytes, want %d", s.Blocks(), s.FileSize(), at)
	}
	end := int64(0)
	for p := range s.Pieces() {
		off, n := s.Piece(p)
		if off != end || n <= 0 || n > 4096 {
			t.Fatalf("%d blocks, piece %d: %d bytes at %d, want at %d", s.Blocks(), p, n, off, end)
		}
		if s.PieceAt(off) != p || s.PieceAt(off+int64(n)-1) != p {
			t.Fatalf("%d blocks: PieceAt does not find piece %d", s.Blocks(), p)
		}
		if parent := s.Parent(p); parent >= p || (parent < 0) != (p == 0) {
			t.Fatalf("%d blocks: parent of %d is %d", s.Blocks(), p, parent)
		}
		end += int64(n)
	}
	if end != s.FileSize() || s.PieceAt(end) != -1 || s.PieceAt(-1) != -1 {
		t.Fatalf("%d blocks: pieces end at %d of %d", s.Blocks(), end, s.FileSize())
	}
	checkEnds(t, s)
}

// checkEnds checks what may be asked of a shape of any size, at its ends and in the middle.
func checkEnds(t *testing.T, s Shape) {
	t.Helper()
	n := s.Blocks()
	for _, p := range []int{-1, s.Pieces()} {
		if off, size := s.Piece(p); off != 0 || size != 0 || s.Parent(p) != -1 {
			t.Fatalf("%d blocks: piece %d is there", n, p)
		}
	}
	for _, b := range []int64{-1, n} {
		if s.LeafPiece(b) != -1 || s.BlockLen(b) != 0 || len(s.PathPieces(b, nil)) != 0 {
			t.Fatalf("%d blocks: block %d is there", n, b)
		}
	}
	if n == 0 {
		return
	}
	if got := int64(s.BlockLen(n-1)) + (n-1)*BlockSize; got != s.Size() {
		t.Fatalf("%d blocks end at %d, want %d", n, got, s.Size())
	}
	for _, b := range []int64{0, n / 3, n / 2, n - 1} {
		leaf := s.LeafPiece(b)
		if off, size := s.Piece(leaf); s.Offset(0, b) < off || s.Offset(0, b)+32 > off+int64(size) {
			t.Fatalf("%d blocks: leaf %d at %d is not in its piece %d", n, b, s.Offset(0, b), leaf)
		}
		path := s.PathPieces(b, []int{-7})
		want := []int{leaf}
		for p := s.Parent(leaf); p >= 0; p = s.Parent(p) {
			want = append(want, p)
		}
		slices.Reverse(want)
		if !slices.Equal(path[1:], want) || path[0] != -7 {
			t.Fatalf("%d blocks: path of block %d is %v, want %v", n, b, path, want)
		}
		for level := range s.Levels() {
			if p := s.PieceAt(s.Offset(level, b>>level)); !slices.Contains(want, p) {
				t.Fatalf("%d blocks: level %d of block %d is in piece %d, not on its path", n, level, b, p)
			}
		}
	}
}
