package node

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/wire"
)

// A8: a claimed size costs nothing. A liar alone, that answers everything: whatever
// it claims, the heap does not follow and no byte gets to the disk under a blake3 id.
func TestClaimsCostNothing(t *testing.T) {
	for _, claim := range []int64{5000, 1 << 30, 1 << 40, 1 << 50, 1<<53 + 1, 1 << 62, 1<<63 - 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, netsim.Link{Delay: time.Millisecond})
			defer w.close()
			e := w.evil(func(e *evil, m wire.PleaseSendContent, id chunk.ID) []wire.Content {
				e.lies++
				size := claim
				if id.Kind == chunk.BLAKE3Tree && claim <= chunk.MaxSize {
					size = chunk.ShapeOf(claim).FileSize()
				}
				return []wire.Content{{Offset: m.Offset, Data: make([]byte, min(m.Length, 4096)), EOF: size}}
			})
			defer e.close()
			n, _ := w.start(Config{})
			n.swarm.Give(e.at)
			path := filepath.Join(t.TempDir(), "got")
			id := chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{1, 2, 3}}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			peak := uint64(0)
			_, err := n.Get(t.Context(), Get{ID: id, Size: -1, Path: path, FindTimeout: 30 * time.Second, StallTimeout: 30 * time.Second, Progress: func(p Progress) {
				runtime.ReadMemStats(&after)
				peak = max(peak, after.HeapAlloc)
				if p.Done != 0 {
					t.Errorf("claim %d: %d bytes count as done", claim, p.Done)
				}
			}})
			if err == nil || !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrStalled) {
				t.Errorf("claim %d: %v", claim, err)
			}
			if e.lied() == 0 {
				t.Errorf("claim %d was never made", claim)
			}
			// Three stripes of 256 KiB, the pools' blocks, and what the collector has not taken yet.
			if grown := int64(peak) - int64(before.HeapAlloc); grown > 8<<20 {
				t.Errorf("claim %d: the heap grew by %d KiB", claim, grown>>10)
			}
			if fi, err := os.Stat(path + ".part"); err == nil && fi.Size() > 0 {
				t.Errorf("claim %d: %d bytes on disk", claim, fi.Size())
			}
		})
	}
}
