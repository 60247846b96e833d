package swarm

import "net/netip"

// Class is what an address tells about who can reach it.
type Class uint8

// The classes. Those after Loopback are never a peer: nothing is accepted from them, and
// nothing but an announcement is sent to Multicast and Broadcast.
const (
	Public    Class = iota
	Private         // RFC 1918, RFC 4193, and the shared addresses of RFC 6598
	LinkLocal       // means something on one link only; IPv6 needs its zone
	Loopback        // cannot be forged from outside: counts as proven
	Multicast
	Broadcast
	Unspecified // also 0.0.0.0/8
	Reserved    // 240.0.0.0/4, IPv4-compatible IPv6, no address at all
	NoPort      // port 0
	numClasses
)

var classNames = [numClasses]string{"public", "private", "link-local", "loopback", "multicast", "broadcast", "unspecified", "reserved", "no port"}

func (c Class) String() string {
	if c < numClasses {
		return classNames[c]
	}
	return "unknown"
}

// Unicast reports whether an address of the class can be a peer.
func (c Class) Unicast() bool { return c <= Loopback }

// local: told apart by address and port, not by network.
func (c Class) local() bool { return c == Private || c == LinkLocal || c == Loopback }

var (
	shared6598 = netip.MustParsePrefix("100.64.0.0/10")
	thisNet    = netip.MustParsePrefix("0.0.0.0/8")
	classE     = netip.MustParsePrefix("240.0.0.0/4")
	compat96   = netip.MustParsePrefix("::/96")
)

// ClassOf classifies an address; an IPv4-mapped one counts as IPv4.
func ClassOf(a netip.AddrPort) Class {
	if a.Port() == 0 {
		return NoPort
	}
	return classOfIP(a.Addr().Unmap())
}

func classOfIP(ip netip.Addr) Class {
	switch {
	case !ip.IsValid():
		return Reserved
	case ip.IsLoopback():
		return Loopback
	case ip.IsMulticast():
		return Multicast
	case ip.IsUnspecified():
		return Unspecified
	case ip.IsLinkLocalUnicast():
		return LinkLocal
	case ip.IsPrivate():
		return Private
	case ip.Is4():
		switch {
		case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			return Broadcast
		case thisNet.Contains(ip):
			return Unspecified
		case classE.Contains(ip):
			return Reserved
		case shared6598.Contains(ip):
			return Private
		}
	case compat96.Contains(ip):
		return Reserved
	}
	return Public
}

// MayPass reports whether an address may be told to, or believed from, a peer of class with:
// only who could reach it hears of it. Link-local ones are never passed on, since their zone
// means nothing on another machine.
func MayPass(a netip.AddrPort, with Class) bool {
	switch ClassOf(a) {
	case Public:
		return with.Unicast()
	case Private:
		return with.local()
	case Loopback:
		return with == Loopback
	}
	return false
}

// Clean is the one form in which an address is a key, here and wherever addresses are compared:
// IPv4 is plain IPv4, however a dual-stack socket writes it, and only what is link-local has a zone,
// since only there it tells two hosts apart. A zone is compared as text: "%7" is not "%eth0".
func Clean(a netip.AddrPort) netip.AddrPort {
	ip := a.Addr().Unmap()
	if ip.Zone() != "" && !ip.IsLinkLocalUnicast() && !ip.IsLinkLocalMulticast() {
		ip = ip.WithZone("")
	}
	return netip.AddrPortFrom(ip, a.Port())
}

// netOf is the network that one holder of addresses is assumed to own: /24 or /48.
func netOf(ip netip.Addr) netip.Prefix { return prefixOf(ip, 24, 48) }

// groupOf is the coarser bucket against eclipse: /16 or /32.
func groupOf(ip netip.Addr) netip.Prefix { return prefixOf(ip, 16, 32) }

func prefixOf(ip netip.Addr, v4, v6 int) netip.Prefix {
	bits := v6
	if ip.Is4() {
		bits = v4
	}
	p, err := ip.WithZone("").Prefix(bits)
	if err != nil { // the zero Addr only
		return netip.Prefix{}
	}
	return p
}

// broadcastOf is the directed broadcast address of an IPv4 prefix; ok is false where there is none.
func broadcastOf(p netip.Prefix) (netip.Addr, bool) {
	if !p.Addr().Is4() || p.Bits() < 0 || p.Bits() > 30 {
		return netip.Addr{}, false
	}
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b), true
}
