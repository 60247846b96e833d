package node

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/folder"
)

// another is a second node that knows whom the first one knows, as that of another process.
func another(t *testing.T, from *Node) *Node {
	t.Helper()
	n, err := Start(Config{Listen: []string{"127.0.0.1:0"}, Isolated: true, Peers: []netip.AddrPort{from.Addrs()[0]}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// amid fetches files by n into dir, and calls f once in the middle: when the first one is in its place, or when it begins to arrive.
func amid(t *testing.T, n *Node, files []folder.File, dir string, placed bool, f func()) {
	t.Helper()
	var once sync.Once
	g := GetFolder{Files: files, Dir: dir, Jobs: 1, FindTimeout: 10 * time.Second, Done: func(f2 FolderFile) {
		if once.Do(f); f2.Err != nil {
			t.Errorf("%s: %v", f2.File.Path, f2.Err)
		}
	}}
	if !placed {
		g.Progress = func(FolderProgress) { once.Do(f) }
	}
	if err := n.GetFolder(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, folder.Stage)); err == nil {
		t.Error("the stage stays though all is there")
	}
}

// Two processes that fetch into one folder take nothing from each other: neither the stage, when one ends while nothing of the other is
// in it, nor what the other fetches and the first has already.
func TestFoldersIntoOne(t *testing.T) {
	from, to, f := pair(t, map[string]string{
		"a": strings.Repeat("a", 400_000), "b": strings.Repeat("b", 400_000), "c": "c", "d": "d", "e": "e", "f": strings.Repeat("f", 400_000), "g": "g",
	})
	other := another(t, from)
	files := func(names string) (some []folder.File) {
		for _, f := range f.Files {
			if strings.Contains(names, f.Path) {
				some = append(some, f)
			}
		}
		return some
	}
	all := func(names, dir string) {
		for name, got := range fetch(t, other, GetFolder{Files: files(names), Dir: dir}) {
			if got.Err != nil {
				t.Errorf("%s: %v", name, got.Err)
			}
		}
	}
	for _, c := range []struct {
		mine, others string
		placed       bool
	}{
		{"ab", "f", true}, {"ab", "cd", true}, {"ab", "ab", true}, {"cdef", "ab", true}, {"cde", "cde", true}, {"f", "abcde", false}, {"c", "g", false},
	} {
		dir := t.TempDir()
		amid(t, to, files(c.mine), dir, c.placed, func() { all(c.others, dir) })
	}
	dir := t.TempDir()
	all("f", dir)
	elsewhere := files("f")
	elsewhere[0].Path = "sub/f"
	amid(t, to, elsewhere, dir, false, func() { all("f", dir) })
}

// What another process fetches to the same folder is refused, and nothing of it is touched.
func TestContentOfAnother(t *testing.T) {
	from, to, f := pair(t, map[string]string{"f": strings.Repeat("f", 400_000)})
	other, dir := another(t, from), t.TempDir()
	amid(t, to, f.Files, dir, false, func() {
		if got := fetch(t, other, GetFolder{Files: f.Files, Dir: dir}); got["f"].Err == nil {
			t.Error("it was fetched twice to the same place")
		}
	})
}

// What a process that is no more has left of its locks is in nobody's way.
func TestLocksThatStay(t *testing.T) {
	_, to, f := pair(t, map[string]string{"f": strings.Repeat("f", 400_000)})
	dir := t.TempDir()
	stage := filepath.Join(dir, folder.Stage)
	if err := os.Mkdir(stage, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{stageLock, f.Files[0].BLAKE3.String() + lockSuffix, chunk.RootOfBlock([]byte("x")).String() + lockSuffix} {
		if err := os.WriteFile(filepath.Join(stage, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	amid(t, to, f.Files, dir, true, func() {})
}

// A context that has ended ends a folder without a look at its files, whatever is to be done for each, and each is told of.
func TestFolderEnds(t *testing.T) {
	_, to, f := pair(t, map[string]string{"large": strings.Repeat("l", 400_000), "a": "a", "b": "b", "taken": "is something else"})
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, folder.Stage), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "taken"), []byte("by another file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range f.Files { // whoever began with one would say that another has it
		l, err := chunk.TakeLock(filepath.Join(dir, folder.Stage, file.BLAKE3.String()+lockSuffix), false)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Release()
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	told := 0
	err := to.GetFolder(ctx, GetFolder{Files: f.Files, Dir: dir, Done: func(got FolderFile) {
		if told++; !errors.Is(got.Err, context.Canceled) {
			t.Errorf("%s: %v", got.File.Path, got.Err)
		}
	}})
	if !errors.Is(err, context.Canceled) || told != len(f.Files) {
		t.Errorf("%v, %d of %d files are told of", err, told, len(f.Files))
	}
}

// endless is a file without an end, whose first reading ends a context.
type endless struct {
	end  func()
	read int64
}

func (e *endless) Read(p []byte) (int, error) {
	e.end()
	e.read += int64(len(p))
	return len(p), nil
}

// Copying looks at its context after a piece, however long the file is.
func TestCopyEnds(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "copy"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, end := context.WithCancel(t.Context())
	from := &endless{end: end}
	if err := copyPieces(ctx, out, from); !errors.Is(err, context.Canceled) || from.read > copyPiece {
		t.Errorf("%v after %d bytes", err, from.read)
	}
}
