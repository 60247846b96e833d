package sim

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
)

// A8: a claimed size costs nothing. A liar alone, that answers everything: whatever
// it claims, the heap does not follow and no byte gets to the disk under a blake3 id. It
// runs alone, for the sake of the heap.
func TestClaimsCostNothing(t *testing.T) {
	for _, claim := range []int64{5000, 1 << 30, 1 << 40, 1 << 50, 1<<53 + 1, 1 << 62, 1<<63 - 1} {
		synctest.Test(t, func(t *testing.T) {
			w := New(t, Options{Link: netsim.Link{Delay: time.Millisecond}})
			defer w.Close()
			e := w.Evil(Everything(claim))
			n := w.Node(node.Config{})
			n.Give(e.At)
			path := w.Path("got")
			id := chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{1, 2, 3}}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			peak := uint64(0)
			_, err := n.Get(t.Context(), node.Get{ID: id, Size: -1, Path: path, FindTimeout: 30 * time.Second, StallTimeout: 30 * time.Second, Progress: func(p node.Progress) {
				runtime.ReadMemStats(&after)
				peak = max(peak, after.HeapAlloc)
				if p.Done != 0 {
					t.Errorf("claim %d: %d bytes count as done", claim, p.Done)
				}
			}})
			if err == nil || !errors.Is(err, node.ErrNotFound) && !errors.Is(err, node.ErrStalled) {
				t.Errorf("claim %d: %v", claim, err)
			}
			if e.Lies() == 0 {
				t.Errorf("claim %d was never made", claim)
			}
			// Three stripes of 256 KiB, the pools' blocks, and what the collector has not taken yet.
			if grown := int64(peak) - int64(before.HeapAlloc); grown > 8<<20 {
				t.Errorf("claim %d: the heap grew by %d KiB", claim, grown>>10)
			}
			if fi, err := os.Stat(chunk.PartName(path)); err == nil && fi.Size() > 0 {
				t.Errorf("claim %d: %d bytes on disk", claim, fi.Size())
			}
		})
	}
}
