package swarm

import (
	"net/netip"
	"testing"
	"time"
)

// TestLent: addresses that links and single commands name, however many and however silent, neither keep out what the user gives
// nor stay for ever; what he gave does.
func TestLent(t *testing.T) {
	tb := newTestTable(t)
	c := newTestSwarm(t, &fakeConn{}, Config{}).Gate.cookies
	now := time.Now()
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(i >> 8), byte(i), 1}), 24254)
	}
	typed := at(0)
	if tb.Give(now, typed) != 1 {
		t.Fatal("the first is not taken")
	}
	proven := 0
	for i := 1; i < 3*MaxGiven; i++ {
		now = now.Add(time.Second)
		tb.Lend(now, at(i))
		if i%5 == 0 && tb.byAddr[at(i)] != nil {
			tb.proveDirect(at(i), c, now)
			proven++
		}
		if err := tb.check(); err != nil {
			t.Fatal(err)
		}
	}
	later := at(5000)
	if tb.given != MaxGiven || tb.Give(now, later) != 1 {
		t.Fatalf("%d are given, and no room is made for the user's", tb.given)
	}
	if tb.Lend(now, later) != 1 || tb.byAddr[later].lent {
		t.Error("what the user gave is lent")
	}
	now = now.Add(lentFor)
	tb.due(now)
	if err := tb.check(); err != nil {
		t.Fatal(err)
	}
	for _, e := range tb.list {
		if e.lent && !e.proven {
			t.Errorf("%s is asked on after %v of silence", e.addr, lentFor)
		}
	}
	for _, a := range []netip.AddrPort{typed, later} {
		if e := tb.byAddr[a]; e == nil || !e.given {
			t.Errorf("%s, which the user gave, is forgotten", a)
		}
	}
	if _, n, _ := tb.Sizes(); n != proven {
		t.Errorf("%d proven are left of %d", n, proven)
	}
}
