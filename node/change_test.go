//go:build unix

package node

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
	"sharer/seed"
)

// A seeded file that is not any more what was hashed is not offered any more, and no
// byte of it is sent; other files of the seeder are.
func TestFilesThatChange(t *testing.T) {
	original := bytes.Repeat([]byte("what was hashed "), 20_000)
	for name, change := range map[string]func(path string) error{
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
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, netsim.Link{Delay: 10 * time.Millisecond, Rate: 1e6, Queue: 256 << 10})
				defer w.close()
				s, at := w.start(Config{StateDir: filepath.Join(t.TempDir(), "state")})
				dir := t.TempDir()
				path := filepath.Join(dir, "file")
				for p, data := range map[string][]byte{path: original, filepath.Join(dir, "other"): []byte("untouched")} {
					if err := os.WriteFile(p, data, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				// Hashed in a time of its own: a change within the clock tick of the
				// hashing is caught by its size and ctime only where those differ.
				if _, err := s.Seed(t.Context(), seed.Options{Paths: []string{dir}}, nil); err != nil {
					t.Fatal(err)
				}
				sums, err := chunk.Sum(t.Context(), bytes.NewReader(original), int64(len(original)), nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				n, _ := w.start(Config{Peers: []netip.AddrPort{at}})
				id := chunk.ID{Kind: chunk.SHA256, Hash: sums.SHA256}
				changed := false
				got := filepath.Join(t.TempDir(), "got")
				_, err = n.Get(t.Context(), Get{ID: id, Size: -1, Path: got, FindTimeout: 20 * time.Second, StallTimeout: 20 * time.Second, Progress: func(p Progress) {
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
				part, err := os.ReadFile(got + ".part")
				if err != nil {
					t.Fatal(err)
				}
				for i := 0; i < len(part); i += chunk.BlockSize {
					block := part[i:min(i+chunk.BlockSize, len(part))]
					if !bytes.Equal(block, original[i:i+len(block)]) && !bytes.Equal(block, make([]byte, len(block))) {
						t.Fatalf("bytes from offset %d on are not what was hashed", i)
					}
				}
				if _, ok := s.library.Find(id); ok {
					t.Error("it is still offered")
				}
				untouched, err := chunk.Sum(t.Context(), bytes.NewReader([]byte("untouched")), 9, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				fetch(t, n, chunk.ID{Kind: chunk.BLAKE3, Hash: untouched.BLAKE3}, []byte("untouched"))
			})
		})
	}
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
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, netsim.Link{})
		defer w.close()
		state, a, b := filepath.Join(t.TempDir(), "state"), t.TempDir(), t.TempDir()
		ids := map[string]chunk.ID{}
		for _, dir := range []string{a, b} {
			if err := os.WriteFile(filepath.Join(dir, "file"), []byte(dir), 0o600); err != nil {
				t.Fatal(err)
			}
			sums, err := chunk.Sum(t.Context(), bytes.NewReader([]byte(dir)), int64(len(dir)), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			ids[dir] = chunk.ID{Kind: chunk.SHA256, Hash: sums.SHA256}
		}
		for _, dir := range []string{a, b} {
			n, _ := w.start(Config{StateDir: state})
			report, err := n.Seed(t.Context(), seed.Options{Paths: []string{dir}}, nil)
			if err != nil || report.Files != 1 {
				t.Fatalf("%+v, %v", report, err)
			}
			for other, id := range ids {
				if _, ok := n.library.Find(id); ok != (other == dir) {
					t.Errorf("after seeding %s, %s is offered: %v", dir, other, ok)
				}
			}
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
			w.nodes = w.nodes[:len(w.nodes)-1]
		}
	})
}
