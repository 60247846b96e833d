package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/seed"
)

// What a node that lives for weeks lets go of.

// TestReadPagesAreBounded: the manifests that were read take so much memory and no more, however many folders are fetched.
func TestReadPagesAreBounded(t *testing.T) {
	l := newLibrary(t.Context(), nil, nil)
	const size = folder.MaxPage
	last := keptPages/size + 3
	id := func(i int) chunk.ID {
		sums, err := chunk.Sum(t.Context(), bytes.NewReader(bytes.Repeat([]byte{byte(i)}, size)), size, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}
	}
	for i := range last + 1 {
		for range 2 {
			if err := l.keepPage(t.Context(), bytes.Repeat([]byte{byte(i)}, size)); err != nil {
				t.Fatal(err)
			}
		}
	}
	held := int64(0)
	for id, c := range l.fetched {
		if id.Kind == chunk.BLAKE3 {
			held += c.Size()
		}
	}
	if held > keptPages || held < keptPages-size {
		t.Errorf("%d bytes of pages are held, %d may be", held, keptPages)
	}
	if _, ok := l.Find(id(last)); !ok {
		t.Error("the last page is not offered")
	}
	if _, ok := l.Find(id(0)); ok {
		t.Error("the first page is offered still")
	}
}

// alone is a node with a state folder, and a folder for files.
func alone(t *testing.T) (n *Node, dir string) {
	t.Helper()
	dir = t.TempDir()
	n, err := Start(Config{StateDir: filepath.Join(dir, "state"), Listen: []string{"127.0.0.1:0"}, Isolated: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n, dir
}

// TestPagesOfAFolderThatChanges: of what is made of a folder each time that it changes the last few stay.
func TestPagesOfAFolderThatChanges(t *testing.T) {
	n, dir := alone(t)
	pages := func() int {
		t.Helper()
		files, err := os.ReadDir(filepath.Join(dir, "state", "folders"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	var last [2]chunk.Sums
	for i := range int64(20) {
		f, err := folder.New("x", []folder.File{{Path: "a", Size: i + 1, BLAKE3: chunk.Hash{1, byte(i)}}})
		if err != nil {
			t.Fatal(err)
		}
		if last[0], err = n.OfferPage(t.Context(), dir, f.Listing()); err == nil {
			last[1], err = n.ReplaceFolder(t.Context(), dir, f)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if k := pages(); k > 2*(manifestsKept+1) {
		t.Errorf("%d pages of a folder that has changed 20 times lie there", k)
	}
	for _, sums := range last {
		if _, ok := n.library.Find(chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}); !ok {
			t.Errorf("%v of the last version is not offered", sums)
		}
	}
	if err := n.DropFolder(dir); err != nil {
		t.Fatal(err)
	}
	for _, sums := range last {
		if _, ok := n.library.Find(chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}); ok {
			t.Errorf("%v of a folder that was dropped is offered", sums)
		}
	}
	next, err := folder.New("y", []folder.File{{Path: "b", Size: 1, BLAKE3: chunk.Hash{1}}})
	if err == nil {
		_, err = n.ReplaceFolder(t.Context(), "another", next)
	}
	if k := pages(); err != nil || k != 1 {
		t.Errorf("%d pages lie there after the next, %v", k, err)
	}
}

// TestRootsOfAFolder: the files of a folder that was fetched are listed with it, and nothing of them is left when it is withdrawn. Each
// question for the list of what is here looks at all roots.
func TestRootsOfAFolder(t *testing.T) {
	n, dir := alone(t)
	var files []string
	for i := range 20 {
		files = append(files, filepath.Join(dir, fmt.Sprint("fetched/f", i)))
		if err := errors.Join(os.MkdirAll(filepath.Dir(files[i]), 0o700), os.WriteFile(files[i], []byte{byte(i)}, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "fetched")
	for _, first := range []bool{true, false} {
		if first {
			n.OfferRoot(root)
		}
		if _, err := n.Seed(t.Context(), seed.Options{Paths: files}, nil); err != nil {
			t.Fatal(err)
		}
		if k := len(n.library.roots); first && k != 1 {
			t.Errorf("%d roots of one folder", k)
		}
		_, place, err := n.state.index.ByPath(files[3])
		if err == nil {
			_, err = n.library.sources.ReadAt(place.Path, place.Stamp, make([]byte, 1), 0)
		}
		if err := errors.Join(err, n.WithdrawRoot(root)); err != nil {
			t.Fatal(err)
		}
		if k := n.library.sources.Len(); k != 0 {
			t.Errorf("%d files of it are open", k)
		}
		if l := n.library; len(l.roots) != 0 || len(l.isRoot) != 0 || len(l.offered) != 0 {
			t.Errorf("%d roots are left, %d of them known, %d files", len(l.roots), len(l.isRoot), len(l.offered))
		}
	}
}

// TestLetGo: what was fetched is served from its place and not from descriptors, who reads it goes on, and a path that nobody had
// anything for leaves nothing.
func TestLetGo(t *testing.T) {
	from, _, f := pair(t, map[string]string{"a": "some words"})
	n, dir := alone(t)
	n.Give(from.Addrs()[0])
	path := filepath.Join(dir, "a")
	if _, err := n.Get(t.Context(), Get{ID: f.Files[0].ID(), Size: -1, Path: path}); err != nil {
		t.Fatal(err)
	}
	r, err := n.Open(t.Context(), OpenRequest{ID: f.Files[0].ID()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Seed(t.Context(), seed.Options{Paths: []string{path}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := n.LetGo(path); err != nil || len(n.library.kept) != 0 {
		t.Fatalf("%d are kept, %v", len(n.library.kept), err)
	}
	if rest, err := io.ReadAll(r); err != nil || string(head)+string(rest) != "some words" {
		t.Errorf("%q after %q, %v", rest, head, err)
	}
	before := len(n.library.served)
	for i := range byte(10) {
		_, err := n.Get(t.Context(), Get{ID: chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{i}}, Path: fmt.Sprint(path, i), FindTimeout: time.Nanosecond})
		if !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
	}
	if now := len(n.library.served); now != before {
		t.Errorf("%d counters for what nobody had", now-before)
	}
}

// TestSweepTrees: the tree of what a file was before goes, those of what files are stay.
func TestSweepTrees(t *testing.T) {
	n, dir := alone(t)
	trees := func() (names []string) {
		names, err := filepath.Glob(filepath.Join(dir, "state", "trees", "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	path, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
	text := bytes.Repeat([]byte("0123456789"), 50_000)
	write := func(path string, i byte) {
		t.Helper()
		text[0] = i
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Seed(t.Context(), seed.Options{Paths: []string{path}, Rehash: true}, nil); err != nil {
			t.Fatal(err)
		}
	}
	write(other, 99)
	for i := range byte(5) {
		write(path, i)
	}
	if k := len(trees()); k != 6 {
		t.Fatalf("%d trees", k)
	}
	if k, err := n.SweepTrees(t.Context()); k != 0 || err != nil {
		t.Errorf("%d trees that were made just now are removed, %v", k, err)
	}
	for _, name := range trees() {
		if err := os.Chtimes(name, time.Time{}, time.Now().Add(-2*treeAge)); err != nil {
			t.Fatal(err)
		}
	}
	if k, err := n.SweepTrees(t.Context()); k != 4 || err != nil || len(trees()) != 2 {
		t.Errorf("%d trees are removed, %d stay, %v", k, len(trees()), err)
	}
}
