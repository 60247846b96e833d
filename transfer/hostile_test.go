package transfer

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/swarm"
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

// refusing is a Batch that lets nothing out to an address.
type refusing struct {
	written
	to netip.AddrPort
}

func (r *refusing) Open(to netip.AddrPort, via uint8, why swarm.Reason) ([]byte, bool) {
	if to == r.to {
		return nil, false
	}
	return r.written.Open(to, via, why)
}

// What a peer was to be asked for in parts, when it is banned or denied for what it did elsewhere, is asked of others.
func TestNothingWaitsForWhoIsBanned(t *testing.T) {
	d, _ := near(6, "192.0.2.1:5")
	other := netip.MustParseAddrPort("192.0.2.2:5")
	d.addSources([]netip.AddrPort{other})
	for _, s := range d.sources {
		s.answers, s.claim, s.raw, s.proven, s.noTree = true, d.size, rawness{speaks: true, heard: true}, true, 4
		s.control = wide{s.control}
	}
	banned, honest := d.sources[0], d.sources[1]
	now := time.Now()
	banned.parts.begin(request{}, chunk.BlockSize, rawPartBytes)
	if !d.pick.takeBlock(0) || !d.pick.takeBlock(1) || !d.send(banned, request{at: chunk.BlockSize}, flight{n: chunk.BlockSize}, 0, now) {
		t.Fatal("not asked")
	}
	d.cfg.Batch, d.cfg.Find = &refusing{to: banned.addr}, func(int) []netip.AddrPort { return nil }
	for range 10 {
		d.plan(now)
		d.closeAsk(now)
		for _, r := range d.pick.active {
			for i := range 6 {
				if b := (request{at: int64(i) * chunk.BlockSize}); r.asked>>i&1 == 1 && honest.flights.hasWhole(b) {
					data := make([]byte, d.blockLen(int64(i)))
					d.arrive(&arrival{from: other, proven: true, at: now.Add(time.Millisecond), size: len(data) + 100, raw: true, offset: b.at, data: data, n: len(data), eof: -1})
				}
			}
		}
		now = now.Add(300 * time.Millisecond)
	}
	if st := d.pick.active[0]; st.got != 63 {
		t.Errorf("of 6 blocks came %b; %d are out to who is banned", st.got, banned.flights.live)
	}
}
