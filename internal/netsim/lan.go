package netsim

import (
	"net/netip"
	"slices"
)

var (
	allHosts4 = netip.AddrFrom4([4]byte{224, 0, 0, 1})
	allNodes6 = netip.MustParseAddr("ff02::1")
	limited   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
)

// zone is the name of each host's one interface.
const zone = "lan"

// SetLAN says which networks the host's interface is on. What it sends to a broadcast or multicast
// address reaches every other host that has an address in one of them, and the port.
func (c *Conn) SetLAN(networks ...netip.Prefix) {
	var lan []netip.Prefix
	for _, p := range networks {
		lan = append(lan, p.Masked())
	}
	c.net.mu.Lock()
	c.lan = lan
	c.net.mu.Unlock()
	c.net.change(func() {
		c.near = lan
		c.realm.setBroadcasts()
	})
}

// Prefixes are the networks that SetLAN named.
func (c *Conn) Prefixes() []netip.Prefix {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return slices.Clone(c.lan)
}

// AnnounceTo are the addresses that reach the LAN: broadcast addresses, and multicast of each family.
func (c *Conn) AnnounceTo() (out []netip.Addr) {
	add := func(a netip.Addr) {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	for _, p := range c.Prefixes() {
		if p.Addr().Is6() {
			add(allNodes6.WithZone(zone))
			continue
		}
		if b, ok := broadcastOf(p); ok {
			add(b)
		}
		add(allHosts4)
	}
	return out
}

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

func (r *realm) setBroadcasts() {
	clear(r.broadcasts)
	for _, c := range r.hosts {
		for _, p := range c.near {
			if b, ok := broadcastOf(p); ok {
				r.broadcasts[b] = p
			}
		}
	}
}

// isGroup reports whether an address means several hosts.
func (r *realm) isGroup(a netip.Addr) bool {
	if a == limited || a.IsMulticast() {
		return true
	}
	_, directed := r.broadcasts[a]
	return directed
}

// neighbours are the sockets, in order of their creation, that a datagram to a group reaches.
func (r *realm) neighbours(from, to netip.AddrPort) (out []netip.AddrPort) {
	var lan []netip.Prefix // the networks in which from is
	var sender *Conn
	for _, c := range r.hosts {
		for _, p := range c.near {
			if p.Contains(from.Addr()) {
				lan = append(lan, p)
			}
		}
		if slices.ContainsFunc(c.socks, func(s *sock) bool { return s.local == from }) {
			sender = c
		}
	}
	if p, directed := r.broadcasts[to.Addr()]; directed {
		if !slices.Contains(lan, p) {
			return nil // no router passes it on
		}
		lan = []netip.Prefix{p}
	}
	for _, c := range r.hosts {
		for _, s := range c.socks {
			near := func(p netip.Prefix) bool { return p.Contains(s.local.Addr()) }
			if c != sender && s.local.Port() == to.Port() && s.local.Addr().Is4() == to.Addr().Is4() && slices.ContainsFunc(lan, near) {
				out = append(out, s.local)
			}
		}
	}
	return out
}
