package udp

import (
	"net"
	"net/netip"
	"slices"
)

// Prefixes are the subnets of the interfaces that the sockets listen on, loopback
// apart. They are read anew: interfaces come and go.
func (c *Conn) Prefixes() []netip.Prefix {
	var out []netip.Prefix
	c.eachInterface(func(_ net.Interface, p netip.Prefix) {
		if !slices.Contains(out, p.Masked()) {
			out = append(out, p.Masked())
		}
	})
	return out
}

// AnnounceTo are the addresses by which every node on the LAN is reached (wire.md
// section 3): each subnet's broadcast address, all hosts by multicast, and all nodes on
// each IPv6 link.
func (c *Conn) AnnounceTo() []netip.Addr {
	var out []netip.Addr
	add := func(a netip.Addr) {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	c.eachInterface(func(i net.Interface, p netip.Prefix) {
		multicast := i.Flags&net.FlagMulticast != 0
		switch {
		case p.Addr().Is4():
			if i.Flags&net.FlagBroadcast != 0 && p.Bits() < 31 {
				add(lastOf(p))
			}
			if multicast {
				add(netip.AddrFrom4([4]byte{224, 0, 0, 1}))
			}
		case multicast:
			add(netip.MustParseAddr("ff02::1").WithZone(i.Name))
		}
	})
	return out
}

// lastOf is the broadcast address of an IPv4 subnet.
func lastOf(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		a[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(a)
}

// eachInterface calls f with every address of every interface that is up, not
// loopback, and listened on. An interface that cannot be read is left out.
func (c *Conn) eachInterface(f func(net.Interface, netip.Prefix)) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return // nothing to announce to; the node works without a LAN
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && c.listensOn(p.Addr()) {
				f(i, p)
			}
		}
	}
}

func (c *Conn) listensOn(a netip.Addr) bool {
	return slices.ContainsFunc(c.socks, func(s *sock) bool {
		own := s.local.Addr()
		return own == a || own.IsUnspecified() && (s.dual || own.Is4() == a.Is4())
	})
}
