package sim

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sharer/folder"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// Limits hold on the wire, headers counted: up on the seeder, down on the
// downloader, over the whole and over any second. The checkers see to the windows (C7); here the
// whole is compared, from both sides.
func TestLimitsHold(t *testing.T) {
	const limit, size = 125_000, 2_000_000 // 1 Mbit/s
	for name, c := range map[string]struct{ up, down, peer int64 }{"up": {up: limit}, "down": {down: limit}, "up for each peer": {peer: limit}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := New(t, Options{Link: netsim.Link{Delay: 10 * time.Millisecond, Rate: 12.5e6, Queue: 256 << 10}})
				defer w.Close()
				s := w.Seeder(node.Config{Up: c.up, UpPerPeer: c.peer}, size)
				n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}, Down: c.down})
				total := 0
				w.Tap(func(p netsim.Packet) {
					if p.From == s.At {
						total += len(p.Data) + wire.HeaderBytes
					}
				})
				got, _ := n.Fetch(s.Contents[0].BLAKE3())
				took := got.Duration.Seconds()
				const burst = 64<<10 + 8192 // the bucket, and the estimate of an answer that is larger than it
				t.Logf("%d bytes in %.1f s", total, took)
				if rate := float64(total-burst) / took; rate > 1.05*limit || rate < 0.80*limit {
					t.Errorf("%.0f bytes a second beyond the burst, want %d", rate, limit)
				}
			})
		})
	}
}

// Peers that have nothing to give take nothing of the limit.
func TestLimitIsForThoseWhoGive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		s := w.Seeder(node.Config{}, 2_000_000)
		given := []netip.AddrPort{s.At}
		for range 20 {
			e := w.Evil(Truth(s.Contents[0]), Only(Blocks), Holds(wire.Range{From: 0, To: 4096})) // and no more
			given = append(given, e.At)
		}
		n := w.Node(node.Config{Peers: given, Down: 500_000})
		if got, _ := n.Fetch(s.Contents[0].BLAKE3()); got.Duration > 9*time.Second {
			t.Errorf("it took %v; at the limit it takes 5.6 s", got.Duration)
		}
	})
}

// A folder that is fetched at a rate of its own keeps to it with all its contents together, and nothing else is held up.
func TestLimitOfAFolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit, size = 125_000, 700_000
		w := New(t, Options{Link: netsim.Link{Delay: 10 * time.Millisecond, Rate: 12.5e6, Queue: 256 << 10}})
		defer w.Close()
		s := w.Seeder(node.Config{}, size, size, size)
		n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
		total := 0
		w.Tap(func(p netsim.Packet) {
			if p.From == s.At {
				total += len(p.Data) + wire.HeaderBytes
			}
		})
		g := node.GetFolder{Dir: t.TempDir(), Down: limit, Done: func(f node.FolderFile) {
			if f.Err != nil {
				t.Error(f.Err)
			}
		}}
		for i, c := range s.Contents {
			g.Files = append(g.Files, folder.File{Path: string(rune('a' + i)), Size: size, BLAKE3: c.BLAKE3().Hash})
		}
		start := time.Now()
		if err := n.GetFolder(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start).Seconds()
		const burst = 64<<10 + 8192
		t.Logf("%d bytes in %.1f s", total, took)
		if rate := float64(total-burst) / took; rate > 1.05*limit || rate < 0.80*limit {
			t.Errorf("%.0f bytes a second beyond the burst, want %d", rate, limit)
		}
	})
}
