package swarm

import (
	"net/netip"
	"slices"

	"sharer/wire"
)

// Conn is the sockets of a node.
type Conn interface {
	// Readers returns one for each socket; each is used by one goroutine.
	Readers() []Reader
	// WriteBatch sends ds in order; n < len(ds) comes with the error of ds[n]. It keeps nothing
	// of ds after it returned, and is safe for concurrent use.
	WriteBatch(ds []wire.Datagram) (n int, err error)
	LocalAddrs() []netip.AddrPort
	Close() error
}

// Reader receives from one socket.
type Reader = wire.BatchReader

// LAN is a second interface of a Conn that knows the networks it is on.
type LAN interface {
	Prefixes() []netip.Prefix // subnets of the interfaces that are listened on
	AnnounceTo() []netip.Addr // broadcast addresses, 224.0.0.1, ff02::1 with zone
}

// around is what a Conn says about itself, read now and then, since interfaces come and go.
type around struct {
	locals     []netip.AddrPort
	prefixes   []netip.Prefix
	announce   []netip.Addr
	broadcasts []netip.Addr
}

func look(c Conn) *around {
	a := &around{}
	for _, l := range c.LocalAddrs() {
		a.locals = append(a.locals, Clean(l))
	}
	if lan, ok := c.(LAN); ok {
		a.prefixes = slices.Clone(lan.Prefixes())
		for _, to := range lan.AnnounceTo() {
			if len(a.announce) < 64 { // more interfaces than any machine listens on
				a.announce = append(a.announce, to.Unmap())
			}
		}
	}
	for _, p := range a.prefixes {
		if b, ok := broadcastOf(p); ok {
			a.broadcasts = append(a.broadcasts, b)
		}
	}
	return a
}

// class is ClassOf, with the directed broadcast addresses of our own networks.
func (a *around) class(to netip.AddrPort) Class {
	c := ClassOf(to)
	if c.Unicast() && slices.Contains(a.broadcasts, to.Addr()) {
		return Broadcast
	}
	return c
}

// self reports whether an address is one that we listen on. A wildcard covers loopback; what
// else it covers is found out by cookies that come back to their maker.
func (a *around) self(to netip.AddrPort) bool {
	for _, l := range a.locals {
		if l.Port() != to.Port() {
			continue
		}
		if l.Addr() == to.Addr() {
			return true
		}
		if l.Addr().IsUnspecified() && to.Addr().IsLoopback() && (l.Addr().Is6() || to.Addr().Is4()) {
			return true
		}
	}
	return false
}

// near reports whether an address is loopback, link-local or inside a network that we are on.
func (a *around) near(to netip.AddrPort) bool {
	switch c := ClassOf(to); {
	case c == Loopback, c == LinkLocal:
		return true
	case !c.Unicast():
		return false
	}
	return slices.ContainsFunc(a.prefixes, func(p netip.Prefix) bool { return p.Contains(to.Addr().WithZone("")) })
}
