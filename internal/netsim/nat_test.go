package netsim

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

var (
	inside  = netip.MustParseAddrPort("192.168.1.2:24254")
	inside2 = netip.MustParseAddrPort("192.168.1.3:24254")
	front   = netip.MustParseAddr("198.51.100.1")
	front2  = netip.MustParseAddr("198.51.100.2")

	// Three peers: two ports of one address, and another address.
	peerA  = netip.MustParseAddrPort("203.0.113.1:1")
	peerA2 = netip.MustParseAddrPort("203.0.113.1:2")
	peerB  = netip.MustParseAddrPort("203.0.113.2:1")
)

// TestHolePunching is the table that everybody knows: two hosts behind NATs, who learn from a third where they are seen,
// and send to each other there, twice.
func TestHolePunching(t *testing.T) {
	kinds := map[string]NATKind{"cone": FullCone, "address": AddressRestricted, "port": PortRestricted, "symmetric": Symmetric}
	for _, tc := range []struct {
		a, b  string
		works bool
	}{
		{"cone", "cone", true}, {"cone", "address", true}, {"cone", "port", true}, {"cone", "symmetric", true},
		{"address", "address", true}, {"address", "port", true}, {"address", "symmetric", true},
		{"port", "port", true}, {"port", "symmetric", false},
		{"symmetric", "symmetric", false},
	} {
		t.Run(tc.a+" "+tc.b, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(1, Link{Delay: 10 * time.Millisecond})
				defer w.Close()
				third := w.Host(peerA)
				met := receive(third.Readers()[0])
				a := w.NAT(kinds[tc.a], front).Host(inside)
				b := w.NAT(kinds[tc.b], front2).Host(inside) // the same address, behind another
				inA, inB := receive(a.Readers()[0]), receive(b.Readers()[0])
				send(t, a, peerA, []byte("a"))
				settleFor(time.Second)
				send(t, b, peerA, []byte("b"))
				settleFor(time.Second)
				if len(met.from) != 2 || met.from[0].Addr() != front || met.from[1].Addr() != front2 {
					t.Fatalf("the third met %v", met.from)
				}
				for range 2 {
					send(t, a, met.from[1], []byte("from a"))
					send(t, b, met.from[0], []byte("from b"))
					settleFor(time.Second)
					// Whoever hears something answers to where it came from.
					for c, in := range map[*Conn]*inbox{a: inA, b: inB} {
						if len(in.from) > 0 {
							send(t, c, in.from[len(in.from)-1], []byte("answer"))
						}
					}
					settleFor(time.Second)
				}
				if got := len(inA.data) > 0 && len(inB.data) > 0; got != tc.works {
					t.Errorf("a got %q, b got %q, want that it works: %t", inA.texts(), inB.texts(), tc.works)
				}
				if c := w.Total(); !tc.works && c.Filtered == 0 {
					t.Errorf("nothing was filtered: %+v", c)
				}
			})
		})
	}
}

func settleFor(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// home is a NAT with two hosts behind it, and a host outside, all of which read.
type home struct {
	w         *Network
	nat       *NAT
	a, b, out *Conn
	inA, inB  *inbox
	inOut     *inbox
}

func newHome(k NATKind, l Link) *home {
	h := &home{w: New(1, l)}
	h.nat = h.w.NAT(k, front)
	h.a, h.b, h.out = h.nat.Host(inside), h.nat.Host(inside2), h.w.Host(peerA)
	h.inA, h.inB, h.inOut = receive(h.a.Readers()[0]), receive(h.b.Readers()[0]), receive(h.out.Readers()[0])
	return h
}

func TestBehindOneNAT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(NATKind{Filtering: AddressAndPortDependent, LAN: Link{Delay: time.Millisecond}}, Link{Delay: time.Second})
		defer h.w.Close()
		if got := fmt.Sprint(h.a.LocalAddrs()); got != "[192.168.1.2:24254]" {
			t.Errorf("the host is at %s", got)
		}
		var seen []string
		h.w.TapAll(func(p Packet) {
			seen = append(seen, fmt.Sprint(p.Outcome, " ", p.From.Addr(), " to ", p.To.Addr(), " behind ", p.Behind == h.nat))
		})
		send(t, h.a, inside2, []byte("direct"))
		settle()
		send(t, h.a, peerA, []byte("out"))
		settleFor(2 * time.Second)
		if len(h.inOut.from) != 1 || len(h.inB.from) != 1 || h.inB.from[0] != inside || h.inB.after[0] != time.Millisecond {
			t.Fatalf("outside got %v, the neighbour %v after %v", h.inOut.from, h.inB.from, h.inB.after)
		}
		at := h.inOut.from[0]
		if told, ok := h.nat.Outside(inside, peerA); !ok || told != at {
			t.Errorf("seen at %s, told %s", at, told)
		}
		send(t, h.out, at, []byte("back"))
		settleFor(2 * time.Second)
		h.w.TapAll(nil)
		if fmt.Sprint(h.inA.texts(), h.inA.from) != "[back] [203.0.113.1:1]" {
			t.Errorf("it got %q from %v", h.inA.texts(), h.inA.from)
		}
		want := []string{
			"sent 192.168.1.2 to 192.168.1.3 behind true", "delivered 192.168.1.2 to 192.168.1.3 behind true",
			"sent 198.51.100.1 to 203.0.113.1 behind false", "delivered 198.51.100.1 to 203.0.113.1 behind false",
			"sent 203.0.113.1 to 198.51.100.1 behind false", "delivered 203.0.113.1 to 198.51.100.1 behind false",
		}
		if !slices.Equal(seen, want) {
			t.Errorf("the tap saw %q", seen)
		}
		if c := h.w.Counts(front, peerA.Addr()); c.Sent != 1 || c.Delivered != 1 {
			t.Errorf("outwards %+v", c)
		}
		if c := h.nat.Counts(inside.Addr(), inside2.Addr()); c.Sent != 1 || c.Delivered != 1 {
			t.Errorf("behind it %+v", c)
		}
		if c := h.w.Total(); c.Sent != 3 || c.Delivered != 3 {
			t.Errorf("in all %+v", c)
		}
	})
}

// What a NAT does with what it cannot pass on, and where that is counted.
func TestRefusedByANAT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := PortRestricted
		k.Ports = 1
		h := newHome(k, Link{Delay: time.Second})
		defer h.w.Close()
		check := func(what string, c Counts, get func(Counts) int, want int) {
			t.Helper()
			if get(c) != want || c.Sent != c.Delivered+c.Dropped() {
				t.Errorf("%s: %+v", what, c)
			}
		}
		in := func() Counts { return h.w.Counts(peerA.Addr(), front) }
		unmapped, filtered := func(c Counts) int { return c.Unmapped }, func(c Counts) int { return c.Filtered }

		send(t, h.out, netip.AddrPortFrom(front, 4000), []byte("to a port without a mapping"))
		settleFor(2 * time.Second)
		check("no mapping", in(), unmapped, 1)

		send(t, h.a, peerB, []byte("to another"))
		settleFor(2 * time.Second)
		at, _ := h.nat.Outside(inside, peerB)
		send(t, h.out, at, []byte("from one that was not asked"))
		settleFor(2 * time.Second)
		check("filtered", in(), filtered, 1)

		send(t, h.b, peerA, []byte("no port is left"))
		settleFor(2 * time.Second)
		check("no port", h.nat.Counts(inside2.Addr(), peerA.Addr()), unmapped, 1)

		send(t, h.b, at, []byte("no hairpin"))
		settleFor(2 * time.Second)
		check("no hairpin", h.nat.Counts(inside2.Addr(), front), filtered, 1)

		send(t, h.a, netip.MustParseAddrPort("127.0.0.1:9"), []byte("to itself"))
		settleFor(2 * time.Second)
		check("loopback", h.nat.Counts(inside.Addr(), netip.MustParseAddr("127.0.0.1")), func(c Counts) int { return c.Unreachable }, 1)

		send(t, h.a, peerA, []byte("refresh"))
		settleFor(time.Second)
		if err := h.a.Close(); err != nil {
			t.Error(err)
		}
		send(t, h.out, at, []byte("to a host that is gone"))
		settleFor(2 * time.Second)
		check("closed", in(), func(c Counts) int { return c.Unreachable }, 1)
	})
}

func TestHairpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := PortRestricted
		k.Hairpin, k.LAN = true, Link{Delay: time.Millisecond}
		h := newHome(k, Link{Delay: time.Second})
		defer h.w.Close()
		send(t, h.a, peerA, []byte("a"))
		send(t, h.b, peerA, []byte("b"))
		settleFor(2 * time.Second)
		atA, _ := h.nat.Outside(inside, peerA)
		atB, _ := h.nat.Outside(inside2, peerA)
		send(t, h.a, atB, []byte("filtered, but it opens the way back"))
		settleFor(time.Second)
		send(t, h.b, atA, []byte("hello"))
		settleFor(time.Second)
		if fmt.Sprint(h.inA.texts(), h.inA.from) != fmt.Sprintf("[hello] [%s]", atB) || len(h.inB.data) != 0 {
			t.Errorf("it got %q from %v, want it from %s; the other got %q", h.inA.texts(), h.inA.from, atB, h.inB.texts())
		}
		if c := h.nat.Counts(front, front); c.Sent != 2 || c.Filtered != 1 || c.Delivered != 1 {
			t.Errorf("%+v", c)
		}
	})
}

func TestRebind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(NATKind{Filtering: AddressAndPortDependent, PreservePorts: true}, Link{Delay: time.Second})
		defer h.w.Close()
		meet := func() netip.AddrPort {
			send(t, h.a, peerA, []byte("here I am"))
			settleFor(2 * time.Second)
			return h.inOut.from[len(h.inOut.from)-1]
		}
		first := meet()
		send(t, h.out, first, []byte("under way when it is rebound"))
		settleFor(time.Second / 2)
		h.nat.Rebind()
		second := meet()
		h.nat.Rebind(front2)
		third := meet()
		if second.Addr() != front || second.Port() == first.Port() || third != netip.AddrPortFrom(front2, inside.Port()) {
			t.Errorf("seen at %s, %s, %s", first, second, third)
		}
		for _, at := range []netip.AddrPort{first, second, third} {
			send(t, h.out, at, []byte(at.String()))
		}
		settleFor(2 * time.Second)
		if fmt.Sprint(h.inA.texts()) != fmt.Sprintf("[%s]", third) {
			t.Errorf("it got %q", h.inA.texts())
		}
		if c := h.w.Counts(peerA.Addr(), front); c.Unmapped != 1 || c.Unreachable != 2 {
			t.Errorf("%+v, want 1 unmapped and 2 unreachable", c)
		}
		h.w.Host(netip.AddrPortFrom(front, 9)) // the old address is free
	})
}

// Without an outside address of the family it is a stateful firewall: nothing changes but who gets in.
func TestFirewall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{Delay: time.Millisecond})
		defer w.Close()
		wall := w.NAT(PortRestricted, front) // IPv4 is translated, IPv6 not
		in6 := netip.MustParseAddrPort("[2001:db8:1::5]:24254")
		a, out := wall.Host(inside, in6), w.Host(far6, peerA)
		got, met := receive(a.Readers()[1]), receive(out.Readers()[0])
		met4 := receive(out.Readers()[1])
		send(t, out, in6, []byte("too early"))
		settleFor(time.Second)
		send(t, a, far6, []byte("hello"))
		send(t, a, peerA, []byte("hello"))
		settleFor(time.Second)
		send(t, out, in6, []byte("answer"))
		settleFor(30 * time.Second)
		send(t, out, in6, []byte("too late"))
		settleFor(time.Second)
		if fmt.Sprint(got.texts(), met.from, met4.from[0].Addr()) != "[answer] [[2001:db8:1::5]:24254] 198.51.100.1" {
			t.Errorf("it got %q, was seen as %v and %v", got.texts(), met.from, met4.from)
		}
		if c := w.Counts(far6.Addr(), in6.Addr()); c.Filtered != 2 || c.Delivered != 1 {
			t.Errorf("%+v, want 2 filtered", c)
		}
	})
}

// The links of the outside address hold for all behind it, and what is broken fills the NAT's pool.
func TestLinksOfTheOutsideAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(NATKind{}, Link{})
		defer h.w.Close()
		h.w.SetLink(front, peerA.Addr(), Link{Rate: 10_000, Delay: time.Second, MTU: 1500})
		for _, c := range []*Conn{h.a, h.b} {
			send(t, c, peerA, make([]byte, 972))
		}
		settleFor(3 * time.Second)
		if fmt.Sprint(h.inOut.after) != "[1.1s 1.2s]" {
			t.Errorf("arrived after %v, want one behind the other", h.inOut.after)
		}
		h.w.Partition([]netip.Addr{front}, []netip.Addr{peerA.Addr()})
		send(t, h.a, peerA, nil)
		send(t, h.a, inside2, []byte("never cut"))
		settleFor(3 * time.Second)
		if c := h.w.Counts(front, peerA.Addr()); c.Down != 1 || len(h.inB.data) != 1 {
			t.Errorf("%+v, the neighbour got %q", c, h.inB.texts())
		}
	})
}

func TestAnnouncementsStayBehindTheNAT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(NATKind{}, Link{})
		defer h.w.Close()
		other := h.w.NAT(NATKind{}, front2).Host(netip.MustParseAddrPort("192.168.1.9:24254"))
		inOther := receive(other.Readers()[0])
		lan := netip.MustParsePrefix("192.168.1.0/24")
		for _, c := range []*Conn{h.a, h.b, other} {
			c.SetLAN(lan)
		}
		for _, to := range h.a.AnnounceTo() {
			send(t, h.a, netip.AddrPortFrom(to, 24254), []byte(to.String()))
		}
		settle()
		if fmt.Sprint(h.inB.texts(), h.inB.from) != "[192.168.1.255 224.0.0.1] [192.168.1.2:24254 192.168.1.2:24254]" || len(inOther.data)+len(h.inA.data) != 0 {
			t.Errorf("the neighbour got %q, one behind another NAT %q", h.inB.texts(), inOther.texts())
		}
	})
}

func TestAddressesThatAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		w.Host(here)
		nat, wall := w.NAT(FullCone, front), w.NAT(PortRestricted)
		nat.Host(inside)
		wall.Host(far6)
		for name, f := range map[string]func(){
			"NAT at a host":               func() { w.NAT(FullCone, here.Addr()) },
			"NAT at a NAT":                func() { w.NAT(FullCone, front) },
			"two of a family":             func() { w.NAT(FullCone, front2, netip.MustParseAddr("198.51.100.3")) },
			"no address":                  func() { w.NAT(FullCone, netip.Addr{}) },
			"host at a NAT":               func() { w.Host(netip.AddrPortFrom(front, 1)) },
			"host behind it, twice":       func() { nat.Host(inside) },
			"host at a filtered one":      func() { w.Host(netip.AddrPortFrom(far6.Addr(), 1)) },
			"filtered host at a host":     func() { wall.Host(netip.AddrPortFrom(here.Addr(), 1)) },
			"rebound to a host's address": func() { nat.Rebind(here.Addr()) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: nothing said", name)
					}
				}()
				f()
			}()
		}
	})
}
