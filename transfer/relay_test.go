package transfer

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"sharer/chunk"
)

func TestFront(t *testing.T) {
	const blocks = 10_000
	var f front
	if f.came(); f != 0 {
		t.Fatal("a peer that has everything has a front after a block")
	}
	f.shut()
	var done chunk.Ranges
	done.Add(0, 5)
	r := f.reach(done, blocks)
	for block, want := range map[int64]bool{4: false, 5: true, 5 + frontFirst - 1: true, 5 + frontFirst: false} {
		if r.has(block) != want {
			t.Errorf("block %d: %v, want %v", block, !want, want)
		}
	}
	f.came()
	if r = f.reach(done, blocks); !r.has(5 + frontFirst) {
		t.Error("it does not grow")
	}
	if r = f.reach(done, 6); !r.has(5) || r.has(6) {
		t.Error("it goes past the end")
	}
	done.Add(5, blocks)
	if r = f.reach(done, blocks); r.has(0) || r.has(blocks-1) {
		t.Error("something is left when all is there")
	}
	for range frontMost {
		f.came()
	}
	if f != 0 {
		t.Errorf("%d blocks after as many came", f)
	}
}

func TestVains(t *testing.T) {
	at := func(port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, 0, 1}), port)
	}
	start := time.Now()
	var vs vains
	vs.add(vain{at(1), false, 10, start})
	vs.add(vain{at(2), false, 20, start})
	vs.add(vain{at(1), false, 30, start.Add(time.Second)})
	want := []chunk.Range{{From: 1, To: 2}, {From: 30, To: 30 + vainBlocks}, {From: 20, To: 20 + vainBlocks}}
	if got := vs.windows([]chunk.Range{{From: 1, To: 2}}, 8, start.Add(time.Second)); !reflect.DeepEqual(got, want) {
		t.Errorf("windows %v, want %v", got, want)
	}
	if got := vs.windows(nil, 1, start); len(got) != 1 {
		t.Errorf("%d windows of one at most", len(got))
	}
	if got := vs.windows(nil, 8, start.Add(vainTime+time.Millisecond)); len(got) != 1 || got[0].From != 30 {
		t.Errorf("windows %v after the older ones' time", got)
	}
	for i := range uint16(100) {
		vs.add(vain{at(100 + i), false, 1, start})
	}
	if len(vs) != maxVain {
		t.Errorf("%d are kept", len(vs))
	}
}
