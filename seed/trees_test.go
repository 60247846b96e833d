package seed

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sharer/chunk"
)

// content is deterministic and has no two equal blocks.
func content(size int) []byte {
	data := make([]byte, size)
	x := uint32(size)*2654435761 + 1
	for i := range data {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		data[i] = byte(x)
	}
	return data
}

// known is a content, its tree, and how often it was read.
type known struct {
	sums  chunk.Sums
	data  []byte
	tree  []byte
	opens int
}

func know(t *testing.T, size int) *known {
	k := &known{data: content(size), tree: make([]byte, chunk.ShapeOf(int64(size)).FileSize())}
	var err error
	if k.sums, err = chunk.Sum(t.Context(), bytes.NewReader(k.data), int64(size), memory(k.tree), nil); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *known) open() (io.ReadCloser, error) {
	k.opens++
	return io.NopCloser(bytes.NewReader(k.data)), nil
}

// read reads the whole tree in odd pieces and compares it.
func (k *known) read(t *testing.T, trees *Trees) {
	t.Helper()
	got := []byte{}
	for {
		p := make([]byte, 1000)
		n, err := trees.ReadAt(t.Context(), k.sums.BLAKE3, k.sums.Size, p, int64(len(got)), k.open)
		got = append(got, p[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil || n == 0 {
			t.Fatalf("%d bytes at %d, %v", n, len(got), err)
		}
	}
	if !bytes.Equal(got, k.tree) {
		t.Errorf("tree of %d bytes differs: %d bytes, want %d", k.sums.Size, len(got), len(k.tree))
	}
}

func openTestTrees(t *testing.T) *Trees {
	t.Helper()
	trees, err := OpenTrees(filepath.Join(t.TempDir(), "a[*", "trees"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(trees.Close)
	return trees
}

func TestTrees(t *testing.T) {
	trees := openTestTrees(t)
	for _, size := range []int{0, 1, 4096, 4097, smallTree, smallTree + 1, 3<<20 + 5} {
		k := know(t, size)
		for range 2 {
			k.read(t, trees)
		}
		if k.opens != 1 {
			t.Errorf("size %d: content was read %d times", size, k.opens)
		}
		_, err := os.Stat(trees.path(k.sums.BLAKE3))
		if onDisk := err == nil; onDisk != (size > smallTree) {
			t.Errorf("size %d: tree on disk: %v", size, onDisk)
		}
		// Lost while nobody has it open.
		if err := trees.Drop(k.sums.BLAKE3); err != nil {
			t.Error(err)
		}
		if k.read(t, trees); k.opens != 2 {
			t.Errorf("size %d: lost tree, content was read %d times", size, k.opens-1)
		}
	}
}

// TestDamagedTrees: what a crash may have left is found and made anew.
func TestDamagedTrees(t *testing.T) {
	k := know(t, 1<<20+1)
	for name, damage := range map[string]func(f *os.File) error{
		"empty":    func(f *os.File) error { return f.Truncate(0) },
		"short":    func(f *os.File) error { return f.Truncate(int64(len(k.tree) - 32)) },
		"long":     func(f *os.File) error { return f.Truncate(int64(len(k.tree) + 32)) },
		"magic":    func(f *os.File) error { return flip(f, 0) },
		"reserved": func(f *os.File) error { return flip(f, 31) },
		"root":     func(f *os.File) error { return flip(f, 63) },
		"top":      func(f *os.File) error { return flip(f, 64+40) },
		"hole":     func(f *os.File) error { _, err := f.WriteAt(make([]byte, 64), 4096); return err },
		"tail":     func(f *os.File) error { _, err := f.WriteAt(make([]byte, 32), int64(len(k.tree)-32)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			trees := openTestTrees(t)
			k.read(t, trees)
			trees.Close()
			f, err := os.OpenFile(trees.path(k.sums.BLAKE3), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(damage(f), f.Close()); err != nil {
				t.Fatal(err)
			}
			k.opens = 0
			k.read(t, trees)
			k.read(t, trees)
			if k.opens != 1 {
				t.Errorf("content was read %d times", k.opens)
			}
		})
	}
}

func flip(f *os.File, off int64) error {
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		return err
	}
	b[0] ^= 0x10
	_, err := f.WriteAt(b[:], off)
	return err
}

// TestWrongContent: no tree is made from other bytes than those of the root.
func TestWrongContent(t *testing.T) {
	for _, size := range []int{0, 100, 5000, smallTree + 5000} {
		trees := openTestTrees(t)
		k := know(t, size)
		read := func(data []byte) error {
			_, err := trees.ReadAt(t.Context(), k.sums.BLAKE3, k.sums.Size, make([]byte, 64), 0, func() (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(data)), nil
			})
			return err
		}
		other := append(bytes.Clone(k.data), 1)
		if err := read(other); !errors.Is(err, ErrNotTheContent) {
			t.Errorf("size %d, longer: %v", size, err)
		}
		if size > 0 {
			if err := read(k.data[:size-1]); !errors.Is(err, ErrNotTheContent) {
				t.Errorf("size %d, shorter: %v", size, err)
			}
			other[size/2] ^= 1
			if err := read(other[:size]); !errors.Is(err, ErrNotTheContent) {
				t.Errorf("size %d, flipped: %v", size, err)
			}
		}
		gone := errors.New("gone")
		_, err := trees.ReadAt(t.Context(), k.sums.BLAKE3, k.sums.Size, nil, 0, func() (io.ReadCloser, error) { return nil, gone })
		if !errors.Is(err, gone) {
			t.Errorf("size %d, gone: %v", size, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := trees.ReadAt(ctx, k.sums.BLAKE3, k.sums.Size, nil, 0, k.open); !errors.Is(err, context.Canceled) {
			t.Errorf("size %d, cancelled: %v", size, err)
		}
		if names, _ := os.ReadDir(trees.dir); len(names) != 0 {
			t.Errorf("size %d: left %v", size, names)
		}
	}
}

// TestSeededTree: seeding writes the tree, and what it wrote is served.
func TestSeededTree(t *testing.T) {
	b := newBench(t)
	k := know(t, 5<<20+77)
	b.write("large", string(k.data))
	if s := b.scan(Options{}); s.files["large"].Content.BLAKE3 != k.sums.BLAKE3 {
		t.Fatalf("%+v", s)
	}
	if k.read(t, b.trees); k.opens != 0 {
		t.Errorf("content was read %d times", k.opens)
	}
	// A tree that cannot be written is no reason not to seed.
	b.trees.Close()
	if err := os.RemoveAll(b.trees.dir); err != nil {
		t.Fatal(err)
	}
	b.write("second", strings.Repeat("second", 100000))
	if s := b.scan(Options{}); s.Files != 2 || s.Failed != 0 {
		t.Errorf("without a folder for trees: %+v, %v", s.Report, s.fails)
	}
}

func TestOpenTreesClears(t *testing.T) {
	trees := openTestTrees(t)
	d, err := trees.Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTrees(trees.dir); err != nil {
		t.Fatal(err)
	}
	if names, _ := os.ReadDir(trees.dir); len(names) != 0 {
		t.Errorf("left %v", names)
	}
	d.Abort()
}

// TestTreesTogether reads more trees than are kept open, from several goroutines.
func TestTreesTogether(t *testing.T) {
	trees := openTestTrees(t)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 60 {
				data := content(3000 + (g/2*30+i)%70)
				if i%10 == 0 {
					data = content(smallTree + 1 + i)
				}
				sums, err := chunk.Sum(t.Context(), bytes.NewReader(data), int64(len(data)), nil, nil)
				if err != nil {
					t.Error(err)
					return
				}
				var head [64]byte
				_, err = trees.ReadAt(t.Context(), sums.BLAKE3, sums.Size, head[:], 0, func() (io.ReadCloser, error) {
					return io.NopCloser(bytes.NewReader(data)), nil
				})
				if err != nil || chunk.Hash(head[32:]) != sums.BLAKE3 {
					t.Errorf("%x, %v", head, err)
				}
				if i%7 == 0 {
					if err := trees.Drop(sums.BLAKE3); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	trees.mu.Lock()
	defer trees.mu.Unlock()
	if n := trees.lru.Len(); n > openTrees || n != len(trees.byRoot) {
		t.Errorf("%d trees at hand, %d by root", n, len(trees.byRoot))
	}
}
