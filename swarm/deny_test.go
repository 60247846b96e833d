package swarm

import (
	"crypto/rand"
	"net/netip"
	"testing"
	"time"
)

func TestDeny(t *testing.T) {
	table, err := NewTable(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	banned := func(a string) bool { return table.Banned(netip.MustParseAddrPort(a), now) }
	if banned("192.0.2.7:1") {
		t.Error("banned without a list")
	}
	table.Deny([]netip.Prefix{netip.MustParsePrefix("192.0.2.99/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("198.51.100.7/32")})
	for a, want := range map[string]bool{
		"192.0.2.7:1": true, "192.0.3.7:1": false, "198.51.100.7:5": true, "198.51.100.8:5": false, "[2001:db8:1::1]:2": true, "[2001:db9::1]:2": false,
		"[::ffff:192.0.2.1]:3": true,
	} {
		if banned(a) != want {
			t.Errorf("%s: banned is %v", a, !want)
		}
	}
	if table.Give(now, netip.MustParseAddrPort("192.0.2.7:1")); len(table.Peers(now)) == 1 && !table.Peers(now)[0].Banned {
		t.Error("a given address that is banned counts as a peer")
	}
	if table.Deny(nil); banned("192.0.2.7:1") {
		t.Error("banned after the list was emptied")
	}
}
