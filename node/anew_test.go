package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/index"
	"sharer/seed"
)

// TestOfferedAnew: what was found for somebody, and is written and offered anew before he reads on, stays offered; so does a page of
// a folder that is listed again as it was.
func TestOfferedAnew(t *testing.T) {
	dir := t.TempDir()
	n, err := Start(Config{StateDir: filepath.Join(dir, "state"), Listen: []string{"127.0.0.1:0"}, Isolated: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	text := []byte("a text")
	path := filepath.Join(dir, "file")
	offer := func(at int64) chunk.ID {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(at, 0), time.Unix(at, 0)); err != nil {
			t.Fatal(err)
		}
		f, stamp, err := chunk.OpenRegular(path)
		if err != nil {
			t.Fatal(err)
		}
		sums, err := chunk.Sum(t.Context(), f, stamp.Size, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		e := index.Entry{Content: index.Content{SHA256: sums.SHA256, BLAKE3: sums.BLAKE3, Size: sums.Size}, Place: index.Place{Path: path, Stamp: stamp}}
		if err := n.OfferFiles([]index.Entry{e}); err != nil {
			t.Fatal(err)
		}
		return chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}
	}
	read := func(what string, id chunk.ID) {
		t.Helper()
		buf := make([]byte, 6)
		c, there := n.library.Find(id)
		if there {
			_, _ = c.ReadAt(buf, 0) // what was found before may be over
			c, there = n.library.Find(id)
		}
		if !there {
			t.Fatalf("%s: not offered any more", what)
		}
		if k, err := c.ReadAt(buf, 0); k == 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	id := offer(1_700_000_000)
	read("offered", id)
	offer(1_700_000_100)
	read("offered anew", id)

	pages := func() chunk.ID {
		t.Helper()
		f, err := folder.New("x", []folder.File{{Path: "a", Size: 6, BLAKE3: id.Hash}})
		if err != nil {
			t.Fatal(err)
		}
		sums, err := n.ReplaceFolder(t.Context(), dir, f)
		if err != nil {
			t.Fatal(err)
		}
		return chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}
	}
	read("a page", pages())
	read("a page again", pages())

	// Who changes a file behind the node's back ends it.
	if err := os.WriteFile(path, []byte("no text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, there := n.library.Find(id); there {
		if k, err := c.ReadAt(make([]byte, 6), 0); err == nil {
			t.Errorf("%d bytes of what was changed are read", k)
		}
	}
	if _, there := n.library.Find(id); there {
		t.Error("what was changed is offered on")
	}
}

// TestRootAnew: a file that was given, is withdrawn since it has changed, and seeded anew, is listed as before.
func TestRootAnew(t *testing.T) {
	dir := t.TempDir()
	n, err := Start(Config{StateDir: filepath.Join(dir, "state"), Listen: []string{"127.0.0.1:0"}, Isolated: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("a text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := n.Seed(t.Context(), seed.Options{Paths: []string{path}}, nil); err != nil || len(n.library.roots) != 1 {
			t.Fatalf("%v, %q", err, n.library.roots)
		}
		if n.Withdraw(path); len(n.library.roots) != 0 {
			t.Errorf("withdrawn, and %q is listed", n.library.roots)
		}
	}
}
