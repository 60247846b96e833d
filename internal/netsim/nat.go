package netsim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Dependence is what of the other side a mapping or a filter depends on, in the words of RFC 4787, sections 4.1 and 5.
type Dependence uint8

const (
	EndpointIndependent Dependence = iota
	AddressDependent
	AddressAndPortDependent
)

// of is the part of a peer that matters.
func (d Dependence) of(peer netip.AddrPort) netip.AddrPort {
	switch d {
	case EndpointIndependent:
		return netip.AddrPort{}
	case AddressDependent:
		return netip.AddrPortFrom(peer.Addr(), 0)
	}
	return peer
}

// NATKind is how a NAT behaves. The zero kind is a full cone.
type NATKind struct {
	Mapping   Dependence // one external port for each host and port, or one for each that is sent to as well
	Filtering Dependence // what passes inwards: all; or what comes from addresses, or from addresses and ports, that were sent to

	Timeout        time.Duration // of a mapping, and of a sender's permission, since the last datagram outwards; 0: 30 s
	RefreshInbound bool          // what passes inwards counts too
	Hairpin        bool          // hosts behind it reach each other by its outside address
	PreservePorts  bool          // a mapping gets the inside port if that is free; otherwise, as always without this, one by chance
	Ports          int           // how many it has to give, from 1024 up; 0: all
	LAN            Link          // between the hosts behind it; zero: perfect
}

// The four kinds that most NATs were called by before RFC 4787 took the words apart (RFC 3489 section 5).
var (
	FullCone          = NATKind{}
	AddressRestricted = NATKind{Filtering: AddressDependent}
	PortRestricted    = NATKind{Filtering: AddressAndPortDependent}
	Symmetric         = NATKind{Mapping: AddressAndPortDependent, Filtering: AddressAndPortDependent}
)

// NAT stands between the outside and the hosts behind it. Addresses of a family of which it has one itself are translated; those of the
// other stay as they are and are only filtered, as by a stateful firewall. With IPv4 alone it is what a home has: NAT and firewall.
//
// Hosts behind it reach each other by their inside addresses directly, on the link that its kind says; inside addresses of different
// NATs may be the same. Everything else goes over the links of the outside address: from the host to the NAT takes no time.
// The NAT puts fragments together, so that all behind it share the pool of its address. What its filter or the lack of a mapping drops is counted
// as [Filtered] or [Unmapped] on the link that brought it, or behind the NAT if it never got out.
type NAT struct {
	net    *Network
	kind   NATKind
	inside *realm
	table  *table // guarded by net.mu
}

// NAT makes one. It has at most one outside address of each family, which must be free: NAT panics otherwise. Without any it is a firewall.
func (n *Network) NAT(kind NATKind, outside ...netip.Addr) *NAT {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := &NAT{net: n, kind: kind}
	t.inside = n.realmLocked(t, kind.LAN)
	t.table = newTable(kind, rand.New(seeded(t.inside.seed, pair{})))
	for _, a := range outside {
		a = plain(a)
		if a.IsValid() && t.table.outside(a).IsValid() {
			panic(fmt.Sprintf("netsim: %s is the second address of its family", a))
		}
		t.reserveLocked(a)
		t.table.face(a).addr = a
	}
	return t
}

func (t *NAT) reserveLocked(a netip.Addr) {
	n := t.net
	if !a.IsValid() || n.gates[a] != nil && n.gates[a] != t || n.outside.homes[a] {
		panic(fmt.Sprintf("netsim: %s is taken or no address", a))
	}
	n.gates[a] = t
}

// Host opens sockets behind the NAT, as [Network.Host] does outside. LocalAddrs are the inside addresses. An address that
// is not translated must not be in use elsewhere, and remains behind this NAT for ever.
func (t *NAT) Host(at ...netip.AddrPort) *Conn { return t.net.host(t.inside, at) }

// Rebind forgets all mappings and permissions. Later mappings get ports other than those of before, also where ports are
// preserved, or the outside addresses that are given here, each in place of the one of its family.
func (t *NAT) Rebind(outside ...netip.Addr) {
	n := t.net
	outside = slices.Clone(outside)
	t.reserve(outside)
	n.change(func() {
		for _, a := range outside {
			if old := t.table.outside(a); old.IsValid() && old != a {
				delete(n.gates, old)
			}
		}
		t.table.rebind(outside)
	})
}

// reserve takes addresses for the NAT.
func (t *NAT) reserve(outside []netip.Addr) {
	t.net.mu.Lock()
	defer t.net.mu.Unlock() // a taken address is a panic
	for i, a := range outside {
		outside[i] = plain(a)
		t.reserveLocked(outside[i])
	}
}

// Outside returns where a peer sees a host behind the NAT now, and false if there is no mapping.
func (t *NAT) Outside(inside, peer netip.AddrPort) (netip.AddrPort, bool) {
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	return t.table.seen(time.Since(t.net.start), bare(inside), bare(peer))
}

// Counts returns what became of the datagrams of one direction that stayed behind the NAT.
func (t *NAT) Counts(from, to netip.Addr) Counts {
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	return t.inside.countsLocked(from, to)
}

// gateLocked is the NAT that takes what is sent to an address in a realm.
func (n *Network) gateLocked(r *realm, to netip.Addr) *NAT {
	gate := n.gates[to]
	if gate == nil || r.nat == nil {
		return gate
	}
	if gate == r.nat && gate.table.outside(to) == to {
		return gate // what turns back in
	}
	return nil
}

// leaveLocked rewrites a datagram that a host sends, so that it is as it goes over the link; or it says why it goes nowhere.
func (t *NAT) leaveLocked(e *event) Outcome {
	to := e.to.Addr()
	if t.inside.homes[to] || to.IsLoopback() || to.IsLinkLocalUnicast() {
		return Delivered
	}
	back := t.table.outside(to) == to
	if back && !t.kind.Hairpin {
		return Filtered
	}
	from, ok := t.table.out(e.sent, e.from, e.to)
	if !ok {
		return Unmapped
	}
	e.from = from
	if !back {
		e.realm = t.net.outside
	}
	return Delivered
}

// admitLocked finds the socket behind the NAT for which a datagram is.
func (t *NAT) admitLocked(e *event) (*sock, Outcome) {
	inside, o := t.table.in(e.due, e.to, e.from)
	if o != Delivered {
		return nil, o
	}
	s := t.inside.socks[inside]
	if s == nil {
		return nil, Unreachable
	}
	return s, Delivered
}
