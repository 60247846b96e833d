//go:build unix

package sim

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/seed"
	"sharer/wire"
)

// changes are what may happen to a file that is seeded.
var changes = map[string]func(path string) error{
	"changes":  func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("something other "), 20_000), 0o600) },
	"grows":    func(p string) error { return appendTo(p, "more") },
	"shrinks":  func(p string) error { return os.Truncate(p, 5000) },
	"vanishes": os.Remove,
	"is replaced": func(p string) error {
		if err := os.WriteFile(p+".new", bytes.Repeat([]byte("other "), 50_000), 0o600); err != nil {
			return err
		}
		return os.Rename(p+".new", p)
	},
	"becomes a link": func(p string) error {
		if err := os.Remove(p); err != nil {
			return err
		}
		return os.Symlink("/etc/passwd", p)
	},
	"becomes a pipe": func(p string) error {
		if err := os.Remove(p); err != nil {
			return err
		}
		return syscall.Mkfifo(p, 0o600)
	},
	"becomes a folder": func(p string) error {
		if err := os.Remove(p); err != nil {
			return err
		}
		return os.Mkdir(p, 0o700)
	},
}

// A seeded file that is not any more what was hashed is not offered any more, and no
// byte of it is sent (C1 sees to that as well); other files of the seeder are.
func TestFilesThatChange(t *testing.T) {
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { whileFetched(t, change) })
		})
	}
}

func whileFetched(t *testing.T, change func(path string) error) {
	w := New(t, Options{Link: netsim.Link{Delay: 10 * time.Millisecond, Rate: 1e6, Queue: 256 << 10}})
	defer w.Close()
	original, untouched := contentOf(t, bytes.Repeat([]byte("what was hashed "), 20_000)), contentOf(t, []byte("untouched"))
	s := w.SeederOf(node.Config{}, original, untouched)
	path := s.FileOf(original)
	n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
	changed := false
	got := w.Path("got")
	_, err := n.Get(t.Context(), node.Get{ID: original.SHA256(), Size: -1, Path: got, FindTimeout: 20 * time.Second, StallTimeout: 20 * time.Second, Progress: func(p node.Progress) {
		if p.Done > 0 && !changed {
			changed = true
			if err := change(path); err != nil {
				t.Error(err)
			}
		}
	}})
	if !changed {
		t.Error("the file was never changed")
	}
	if err == nil {
		t.Error("a content was fetched whole whose file was changed in between")
	}
	part, err := os.ReadFile(chunk.PartName(got))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(part); i += chunk.BlockSize {
		block := part[i:min(i+chunk.BlockSize, len(part))]
		if !bytes.Equal(block, original.Data[i:i+len(block)]) && !bytes.Equal(block, make([]byte, len(block))) {
			t.Fatalf("bytes from offset %d on are not what was hashed", i)
		}
	}
	if w.offers(s, original.SHA256()) {
		t.Error("it is still offered")
	}
	n.Fetch(untouched.BLAKE3())
}

// offers asks a node for an id, as a stranger, and reports whether it looked for bytes of it.
func (w *World) offers(h *Host, id chunk.ID) bool {
	w.t.Helper()
	before := h.Stats().Uploads
	asker := w.Evil()
	asker.Send(h.At, wire.PleaseSendContent{ID: []byte(id.String()), Length: chunk.BlockSize})
	time.Sleep(5 * time.Second) // longer than any queue on these links
	after := h.Stats().Uploads
	if after.Asked+after.Unknown == before.Asked+before.Unknown {
		w.t.Errorf("%s never got a question", h)
	}
	return after.Asked > before.Asked
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// What an earlier session has seeded, and this one has not, is not offered.
func TestOnlyThisSessionsFilesAreOffered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{})
		defer w.Close()
		state := w.Path("state")
		ids := map[string]chunk.ID{}
		for range 2 {
			path := w.Path("file")
			dir := filepath.Dir(path)
			if err := os.WriteFile(path, []byte(dir), 0o600); err != nil {
				t.Fatal(err)
			}
			ids[dir] = contentOf(t, []byte(dir)).SHA256()
		}
		for dir := range ids {
			n := w.Node(node.Config{StateDir: state})
			report, err := n.Seed(t.Context(), seed.Options{Paths: []string{dir}}, nil)
			if err != nil || report.Files != 1 {
				t.Fatalf("%+v, %v", report, err)
			}
			for other, id := range ids {
				if ok := w.offers(n, id); ok != (other == dir) {
					t.Errorf("after seeding %s, %s is offered: %v", dir, other, ok)
				}
			}
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
