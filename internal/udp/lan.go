package udp

import (
	"net"
	"net/netip"
	"slices"
)

var allHosts4 = netip.AddrFrom4([4]byte{224, 0, 0, 1})

// allNodes6 is every node of an IPv6 link (RFC 4291 section 2.7.1).
var allNodes6 = netip.MustParseAddr("ff02::1")

// iface is an interface that is up.
type iface struct {
	name     string
	index    int
	flags    net.Flags
	prefixes []netip.Prefix // with the interface's own address
}

// systemInterfaces reads the interfaces; one that cannot be read is left out, for a node works
// without a LAN.
func systemInterfaces() []iface {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []iface
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		f := iface{name: i.Name, index: i.Index, flags: i.Flags}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				f.prefixes = append(f.prefixes, p)
			}
		}
		out = append(out, f)
	}
	return out
}

// lan is the surroundings of the sockets, as read at one time.
type lan struct {
	prefixes   []netip.Prefix // of interfaces that are listened on, loopback apart; masked
	announce   []netip.Addr
	broadcasts []netip.Addr // of prefixes
	multicast4 []iface      // that carry IPv4 multicast
	links      [][]netip.Prefix
}

// look reads the interfaces anew: they come and go.
func (c *Conn) look() *lan {
	l := surroundings(c.socks, c.interfaces())
	c.lan.Store(l)
	return l
}

// surroundings works out what the sockets hear and reach of the interfaces. links has for each
// socket that is bound to one address the prefixes of the interface that has it.
func surroundings(socks []*sock, interfaces []iface) *lan {
	l := &lan{links: make([][]netip.Prefix, len(socks))}
	for _, i := range interfaces {
		if i.flags&net.FlagLoopback != 0 {
			continue
		}
		for _, p := range i.prefixes {
			heard := false
			for k, s := range socks {
				own := s.local.Addr()
				if own.WithZone("") == p.Addr() && (own.Zone() == "" || own.Zone() == i.name) {
					l.links[k] = append(l.links[k], p.Masked())
					heard = true
				}
				heard = heard || own.IsUnspecified() && (p.Addr().Is4() && s.v4 || p.Addr().Is6() && s.v6)
			}
			if heard {
				l.add(i, p)
			}
		}
	}
	return l
}

// add takes in one address of an interface that is listened on.
func (l *lan) add(i iface, p netip.Prefix) {
	l.prefixes = addNew(l.prefixes, p.Masked())
	multicast := i.flags&net.FlagMulticast != 0
	if p.Addr().Is6() {
		if multicast {
			l.announce = addNew(l.announce, allNodes6.WithZone(i.name))
		}
		return
	}
	if b, ok := broadcastOf(p); ok && i.flags&net.FlagBroadcast != 0 {
		l.announce = addNew(l.announce, b)
		l.broadcasts = addNew(l.broadcasts, b)
	}
	if multicast {
		l.announce = addNew(l.announce, allHosts4)
		same := func(o iface) bool { return o.index == i.index }
		if !slices.ContainsFunc(l.multicast4, same) {
			l.multicast4 = append(l.multicast4, i)
		}
	}
}

func addNew[T comparable](to []T, x T) []T {
	if slices.Contains(to, x) {
		return to
	}
	return append(to, x)
}

// isBroadcast reports whether an address means every host of a network that we are on.
func (l *lan) isBroadcast(a netip.Addr) bool {
	return a.Is4() && (a == limited || slices.Contains(l.broadcasts, a))
}

// limited is the broadcast address of whatever link a datagram is sent on (RFC 919).
var limited = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// onLink reports whether a is in a network of the address that socket k is bound to.
func (l *lan) onLink(k int, a netip.Addr) bool {
	return slices.ContainsFunc(l.links[k], func(p netip.Prefix) bool { return p.Contains(a.WithZone("")) })
}

// broadcastOf is the last address of an IPv4 network; links of two hosts (RFC 3021) have none.
func broadcastOf(p netip.Prefix) (netip.Addr, bool) {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return netip.Addr{}, false
	}
	a := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		a[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(a), true
}

// Prefixes are the networks of the interfaces that the sockets listen on, loopback apart. They are
// read anew at each call (some 0.1 ms).
func (c *Conn) Prefixes() []netip.Prefix { return c.look().prefixes }

// AnnounceTo are the addresses by which every node on the LAN is reached (wire.md section 3): each
// network's broadcast address, all hosts by multicast, all nodes of each IPv6 link. Sockets on
// loopback announce to nobody. They are read anew at each call.
func (c *Conn) AnnounceTo() []netip.Addr { return c.look().announce }
