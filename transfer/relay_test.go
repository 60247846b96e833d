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
	now := time.Now()
	var f front
	if f.came(3); f.size != 0 {
		t.Fatal("a peer that has everything has a front after a block")
	}
	f.shut()
	var done chunk.Ranges
	done.Add(0, 5)
	check := func(what string, r reach, want map[int64]bool) {
		t.Helper()
		for block, want := range want {
			if r.has(block) != want {
				t.Errorf("%s: block %d: %v, want %v", what, block, !want, want)
			}
		}
	}
	check("first", f.reach(done, blocks, now), map[int64]bool{4: false, 5: true, 5 + frontFirst - 1: true, 5 + frontFirst: false})
	f.came(5)
	check("grown", f.reach(done, blocks, now), map[int64]bool{5 + frontFirst: true, 5 + frontFirst + 1: false})
	check("near the end", f.reach(done, 6, now), map[int64]bool{5: true, 6: false})
	done.Add(6, 100)
	check("behind a gap of one", f.reach(done, blocks, now), map[int64]bool{5: true, 6: false, 100: true, 100 + frontFirst - 1: true, 100 + frontFirst: false})
	f.lack(5, now)
	check("lacking", f.reach(done, blocks, now), map[int64]bool{5: false, 100: true})
	if !f.lacking(5, now) || f.lacking(100, now) {
		t.Error("it does not know what the peer lacks")
	}
	check("later", f.reach(done, blocks, now.Add(frontIdle)), map[int64]bool{5: true, 100: true})
	f.shut()
	f.came(200)
	check("behind what came last, and the first", f.reach(done, blocks, now), map[int64]bool{5: true, 100: true, 100 + frontFirst - 1: false, 199: false, 200: true, 200 + frontFirst: true, 201 + frontFirst: false})
	done.Add(0, blocks)
	check("all is here", f.reach(done, blocks, now), map[int64]bool{0: false, blocks - 1: false})
	for range frontMost {
		f.came(blocks)
	}
	if f.size != 0 {
		t.Errorf("%d blocks after as many came", f.size)
	}
	f.lack(5, now)
	check("no front", f.reach(done, blocks, now), map[int64]bool{5: false, 0: true, blocks - 1: true})
	for i := range int64(10 * frontLacks) {
		f.lack(i, now)
	}
	if len(f.lacks) > frontLacks {
		t.Errorf("%d blocks are remembered", len(f.lacks))
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
