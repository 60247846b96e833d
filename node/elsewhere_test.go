package node

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sharer/chunk"
	"sharer/folder"
	"sharer/index"
)

// faraway has one content, with its tree.
type faraway struct {
	text, tree string
	reads      atomic.Int64
}

var _ Elsewhere = (*faraway)(nil)

func (f *faraway) ReadContent(_ context.Context, _ chunk.Hash, _ int64, p []byte, off int64) (int, error) {
	f.reads.Add(1)
	return strings.NewReader(f.text).ReadAt(p, off)
}

func (f *faraway) ReadTree(_ chunk.Hash, _ int64, p []byte, off int64) (int, error) {
	return strings.NewReader(f.tree).ReadAt(p, off)
}

// TestElsewhere: what does not lie on the machine of one node arrives at another, and the file that stands for it is not read.
func TestElsewhere(t *testing.T) {
	dir := t.TempDir()
	start := func(c Config) *Node {
		c.Listen, c.Isolated, c.StateDir = []string{"127.0.0.1:0"}, true, t.TempDir()
		n, err := Start(c)
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
	far := &faraway{text: strings.Repeat("far away. ", 300_000)}
	treeFile, err := os.Create(filepath.Join(t.TempDir(), "tree"))
	if err != nil {
		t.Fatal(err)
	}
	defer treeFile.Close()
	size := int64(len(far.text))
	sums, err := chunk.Sum(t.Context(), strings.NewReader(far.text), size, treeFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := os.ReadFile(treeFile.Name())
	if err != nil {
		t.Fatal(err)
	}
	far.tree = string(tree)
	place := filepath.Join(dir, sums.BLAKE3.String())
	if err := os.WriteFile(place, []byte("stands for it"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, stamp, err := chunk.OpenRegular(place)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	from := start(Config{})
	from.ServeElsewhere(dir, far)
	entry := index.Entry{Content: index.Content{SHA256: sums.SHA256, BLAKE3: sums.BLAKE3, Size: size}, Place: index.Place{Path: place, Stamp: stamp}}
	if err := from.OfferFiles([]index.Entry{entry}); err != nil {
		t.Fatal(err)
	}
	to := start(Config{Peers: []netip.AddrPort{from.Addrs()[0]}})
	for _, id := range []chunk.ID{{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}, {Kind: chunk.SHA256, Hash: sums.SHA256}} {
		path := filepath.Join(t.TempDir(), "got")
		if _, err := to.Get(t.Context(), Get{ID: id, Path: path, Size: -1}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != far.text {
			t.Errorf("%v: %d bytes of others: %v", id, len(got), err)
		}
	}
	if far.reads.Load() == 0 {
		t.Error("it was read elsewhere")
	}
	r, err := from.Open(t.Context(), OpenRequest{ID: chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}, Held: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, []byte(far.text)) {
		t.Errorf("a reader here: %d bytes, %v", len(got), err)
	}
	if from.CopyHere(t.Context(), folder.File{Size: size, BLAKE3: sums.BLAKE3, SHA256: sums.SHA256}, filepath.Join(t.TempDir(), "copy")) {
		t.Error("copied from what only stands for it")
	}
}
