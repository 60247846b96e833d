package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/internal/netsim"
	"sharer/node"
)

// nobodys are files of contents that nobody has.
func nobodys(n int, size int64, kind string) (files []folder.File) {
	for i := range n {
		name := fmt.Sprintf("%s%04d", kind, i)
		files = append(files, folder.File{Path: name, Size: size, BLAKE3: chunk.RootOfBlock([]byte(name)), SHA256: chunk.RootOfBlock([]byte("sha" + name))})
	}
	return files
}

// What nobody has of a folder holds up nothing of the rest, and is not waited for one by one: FindTimeout counts for all of it.
func TestFolderWithoutSome(t *testing.T) {
	const find = 15 * time.Second
	for name, tc := range map[string]struct {
		large, small int // that nobody has
		most         time.Duration
	}{
		"one":  {1, 0, find + 2*time.Second},
		"many": {90, 20, 2*find + 5*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := New(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond, Rate: 12.5e6, Queue: 256 << 10}})
				defer w.Close()
				s := w.Seeder(node.Config{}, 300_000, 300_001, 300_002, 20_000, 20_001, 300_003)
				n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
				_, _ = n.Ping(t.Context(), s.At)
				came, start, last := 0, time.Now(), time.Duration(0)
				g := node.GetFolder{Dir: t.TempDir(), Jobs: 4, FindTimeout: find, Done: func(f node.FolderFile) {
					switch here := f.File.Path[0] == 'z'; {
					case here && f.Err == nil:
						came++
						last = time.Since(start)
					case here || !errors.Is(f.Err, node.ErrNotFound):
						t.Errorf("%s: %v", f.File.Path, f.Err)
					}
				}}
				g.Files = append(nobodys(tc.large, 300_000, "a"), nobodys(tc.small, 5000, "b")...)
				for i, c := range s.Contents { // behind all of those
					g.Files = append(g.Files, folder.File{Path: fmt.Sprintf("z%d", i), Size: c.Size(), BLAKE3: c.BLAKE3().Hash, SHA256: c.SHA256().Hash})
				}
				if err := n.GetFolder(t.Context(), g); err != nil {
					t.Fatal(err)
				}
				took := time.Since(start)
				t.Logf("the last of those that are there after %v, the end after %v", last, took)
				if came != len(s.Contents) || took > tc.most || took < find {
					t.Errorf("%d of %d came; the end after %v", came, len(s.Contents), took)
				}
			})
		})
	}
}

// A link with both hashes is looked for as long as one with one.
func TestFindTimeoutOfBothHashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{})
		defer w.Close()
		s := w.Seeder(node.Config{}, 5000)
		n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
		f := nobodys(1, 5000, "x")[0]
		start := time.Now()
		_, err := n.Get(t.Context(), node.Get{ID: f.ID(), Also: f.Also(), Size: -1, Path: t.TempDir() + "/x", FindTimeout: time.Minute})
		var none *node.NotFoundError
		if took := time.Since(start); !errors.As(err, &none) || none.ID != f.ID() || none.After != time.Minute || took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}
