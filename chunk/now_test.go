package chunk

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// What was just written is in memory, and is read at once and without an allocation; what is not open, and what has changed, is not.
func TestReadNow(t *testing.T) {
	s := NewSources(0)
	defer s.Close()
	path := filepath.Join(t.TempDir(), "file")
	data := bytes.Repeat([]byte("sharer"), 20_000)
	stamp := writeFile(t, path, data)
	p := make([]byte, 40_960)
	if _, err := s.ReadNow(path, stamp, p, 0); !errors.Is(err, ErrWouldWait) {
		t.Errorf("not open: %v", err)
	}
	if n, err := s.ReadAt(path, stamp, p, 0); n != len(p) || err != nil {
		t.Fatal(n, err)
	}
	if runtime.GOOS != "linux" {
		if _, err := s.ReadNow(path, stamp, p, 0); !errors.Is(err, ErrWouldWait) {
			t.Errorf("%v", err)
		}
		t.Skip("skipped: only Linux tells what is in memory")
	}
	for _, off := range []int64{0, 4096, 100_000, 120_000 - 1} {
		clear(p)
		n, err := s.ReadNow(path, stamp, p, off)
		if want := min(len(p), len(data)-int(off)); n != want || !bytes.Equal(p[:n], data[off:][:n]) || (err == io.EOF) != (want < len(p)) {
			if errors.Is(err, ErrWouldWait) && !inMemoryAt(t, path) {
				t.Skip("skipped: this file system does not tell what is in memory")
			}
			t.Errorf("at %d: %d bytes, %v", off, n, err)
		}
	}
	if a := testing.AllocsPerRun(100, func() { _, _ = s.ReadNow(path, stamp, p, 0) }); a > 0 {
		t.Errorf("%v allocations", a)
	}
	if a := testing.AllocsPerRun(100, func() { _, _ = s.ReadAt(path, stamp, p, 0) }); a > 0 {
		t.Errorf("ReadAt: %v allocations", a)
	}
	// In place, with another time: no byte is given out.
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("other"), 8192)
	if err := errors.Join(err, f.Close(), os.Chtimes(path, time.Time{}, time.Unix(1, 0))); err != nil {
		t.Fatal(err)
	}
	clear(p)
	if n, err := s.ReadNow(path, stamp, p, 4096); n != 0 || !errors.Is(err, ErrWouldWait) || !bytes.Equal(p, make([]byte, len(p))) {
		t.Errorf("changed: %d bytes, %v", n, err)
	}
}

func inMemoryAt(t *testing.T, path string) bool {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := readNow(f, make([]byte, 1), 0, 1)
	return inMemory(f) || n == 1 && err == nil
}

// Of a tree that arrives what is in memory is read at once, as ReadAt reads it, and nobody waits for who writes it to a disk.
func TestTreeReadNow(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: only Linux tells what is in memory")
	}
	const size = 300 * BlockSize
	sums, file := treeOf(t, random(6, size))
	f, err := os.Create(filepath.Join(t.TempDir(), "tree"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tree := NewTree(sums.BLAKE3, size, f, 8192)
	for piece := range 2 { // not the last one
		off, n := tree.Shape().Piece(piece)
		if err := tree.Put(piece, file[off:][:n]); err != nil {
			t.Fatal(err)
		}
	}
	if !inMemoryAt(t, f.Name()) {
		t.Skip("skipped: this file system does not tell what is in memory")
	}
	for _, off := range []int64{0, 10, 4096, int64(len(file)) - 1, int64(len(file))} {
		var now, at [5000]byte
		n, err := tree.ReadNow(now[:], off)
		wantN, want := tree.ReadAt(at[:], off)
		if n != wantN || !errors.Is(err, want) || now != at {
			t.Errorf("at %d: %d bytes, %v; want %d, %v", off, n, err, wantN, want)
		}
	}
	tree.mu.Lock()
	defer tree.mu.Unlock()
	if n, err := tree.ReadNow(make([]byte, 1), 0); n != 0 || !errors.Is(err, ErrWouldWait) {
		t.Errorf("while it is written: %d bytes, %v", n, err)
	}
}
