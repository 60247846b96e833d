package sim

import (
	"net/netip"

	"sharer/internal/netsim"
	"sharer/node"
)

// Behind is a node at home: alone behind a NAT.
type Behind struct {
	*Host // At is its inside address
	NAT   *netsim.NAT
}

// NodeBehind runs a node behind a NAT of its own, which has a new outside address. The checkers take all ports of that
// address for the node's.
func (w *World) NodeBehind(kind netsim.NATKind, c node.Config) *Behind {
	w.t.Helper()
	outside := w.Addr().Addr()
	nat := w.NAT(kind, outside)
	// Every home has the same inside addresses.
	conn := nat.Host(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 1, 2}), node.DefaultPort))
	b := &Behind{NAT: nat}
	b.Host = w.nodeOn(conn, c, outside)
	return b
}

// Rebind makes the NAT forget what it knows; with elsewhere it has a new outside address from now on.
func (b *Behind) Rebind(elsewhere bool) {
	if !elsewhere {
		b.NAT.Rebind()
		return
	}
	outside := b.w.Addr().Addr()
	b.w.watch.moved(b.life, outside)
	b.NAT.Rebind(outside)
}
