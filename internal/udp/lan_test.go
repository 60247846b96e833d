package udp

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/ipv4"

	"sharer/wire"
)

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

const lanFlags = net.FlagUp | net.FlagBroadcast | net.FlagMulticast

var machine = []iface{
	{"lo", 1, net.FlagUp | net.FlagLoopback, prefixes("127.0.0.1/8", "::1/128")},
	{"eth0", 2, lanFlags, prefixes("192.0.2.2/24", "2001:db8::2/64", "fe80::2/64")},
	{"eth1", 3, lanFlags, prefixes("198.51.100.9/25", "198.51.100.200/25")},
	{"tun0", 4, net.FlagUp | net.FlagBroadcast | net.FlagPointToPoint, prefixes("203.0.113.1/31")},
}

func bound(local string, v4, v6 bool) *sock {
	return &sock{local: netip.MustParseAddrPort(local), v4: v4, v6: v6}
}

func TestSurroundings(t *testing.T) {
	for _, tc := range []struct {
		name     string
		sock     *sock
		prefixes []netip.Prefix
		announce string
	}{
		{"everything", bound("[::]:1", true, true),
			prefixes("192.0.2.0/24", "2001:db8::/64", "fe80::/64", "198.51.100.0/25", "198.51.100.128/25", "203.0.113.0/31"),
			"[192.0.2.255 224.0.0.1 ff02::1%eth0 198.51.100.127 198.51.100.255]"},
		{"all of IPv4", bound("0.0.0.0:1", true, false),
			prefixes("192.0.2.0/24", "198.51.100.0/25", "198.51.100.128/25", "203.0.113.0/31"),
			"[192.0.2.255 224.0.0.1 198.51.100.127 198.51.100.255]"},
		{"all of IPv6", bound("[::]:1", false, true), prefixes("2001:db8::/64", "fe80::/64"), "[ff02::1%eth0]"},
		{"one of IPv4", bound("198.51.100.9:1", true, false), prefixes("198.51.100.0/25"), "[198.51.100.127 224.0.0.1]"},
		{"one of IPv6", bound("[fe80::2%eth0]:1", false, true), prefixes("fe80::/64"), "[ff02::1%eth0]"},
		{"a zone that is another", bound("[fe80::2%eth1]:1", false, true), nil, "[]"},
		{"point to point", bound("203.0.113.1:1", true, false), prefixes("203.0.113.0/31"), "[]"},
		{"loopback", bound("127.0.0.1:1", true, false), nil, "[]"},
		{"loopback of IPv6", bound("[::1]:1", false, true), nil, "[]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &Conn{socks: []*sock{tc.sock}, interfaces: func() []iface { return machine }}
			if got := c.Prefixes(); !slices.Equal(got, tc.prefixes) {
				t.Errorf("networks %v, want %v", got, tc.prefixes)
			}
			text := "["
			for i, a := range c.AnnounceTo() {
				if i > 0 {
					text += " "
				}
				text += a.String()
			}
			if text += "]"; text != tc.announce {
				t.Errorf("announces to %s, want %s", text, tc.announce)
			}
		})
	}
}

func TestChooseSocket(t *testing.T) {
	socks := []*sock{
		bound("127.0.0.1:1", true, false), bound("192.0.2.2:1", true, false), bound("198.51.100.9:1", true, false),
		bound("[2001:db8::2]:1", false, true), bound("[::1]:1", false, true), bound("[::]:2", true, true),
	}
	lan := surroundings(socks, machine)
	for _, tc := range []struct {
		to   string
		via  uint8
		want int // 1-based; 0: none
		of   int // sockets that there are
	}{
		{"127.0.0.9:9", 0, 1, 6},
		{"[::1]:9", 0, 5, 6},
		{"192.0.2.77:9", 0, 2, 6},    // its own network
		{"198.51.100.77:9", 0, 3, 6}, // the second one's own network
		{"203.0.113.77:9", 0, 6, 6},  // the system chooses the source
		{"203.0.113.77:9", 0, 2, 5},  // the first that may
		{"[2001:db8::7]:9", 0, 4, 6},
		{"203.0.113.77:9", 3, 3, 6}, // as asked
		{"203.0.113.77:9", 1, 6, 6}, // asked for loopback, which cannot
		{"203.0.113.77:9", 7, 6, 6}, // no such socket
		{"203.0.113.77:9", 0, 0, 1},
		{"[::1]:9", 0, 0, 3},
	} {
		c := &Conn{socks: socks[:tc.of]}
		got := c.choose(&wire.Datagram{Addr: netip.MustParseAddrPort(tc.to), Via: tc.via}, lan)
		if n := slices.Index(socks, got) + 1; n != tc.want {
			t.Errorf("to %s via %d of %d sockets: %d, want %d", tc.to, tc.via, tc.of, n, tc.want)
		}
	}
	if (&Conn{socks: socks}).choose(&wire.Datagram{}, lan) != nil {
		t.Error("a socket was found for no address")
	}
}

// The machine's own interfaces, whatever they are: sockets on loopback announce to nobody.
func TestLANOfLoopback(t *testing.T) {
	c := open(t, "127.0.0.1:0")
	if p, a := c.Prefixes(), c.AnnounceTo(); len(p)+len(a) != 0 {
		t.Errorf("a socket on loopback has networks %v and announces to %v", p, a)
	}
	everything := open(t, ":0")
	for _, a := range everything.AnnounceTo() {
		if a.IsLoopback() || a.Is6() && a.Zone() == "" {
			t.Errorf("announces to %s", a)
		}
	}
}

// Loopback plays a LAN here, so that nothing leaves the machine.
func TestShoutsStayOnTheLink(t *testing.T) {
	for _, from := range []string{"0.0.0.0:0", ":0"} {
		a, b := open(t, from), open(t, "0.0.0.0:0")
		a.interfaces = func() []iface {
			return []iface{{"lo", loopbackIndex(t), lanFlags, prefixes("127.0.0.1/8")}}
		}
		if got := a.AnnounceTo(); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("127.255.255.255"), allHosts4}) {
			t.Fatalf("announces to %v", got)
		}
		p := b.socks[0].p4
		if err := p.SetControlMessage(ipv4.FlagTTL|ipv4.FlagInterface, true); err != nil {
			t.Skip("skipped: this system does not tell TTL and interface: ", err)
		}
		port := b.LocalAddrs()[0].Port()
		for _, tc := range []struct {
			to    string
			local bool
		}{{"127.0.0.1", false}, {"127.255.255.255", true}, {"224.0.0.1", true}, {"127.0.0.1", false}} {
			to := netip.AddrPortFrom(netip.MustParseAddr(tc.to), port)
			if _, err := a.WriteBatch([]wire.Datagram{{Addr: to, Data: []byte("who is there")}}); err != nil {
				t.Fatalf("%s to %s: %v", from, to, err)
			}
			buf := make([]byte, 100)
			n, cm, _, err := p.ReadFrom(buf)
			if err != nil || string(buf[:n]) != "who is there" {
				t.Fatalf("%s to %s: %q, %v", from, to, buf[:n], err)
			}
			if cm == nil || (cm.TTL == 1) != tc.local || cm.IfIndex != loopbackIndex(t) {
				t.Errorf("%s to %s: arrived with %v", from, to, cm)
			}
		}
	}
}

func TestMulticastIPv6(t *testing.T) {
	b := open(t, "[::]:0")
	i := loopbackIndex(t)
	f, err := net.InterfaceByIndex(i)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(allNodes6.WithZone(f.Name), b.LocalAddrs()[0].Port())
	if _, err := open(t, ":0").WriteBatch([]wire.Datagram{{Addr: to, Data: []byte("x")}}); err != nil {
		t.Skip("skipped: loopback takes no IPv6 multicast here: ", err)
	}
	if d := receive(t, b.Readers()[0]); string(d.Data) != "x" {
		t.Errorf("got %q", d.Data)
	}
}

func loopbackIndex(t *testing.T) int {
	t.Helper()
	for _, i := range systemInterfaces() {
		if i.flags&net.FlagLoopback != 0 {
			return i.index
		}
	}
	t.Skip("skipped: this machine has no loopback interface")
	return 0
}
