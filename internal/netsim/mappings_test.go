package netsim

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func testTable(k NATKind, outside ...netip.Addr) *table {
	t := newTable(k, rand.New(rand.NewPCG(1, 1)))
	for _, a := range outside {
		t.face(a).addr = a
	}
	return t
}

// sendOut fails if there is no port.
func sendOut(t *testing.T, tab *table, now time.Duration, from, to netip.AddrPort) netip.AddrPort {
	t.Helper()
	out, ok := tab.out(now, from, to)
	if !ok {
		t.Fatalf("no port for %s to %s", from, to)
	}
	return out
}

// All nine of RFC 4787: how many ports three peers see, and which of them may answer a datagram to the first.
func TestMappingAndFiltering(t *testing.T) {
	ports := map[Dependence]int{EndpointIndependent: 1, AddressDependent: 2, AddressAndPortDependent: 3}
	passes := map[Dependence]string{EndpointIndependent: "A A2 B", AddressDependent: "A A2", AddressAndPortDependent: "A"}
	for mapping, wantPorts := range ports {
		for filtering, want := range passes {
			tab := testTable(NATKind{Mapping: mapping, Filtering: filtering}, front)
			at := sendOut(t, tab, 0, inside, peerA)
			var got []string
			for name, peer := range map[string]netip.AddrPort{"A": peerA, "A2": peerA2, "B": peerB} {
				to, o := tab.in(1, at, peer)
				switch {
				case o == Delivered && to == inside:
					got = append(got, name)
				case o != Filtered:
					t.Errorf("%d, %d: from %s to %s: %s", mapping, filtering, name, to, o)
				}
			}
			slices.Sort(got)
			if s := strings.Join(got, " "); s != want {
				t.Errorf("mapping %d, filtering %d: %s pass, want %s", mapping, filtering, s, want)
			}
			seen := map[netip.AddrPort]bool{}
			for _, peer := range []netip.AddrPort{peerA, peerA2, peerB} {
				out := sendOut(t, tab, 2, inside, peer)
				seen[out] = true
				if again, ok := tab.seen(3, inside, peer); !ok || again != out || out.Addr() != front {
					t.Errorf("%s sees %s, told %s, %t", peer, out, again, ok)
				}
				if to, o := tab.in(3, out, peer); to != inside || o != Delivered {
					t.Errorf("mapping %d, filtering %d: %s cannot answer: %s", mapping, filtering, peer, o)
				}
			}
			if len(seen) != wantPorts {
				t.Errorf("mapping %d: %d ports, want %d", mapping, len(seen), wantPorts)
			}
		}
	}
}

func TestMappingsTimeOut(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		kind    NATKind
		out, in []time.Duration
		last    string // what becomes of the last of in
	}{
		{PortRestricted, []time.Duration{0}, []time.Duration{30*s - 1}, "delivered"},
		{PortRestricted, []time.Duration{0}, []time.Duration{30 * s}, "unmapped"},
		{PortRestricted, []time.Duration{0}, []time.Duration{20 * s, 40 * s}, "unmapped"}, // inwards does not count
		{PortRestricted, []time.Duration{0, 20 * s}, []time.Duration{40 * s}, "delivered"},
		{NATKind{RefreshInbound: true}, []time.Duration{0}, []time.Duration{20 * s, 40 * s}, "delivered"},
		{NATKind{RefreshInbound: true}, []time.Duration{0}, []time.Duration{20 * s, 50 * s}, "unmapped"},
		{NATKind{Timeout: 5 * s}, []time.Duration{0}, []time.Duration{5*s - 1}, "delivered"},
		{NATKind{Timeout: 5 * s}, []time.Duration{0}, []time.Duration{5 * s}, "unmapped"},
	} {
		tab := testTable(tc.kind, front)
		var at netip.AddrPort
		for _, now := range tc.out {
			at = sendOut(t, tab, now, inside, peerA)
		}
		var o Outcome
		for _, now := range tc.in {
			_, o = tab.in(now, at, peerA)
		}
		if o.String() != tc.last {
			t.Errorf("%+v, out at %v, in at %v: %s, want %s", tc.kind, tc.out, tc.in, o, tc.last)
		}
	}

	// A sender's permission ends although the mapping is held open towards another.
	tab := testTable(PortRestricted, front)
	at := sendOut(t, tab, 0, inside, peerA)
	sendOut(t, tab, 20*s, inside, peerB)
	if _, o := tab.in(31*s, at, peerA); o != Filtered {
		t.Errorf("a permission that timed out: %s", o)
	}
	if _, o := tab.in(31*s, at, peerB); o != Delivered {
		t.Errorf("a permission that did not: %s", o)
	}

	// What timed out is forgotten, and what comes after it has a port of its own.
	tab = testTable(Symmetric, front)
	for i := range 1000 {
		sendOut(t, tab, time.Duration(i)*s, inside, netip.AddrPortFrom(peerA.Addr(), uint16(i+1)))
	}
	if n := len(tab.mapped); n > 30+30/8+1 || len(tab.faces[0].ports) != n || len(tab.allowed) != n {
		t.Errorf("%d mappings, %d ports, %d permissions are kept of one a second for 30 s", n, len(tab.faces[0].ports), len(tab.allowed))
	}
}

func TestPorts(t *testing.T) {
	tab := testTable(NATKind{PreservePorts: true}, front)
	if out := sendOut(t, tab, 0, inside, peerA); out.Port() != inside.Port() {
		t.Errorf("the first has %s, want port %d", out, inside.Port())
	}
	second := sendOut(t, tab, 0, inside2, peerA)
	if second.Port() == inside.Port() || second.Port() < natFirstPort {
		t.Errorf("the second has %s", second)
	}
	if to, o := tab.in(1, second, peerA); to != inside2 || o != Delivered {
		t.Errorf("the second is %s, %s", to, o)
	}
	if out := sendOut(t, testTable(NATKind{}, front), 0, inside, peerA); out.Port() == inside.Port() {
		t.Errorf("%s: a port is preserved that should not be", out)
	}

	// All are given, no more, and again when they have timed out.
	tab = testTable(NATKind{Mapping: AddressAndPortDependent, Ports: 50}, front)
	given := map[uint16]bool{}
	for i := range 60 {
		out, ok := tab.out(0, inside, netip.AddrPortFrom(peerA.Addr(), uint16(i+1)))
		if ok != (i < 50) {
			t.Fatalf("port %d: %t", i, ok)
		}
		if ok {
			given[out.Port()] = true
		}
	}
	if len(given) != 50 || !given[natFirstPort] || !given[natFirstPort+49] {
		t.Errorf("%d different ports are given, want 50 from %d up", len(given), natFirstPort)
	}
	sendOut(t, tab, natTimeout, inside, peerB)
}

func TestRebindingForgets(t *testing.T) {
	for _, k := range []NATKind{{}, {PreservePorts: true}, Symmetric} {
		tab := testTable(k, front)
		before := sendOut(t, tab, 0, inside, peerA)
		tab.rebind(nil)
		if _, o := tab.in(1, before, peerA); o != Unmapped {
			t.Errorf("%+v: the old port: %s", k, o)
		}
		if _, ok := tab.seen(1, inside, peerA); ok {
			t.Errorf("%+v: there is a mapping already", k)
		}
		after := sendOut(t, tab, 2, inside, peerA)
		if after == before || after.Addr() != front {
			t.Errorf("%+v: from %s to %s", k, before, after)
		}
		tab.rebind([]netip.Addr{front2})
		if after = sendOut(t, tab, 3, inside, peerA); after.Addr() != front2 || k.PreservePorts && after.Port() != inside.Port() {
			t.Errorf("%+v: at the new address %s", k, after)
		}
	}
	// With few ports the old ones come again rather than none.
	tab := testTable(NATKind{Ports: 1}, front)
	sendOut(t, tab, 0, inside, peerA)
	tab.rebind(nil)
	sendOut(t, tab, 1, inside, peerA)
}
