package node

import (
	"net/netip"
	"strings"

	"sharer/internal/portmap"
)

// openRouter begins to keep a mapping at the router, if one is wanted and of any use.
func (n *Node) openRouter() {
	if n.cfg.Mapping == nil || n.cfg.Isolated {
		return
	}
	c := *n.cfg.Mapping
	if c.V4, c.V6 = mappable(n.cfg.Listen, n.conn.LocalAddrs()); c.V4.IsValid() || c.V6.IsValid() {
		n.keeper = portmap.Start(c)
	}
}

// mappable is what can be mapped of the addresses that are listened on: of each family the first that
// others than this machine and its link can reach. listen is as the user gave it, empty by default.
func mappable(listen []string, bound []netip.AddrPort) (v4, v6 netip.AddrPort) {
	for i, b := range bound {
		a := b.Addr()
		both := a == netip.IPv6Unspecified() && (i >= len(listen) || strings.HasPrefix(listen[i], ":"))
		if !v4.IsValid() && both {
			v4 = netip.AddrPortFrom(netip.IPv4Unspecified(), b.Port())
		}
		switch {
		case !a.IsUnspecified() && !a.IsGlobalUnicast():
		case a.Is4() && !v4.IsValid():
			v4 = b
		case a.Is6() && !v6.IsValid():
			v6 = b
		}
	}
	return v4, v6
}

// Mappings returns what has become of the port at the router, for each family that was tried.
func (n *Node) Mappings() []portmap.Status {
	if n.keeper == nil {
		return nil
	}
	return n.keeper.Status()
}
