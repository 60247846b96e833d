package transfer

import (
	"math"
	"testing"
	"time"

	"sharer/chunk"
)

// Answers that no peer has a reason to give change nothing: what was asked for is still awaited, and nothing panics.
func TestFarOffsets(t *testing.T) {
	for _, far := range []int64{1 << 50, 1 << 61, 1 << 62, 3 << 61, math.MaxInt64 - 1<<16 + 1} {
		d, _ := near(6, "192.0.2.1:5")
		s := d.sources[0]
		now := time.Now()
		if !d.askOne(s, now) || !s.flights.has(request{}) {
			t.Fatal("not asked")
		}
		d.treeID, d.tree = []byte("x"), newTreeFetch(chunk.ShapeOf(1<<30))
		d.tree.queue = append(d.tree.queue, wantedPiece{piece: 0, block: -1})
		if s.noTree = 0; !d.askOne(s, now) || !s.flights.has(request{tree: true}) {
			t.Fatal("the tree is not asked for")
		}
		data := make([]byte, 2*chunk.BlockSize)
		for _, n := range []int{0, 100, chunk.BlockSize, 2 * chunk.BlockSize} {
			for _, tree := range []bool{false, true} {
				d.arrive(&arrival{from: s.addr, proven: true, at: now, size: n + 100, raw: true, tree: tree, offset: far, data: data[:n], n: n, eof: -1})
			}
		}
		if !s.flights.has(request{}) || !s.flights.has(request{tree: true}) {
			t.Errorf("offset %d: it counts as an answer to another question", far)
		}
	}
}

// What a peer says it holds may lie anywhere.
func TestFarRanges(t *testing.T) {
	const max = math.MaxInt64
	d, _ := near(6, "192.0.2.1:5")
	s := d.sources[0]
	for _, tc := range []struct {
		have []chunk.Range
		want uint64 // blocks
	}{
		{[]chunk.Range{{From: max - 1, To: max}}, 0},
		{[]chunk.Range{{From: d.size, To: max}}, 0},
		{[]chunk.Range{{From: 0, To: max}}, 63},
		{[]chunk.Range{{From: 4096, To: 8192}, {From: max - 4096, To: max}}, 2},
		{[]chunk.Range{{From: d.size - 1, To: d.size}}, 0},
	} {
		s.reach = holding()
		d.holds(s, tc.have)
		if got := s.reach.mask(0); got != tc.want {
			t.Errorf("%v: it holds %b, want %b", tc.have, got, tc.want)
		}
	}
}
