package chunk

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	zeebo "github.com/zeebo/blake3"
	"lukechampine.com/blake3"
	"lukechampine.com/blake3/bao"
	"lukechampine.com/blake3/guts"
)

func random(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	p := make([]byte, n)
	rand.NewChaCha8(key).Read(p)
	return p
}

// slowCV is the chaining value of up to 4 chunks, one chunk and one parent at a time.
func slowCV(p []byte, chunk uint64) [8]uint32 {
	if len(p) <= guts.ChunkSize {
		return guts.ChainingValue(guts.CompressChunk(p, &guts.IV, chunk, 0))
	}
	left := guts.ChunkSize
	for left*2 < len(p) {
		left *= 2
	}
	l, r := slowCV(p[:left], chunk), slowCV(p[left:], chunk+uint64(left/guts.ChunkSize))
	return guts.ChainingValue(guts.ParentNode(l, r, &guts.IV, 0))
}

func slowLeaves(data []byte, first int64) []Hash {
	var leaves []Hash
	for len(data) > 0 {
		n := min(BlockSize, len(data))
		cv := slowCV(data[:n], uint64(first)*4)
		leaves = append(leaves, toHash(cv[:]))
		data, first = data[n:], first+1
	}
	return leaves
}

// root merges leaves level by level, as wire.md says it.
func root(leaves []Hash) Hash {
	for len(leaves) > 2 {
		var up []Hash
		for len(leaves) > 1 {
			up = append(up, ParentCV(leaves[0], leaves[1]))
			leaves = leaves[2:]
		}
		leaves = append(up, leaves...)
	}
	return RootOf(leaves[0], leaves[1])
}

// sizesAround are sizes about every border of blocks, chunks and groups, and some at random.
func sizesAround(limit int) []int {
	var sizes []int
	for _, base := range []int{0, 64, 1024, 2048, 3072, 4096, 5120, 8192, 12288, 16384, 20480, 32768, 65536, 262144} {
		for _, d := range []int{-1, 0, 1} {
			if n := base + d; n >= 0 && n <= limit {
				sizes = append(sizes, n)
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		sizes = append(sizes, r.IntN(limit))
	}
	return sizes
}

func TestLeafCVs(t *testing.T) {
	data := random(1, 300000)
	for _, n := range sizesAround(len(data)) {
		for _, first := range []int64{0, 1, 3, 1 << 20, 1<<38 - 100} {
			p := data[:n]
			want := slowLeaves(p, first)
			got := LeafCVs([]Hash{{1}}, p, first)
			if got[0] != (Hash{1}) || !slices.Equal(got[1:], want) {
				t.Fatalf("%d bytes from block %d: leaves differ", n, first)
			}
			if n > 0 && LeafCV(p[:min(n, BlockSize)], first) != want[0] {
				t.Fatalf("%d bytes from block %d: single leaf differs", n, first)
			}
		}
	}
	if n := testing.AllocsPerRun(20, func() { LeafCVs(nil, data[:100], 5); LeafCV(data[:4096], 3) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

// TestRootOracles builds roots from leaves and compares them with two other implementations.
func TestRootOracles(t *testing.T) {
	data := random(2, 300000)
	for _, n := range sizesAround(len(data)) {
		p := data[:n]
		var got Hash
		if n <= BlockSize {
			got = RootOfBlock(p)
		} else {
			got = root(LeafCVs(nil, p, 0))
		}
		if want := Hash(zeebo.Sum256(p)); got != want {
			t.Errorf("%d bytes: root %s, zeebo has %s", n, got, want)
		}
		if want := Hash(blake3.Sum256(p)); got != want {
			t.Errorf("%d bytes: root %s, lukechampine has %s", n, got, want)
		}
	}
}

// TestBao finds all our nodes, and no other, in the outboard encoding of bao with groups of 4 KiB.
func TestBao(t *testing.T) {
	for _, n := range []int{4097, 8192, 12289, 100000, 262145} {
		p := random(3, n)
		enc, _ := bao.EncodeBuf(p, 2, true)
		var want, got []Hash
		for enc = enc[8:]; len(enc) > 0; enc = enc[32:] {
			want = append(want, Hash(enc))
		}
		_, tree := treeOf(t, p)
		s := ShapeOf(int64(n))
		for k := range s.Levels() {
			carried := int64(0) // a node that was carried up stands in two levels here, in bao only once
			if k > 0 && s.LevelLen(k-1)%2 == 1 {
				carried = 1
			}
			for i := range s.LevelLen(k) - carried {
				got = append(got, Hash(tree[s.Offset(k, i):]))
			}
		}
		order := func(a, b Hash) int { return bytes.Compare(a[:], b[:]) }
		slices.SortFunc(want, order)
		slices.SortFunc(got, order)
		if !slices.Equal(got, want) {
			t.Errorf("%d bytes: %d nodes, bao has %d, or they differ", n, len(got), len(want))
		}
	}
}

func TestCheckBlocks(t *testing.T) {
	data := random(4, 40*BlockSize)
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		n := 1 + r.IntN(len(data))
		first := r.Int64N(1 << 30)
		p := slices.Clone(data[:n])
		leaves := LeafCVs(nil, p, first)
		if bad := CheckBlocks(p, first, leaves, nil); len(bad) > 0 {
			t.Fatalf("%d bytes: good blocks %v are called bad", n, bad)
		}
		want := []int{-1}
		for i := range leaves {
			if r.IntN(5) > 0 {
				continue
			}
			want = append(want, i)
			if r.IntN(2) == 0 {
				leaves[i][r.IntN(32)] ^= 1 << r.IntN(8)
			} else {
				end := min((i+1)*BlockSize, n)
				p[i*BlockSize+r.IntN(end-i*BlockSize)] ^= 1 << r.IntN(8)
			}
		}
		if got := CheckBlocks(p, first, leaves, []int{-1}); !slices.Equal(got, want) {
			t.Fatalf("%d bytes: bad %v, want %v", n, got, want)
		}
		short := r.IntN(len(leaves))
		for i := short; i < len(leaves); i++ {
			want = append(want[:len(want):len(want)], i)
		}
		slices.Sort(want)
		want = slices.Compact(want)
		if got := CheckBlocks(p, first, leaves[:short], []int{-1}); !slices.Equal(got, want) {
			t.Fatalf("%d bytes, %d leaves: bad %v, want %v", n, short, got, want)
		}
	}
	if bad := CheckBlocks(data, 5, LeafCVs(nil, data, 4), nil); len(bad) != 40 {
		t.Errorf("blocks at a wrong place: %d of 40 are bad", len(bad))
	}
	leaves := LeafCVs(nil, data, 0)
	if n := testing.AllocsPerRun(20, func() { CheckBlocks(data, 0, leaves, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The root of what is in memory is the one that a Sum finds.
func TestRootInMemory(t *testing.T) {
	data := make([]byte, 300_000)
	for i := range data {
		data[i] = byte(i * i / 251)
	}
	for _, n := range []int{0, 1, 1024, 1025, 4096, 4097, 16383, 16384, 16385, 20480, 32768, 32769, 65537, 262143, 262144, 262145, 300_000} {
		want, err := Sum(t.Context(), bytes.NewReader(data[:n]), int64(n), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := Root(data[:n]); got != want.BLAKE3 {
			t.Errorf("%d bytes: %v, want %v", n, got, want.BLAKE3)
		}
	}
}
