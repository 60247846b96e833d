package node

import (
	"net/netip"
	"time"
)

// Limits are rates on the wire in bytes a second, headers included. 0: no limit; below 0: nothing but what keeps the
// node in the swarm.
type Limits struct {
	Up          int64 `json:"up"`
	Down        int64 `json:"down"`
	UpPerPeer   int64 `json:"up_per_peer,omitempty"`
	DownPerPeer int64 `json:"down_per_peer,omitempty"`
}

// SetLimits changes what Config said, from now on.
func (n *Node) SetLimits(l Limits) {
	now := time.Now()
	n.up.Set(now, l.Up, l.UpPerPeer)
	n.down.Set(now, l.Down, l.DownPerPeer)
}

// Ban makes the addresses of networks neither asked nor answered; a new list replaces the old one.
func (n *Node) Ban(nets []netip.Prefix) { n.swarm.Table.Deny(nets) }
