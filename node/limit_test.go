package node

import (
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"sharer/internal/netsim"
	"sharer/wire"
)

// Limits hold on the wire, headers counted: up on the seeder, down on the
// downloader, over the whole and over any second.
func TestLimitsHold(t *testing.T) {
	const limit, size = 125_000, 2_000_000 // 1 Mbit/s
	for name, c := range map[string]struct{ up, down, peer int64 }{"up": {up: limit}, "down": {down: limit}, "up for each peer": {peer: limit}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, netsim.Link{Delay: 10 * time.Millisecond, Rate: 12.5e6, Queue: 256 << 10})
				defer w.close()
				_, at, contents := w.seeder(Config{Up: c.up, UpPerPeer: c.peer}, size)
				n, _ := w.start(Config{Peers: []netip.AddrPort{at}, Down: c.down})
				var sent []netsim.Packet // time and size only
				total := 0
				w.Tap(func(p netsim.Packet) {
					if p.From == at {
						bytes := len(p.Data) + wire.HeaderBytes
						total += bytes
						sent = append(sent, netsim.Packet{At: p.At, Data: make([]byte, 0, bytes)})
					}
				})
				start := time.Now()
				if _, err := n.Get(t.Context(), Get{ID: contents[0].blake3(), Size: -1, Path: filepath.Join(t.TempDir(), "got")}); err != nil {
					t.Fatal(err)
				}
				took := time.Since(start).Seconds()
				const burst = 64<<10 + 8192 // the bucket, and the estimate of an answer that is larger than it
				t.Logf("%d bytes in %.1f s", total, took)
				if rate := float64(total-burst) / took; rate > 1.05*limit || rate < 0.80*limit {
					t.Errorf("%.0f bytes a second beyond the burst, want %d", rate, limit)
				}
				inWindow, first := 0, 0
				for _, p := range sent {
					inWindow += cap(p.Data)
					for p.At.Sub(sent[first].At) > time.Second {
						inWindow -= cap(sent[first].Data)
						first++
					}
					if inWindow > limit+burst+limit/10 {
						t.Fatalf("%d bytes in one second, want at most %d", inWindow, limit+burst)
					}
				}
			})
		})
	}
}
