package sim

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/folder"
	"sharer/internal/netsim"
	"sharer/node"
)

// asked counts the questions of a node: for content, for trees, and the datagrams that they came in.
func (w *World) asked(of netip.AddrPort) func() (contents, datagrams int) {
	var mu sync.Mutex
	contents, datagrams := 0, 0
	w.OnPacket(func(p netsim.Packet) {
		if p.Outcome != netsim.Sent || p.From != of {
			return
		}
		n := 0
		for _, e := range elements(p) {
			if e.Name == "PleaseSendContent" {
				n++
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if contents += n; n > 0 {
			datagrams++
		}
	})
	return func() (int, int) {
		mu.Lock()
		defer mu.Unlock()
		return contents, datagrams
	}
}

// A folder of small contents comes whole, and as it is said to be, over links that lose, from peers that lie, that have only
// some of it, that answer in base64 only, or that do not answer.
func TestSmallFilesTogether(t *testing.T) {
	sizes := make([]int, 300)
	for i := range sizes {
		sizes[i] = 1 + i*i%90_000
	}
	const clean = 0
	for name, tc := range map[string]struct {
		loss   float64
		beside func(w *World, s *Host) []netip.AddrPort // peers beside the seeder
		most   time.Duration
		each   int // datagrams with questions for each content at most, 0: whatever
	}{
		"clean":       {clean, nil, 4 * time.Second, 6},
		"loses":       {0.05, nil, 15 * time.Second, 0},
		"a liar":      {clean, besideSmall(Raw(), Flip(1, Blocks)), 12 * time.Second, 0},
		"other sizes": {clean, besideSmall(Raw(), ClaimSize(func(n int64, _ Ask) int64 { return n + 1 })), 12 * time.Second, 0},
		"plain":       {clean, besideSmall(), 12 * time.Second, 0},
		"silent":      {clean, besideSmall(Silent()), 12 * time.Second, 0},
		"some": {clean, func(w *World, s *Host) []netip.AddrPort {
			return []netip.AddrPort{w.SeederOf(node.Config{}, s.Contents[:100]...).At}
		}, 12 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := New(t, Options{Link: netsim.Link{Delay: 10 * time.Millisecond, Rate: 12.5e6, Queue: 256 << 10, Loss: tc.loss}})
				defer w.Close()
				s := w.Seeder(node.Config{}, sizes...)
				given := []netip.AddrPort{s.At}
				if tc.beside != nil {
					given = append(tc.beside(w, s), given...)
				}
				n := w.Node(node.Config{Peers: given})
				asked := w.asked(n.At)
				for _, a := range given { // as who has fetched the list of files has done
					_, _ = n.Ping(t.Context(), a)
				}
				g := node.GetFolder{Dir: t.TempDir(), Done: func(f node.FolderFile) {
					if f.Err != nil {
						t.Error(f.Err)
					}
				}}
				for i, c := range s.Contents {
					g.Files = append(g.Files, folder.File{Path: fmt.Sprintf("%03d/%03d", i/7, i), Size: c.Size(), BLAKE3: c.BLAKE3().Hash, SHA256: c.SHA256().Hash, Mtime: 1e9})
				}
				start := time.Now()
				if err := n.GetFolder(t.Context(), g); err != nil {
					t.Fatal(err)
				}
				took := time.Since(start)
				for i, f := range g.Files {
					path := filepath.Join(g.Dir, filepath.FromSlash(f.Path))
					fi, err := os.Stat(path)
					if err != nil || fi.ModTime().Unix() != 1e9 {
						t.Fatal(f.Path, err)
					}
					if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, s.Contents[i].Data) {
						t.Fatalf("%s is another content (%v)", f.Path, err)
					}
				}
				if left, err := os.ReadDir(filepath.Join(g.Dir, folder.Stage)); err == nil {
					t.Errorf("left in the stage: %v", left)
				}
				questions, datagrams := asked()
				t.Logf("%v, %d questions in %d datagrams", took, questions, datagrams)
				if took > tc.most || tc.each > 0 && datagrams > tc.each*len(sizes) {
					t.Errorf("it took %v, and %d datagrams", took, datagrams)
				}
			})
		})
	}
}

// A link that is dark for a while costs a folder of small contents about as much, and not that all of it comes one by one from then on. One
// that stays dark costs less, if there is another peer.
func TestSmallFilesOverDarkLink(t *testing.T) {
	t.Parallel()
	const begin = 400 * time.Millisecond
	sizes := make([]int, 1000)
	for i := range sizes {
		sizes[i] = 5000 + i
	}
	for name, tc := range map[string]struct {
		dark   time.Duration
		beside bool
		most   time.Duration // 2.6 s without
	}{
		"a while":  {2500 * time.Millisecond, false, 6500 * time.Millisecond},
		"for ever": {time.Hour, true, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				link := netsim.Link{Delay: 10 * time.Millisecond, Rate: 2.5e6, Queue: 256 << 10}
				w := New(t, Options{Link: link})
				defer w.Close()
				s := w.Seeder(node.Config{}, sizes...)
				given := s.peers()
				if tc.beside {
					given = append(given, w.SeederOf(node.Config{}, s.Contents...).At)
				}
				n := w.Node(node.Config{Peers: given})
				link.Dark = []netsim.Window{{From: w.Now() + begin, To: w.Now() + begin + tc.dark}}
				w.SetLink(n.At.Addr(), s.At.Addr(), link)
				g := node.GetFolder{Dir: t.TempDir(), Done: func(f node.FolderFile) {
					if f.Err != nil {
						t.Error(f.Err)
					}
				}}
				for i, c := range s.Contents {
					g.Files = append(g.Files, folder.File{Path: fmt.Sprint(i), Size: c.Size(), BLAKE3: c.BLAKE3().Hash})
				}
				for _, a := range given {
					_, _ = n.Ping(t.Context(), a)
				}
				start := time.Now()
				if err := n.GetFolder(t.Context(), g); err != nil {
					t.Fatal(err)
				}
				took := time.Since(start)
				if t.Logf("it took %v", took); took > tc.most {
					t.Errorf("it took %v, want %v", took, tc.most)
				}
			})
		})
	}
}

func besideSmall(bs ...Behaviour) func(w *World, s *Host) []netip.AddrPort {
	return func(w *World, s *Host) []netip.AddrPort {
		return []netip.AddrPort{w.Evil(append([]Behaviour{Truth(s.Contents...)}, bs...)...).At}
	}
}
