package node

import (
	"os"
	"path/filepath"
	"testing"

	"sharer/chunk"
	"sharer/seed"
)

// Who asks for a file in the moment in which it is withdrawn does not have it served from then on.
func TestWithdrawnWhileItIsLookedUp(t *testing.T) {
	n, err := Start(Config{Listen: []string{"127.0.0.1:0"}, Isolated: true, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, id := n.library, chunk.ID{}
	for _, withdraw := range []func(){func() { n.Withdraw(path) }, func() { _ = n.WithdrawRoot(path) }, func() { _ = n.WithdrawFiles([]string{path}) }} {
		if _, err := n.Seed(t.Context(), seed.Options{Paths: []string{path}}, func(e seed.Event) {
			if e.Kind == seed.FileDone {
				id = chunk.ID{Kind: chunk.BLAKE3, Hash: e.File.Content.BLAKE3}
			}
		}); err != nil {
			t.Fatal(err)
		}
		s := l.seeded(id)
		if s == nil {
			t.Fatal("it is not offered")
		}
		withdraw()
		l.remember(id, s, s.places)
		if _, ok := l.Find(id); ok {
			t.Error("what was withdrawn is served")
		}
	}
}
