package swarm

import (
	"hash/maphash"
	"net/netip"
	"testing"
)

// TestEchoSlots is A12: addresses that were chosen to collide in a hash without a key are spread over all
// slots, elsewhere in each node.
func TestEchoSlots(t *testing.T) {
	unkeyed := func(a netip.AddrPort) uint32 {
		b := a.Addr().As16()
		h := uint32(a.Port())
		for _, x := range b {
			h = h*31 + uint32(x)
		}
		return h
	}
	var chosen []netip.AddrPort // all with the same hash: one more in a byte, 31 less in the next
	for x := range 32 {
		for y := range 8 {
			for z := range 4 {
				b := [16]byte{0x20, 1}
				b[4], b[5] = byte(x&7), byte(31*(7-x&7))
				b[6], b[7] = byte(y), byte(31*(7-y))
				b[8], b[9] = byte(z), byte(31*(3-z))
				b[10], b[11] = byte(x>>3), byte(31*(3-x>>3))
				chosen = append(chosen, netip.AddrPortFrom(netip.AddrFrom16(b), 1))
			}
		}
	}
	for _, a := range chosen {
		if unkeyed(a) != unkeyed(chosen[0]) {
			t.Fatalf("%s does not collide with %s", a, chosen[0])
		}
	}
	var one, two echoes
	one.seed, two.seed = maphash.MakeSeed(), maphash.MakeSeed()
	used, moved := map[*echo]int{}, 0
	worst := 0
	for _, a := range chosen {
		used[one.slot(a)]++
		worst = max(worst, used[one.slot(a)])
		if slotAt(&one, a) != slotAt(&two, a) {
			moved++
		}
	}
	// 1024 balls in 256 urns: 4.7 urns stay empty, with a deviation of 2; 4 in each, hardly ever 20 in one.
	if len(chosen) != 1024 || len(used) < 230 || worst > 20 {
		t.Errorf("%d addresses use %d slots, %d of them the same one", len(chosen), len(used), worst)
	}
	if moved < 900 {
		t.Errorf("in two nodes %d of %d are in another slot", moved, len(chosen))
	}
	if a, b := newPeer(t, &fakeConn{}, Config{}).Gate.echoes.seed, newPeer(t, &fakeConn{}, Config{}).Gate.echoes.seed; a == b {
		t.Error("two nodes have the same key")
	}
}

func slotAt(es *echoes, a netip.AddrPort) int {
	for i := range es.slots {
		if &es.slots[i] == es.slot(a) {
			return i
		}
	}
	return -1
}
