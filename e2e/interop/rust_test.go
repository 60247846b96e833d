//go:build linux

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// sizes are those around the seams: of a byte, of blocks, of levels of the tree, of pieces of a tree file.
func sizes() []int64 {
	s := []int64{1, 100, 4096, 4097, 8192, 12289, 28673, 65536, mib + 1}
	if os.Getenv("SHARER_E2E_BIG") == "1" {
		s = append(s, 1<<30)
	}
	return s
}

var kinds = []string{"sha256", "blake3", "tree"}

// block is the unit of the tree.
const block = 4096

// contents are files of each size, by size.
func contents(t *testing.T, seed byte) map[int64]string {
	t.Helper()
	dir, files := folder(t), map[int64]string{}
	for _, size := range sizes() {
		files[size] = filepath.Join(dir, fmt.Sprint(size))
		generate(t, files[size], size, seed)
	}
	return files
}

// rate is a note on a transfer that is long enough for it to mean something.
func rate(size int64, took time.Duration) string {
	if size < 1<<30 {
		return ""
	}
	return fmt.Sprintf("%.0f s, %.0f MB/s", took.Seconds(), float64(size)/1e6/took.Seconds())
}

// TestRustGives has sharer fetch all sizes from a Rust node.
func TestRustGives(t *testing.T) {
	needs(t)
	here, there := newPlace(t), newPlace(t)
	_, rustIP := wire(here, there, "10.88.1")
	files := contents(t, 1)
	r, absent := there.rust()
	known := map[int64]ids{}
	for size, path := range files {
		if absent == nil {
			var err error
			known[size], err = r.share(path)
			check(t, err)
		}
	}
	for _, kind := range kinds {
		for _, size := range sizes() {
			cell(t, "Rust gives "+kind, fmt.Sprint(size), func(t *testing.T) (string, error) {
				if absent != nil {
					return "", absent
				}
				want := files[size]
				if kind == "tree" {
					want = r.file(known[size].of(kind))
				}
				took, err := here.with(t).fetch(known[size].of(kind), want, "--isolated", "--listen", "10.88.1.1:0", "--peer", rustIP+":"+rustPort)
				return rate(size, took), err
			})
		}
	}
}

// TestRustTakes has a Rust node fetch all sizes from sharer.
func TestRustTakes(t *testing.T) {
	needs(t)
	here, there := newPlace(t), newPlace(t)
	wire(here, there, "10.88.1")
	files := contents(t, 2)
	dir := filepath.Dir(files[1])
	s := here.seed(":24254", dir) // no route leads out; the Rust node finds it by its own broadcast
	known := map[int64]ids{}
	for _, e := range s.events("file") {
		for size, path := range files {
			if e.Path == path {
				known[size] = ids{e.SHA256, e.BLAKE3}
			}
		}
	}
	judge, absent := newPlace(t).rust()   // makes the trees that ours must equal
	for _, path := range contents(t, 2) { // it links what it shares, which changes a file's stamp: copies
		if absent == nil {
			_, err := judge.share(path)
			check(t, err)
		}
	}
	for _, kind := range kinds {
		for _, size := range sizes() {
			cell(t, "Rust takes "+kind, fmt.Sprint(size), func(t *testing.T) (string, error) {
				if absent != nil {
					return "", absent
				}
				if size <= block && kind != "sha256" {
					return "", theirs("it cannot use the tree of one block, and asks for ever: see its loop below")
				}
				id := known[size].of(kind)
				// A folder of its own for each: it would find the rest of an earlier one.
				r, err := there.with(t).rust()
				if err != nil {
					return "", err
				}
				want := files[size]
				if kind == "tree" {
					want = judge.file(id)
				}
				took, err := r.gets(id, want, patience+time.Duration(size/mib)*time.Second)
				return rate(size, took), err
			})
		}
	}
}
