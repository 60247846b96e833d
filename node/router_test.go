package node

import (
	"net/netip"
	"testing"
)

func TestMappable(t *testing.T) {
	for _, x := range []struct {
		listen, bound []string
		v4, v6        string
	}{
		{nil, []string{"[::]:24254"}, "0.0.0.0:24254", "[::]:24254"},
		{[]string{":7000"}, []string{"[::]:7000"}, "0.0.0.0:7000", "[::]:7000"},
		{[]string{"[::]:7000"}, []string{"[::]:7000"}, "", "[::]:7000"},
		{[]string{"0.0.0.0:7000"}, []string{"0.0.0.0:7000"}, "0.0.0.0:7000", ""},
		{[]string{"127.0.0.1:7000", "[::1]:7000"}, []string{"127.0.0.1:7000", "[::1]:7000"}, "", ""},
		{[]string{"192.168.1.2:1", "192.168.1.2:2"}, []string{"192.168.1.2:1", "192.168.1.2:2"}, "192.168.1.2:1", ""},
		{[]string{"[fe80::1]:1", "[2001:db8::1]:2"}, []string{"[fe80::1]:1", "[2001:db8::1]:2"}, "", "[2001:db8::1]:2"},
	} {
		var bound []netip.AddrPort
		for _, b := range x.bound {
			bound = append(bound, netip.MustParseAddrPort(b))
		}
		text := func(a netip.AddrPort) string {
			if !a.IsValid() {
				return ""
			}
			return a.String()
		}
		if v4, v6 := mappable(x.listen, bound); text(v4) != x.v4 || text(v6) != x.v6 {
			t.Errorf("%v bound to %v: %q and %q, want %q and %q", x.listen, x.bound, text(v4), text(v6), x.v4, x.v6)
		}
	}
}
