package node

import (
	"context"
	"errors"
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

const (
	spendMost    = 16 << 10         // bytes at once where there is a limit
	spendAtLeast = 30 * time.Second // for these, or whoever waits is told so
)

// ErrLimited is returned for what a limit lets not pass for a long time.
var ErrLimited = errors.New("node: the limit of what leaves is used up")

// SpendUp takes some of at most most bytes, one at least, of what may leave, for what leaves by another way than the node's own socket; it waits where
// there is a limit. The error is ErrLimited or the context's.
func (n *Node) SpendUp(ctx context.Context, most int) (int, error) {
	if !n.up.On() {
		return most, nil
	}
	most = min(most, spendMost)
	for end := time.Now().Add(spendAtLeast); ; {
		now := time.Now()
		wait := n.up.WaitAll(now, most)
		if wait == 0 {
			n.up.TakeAll(now, most)
			n.up.Charge(now, netip.AddrPort{}, most)
			return most, nil
		}
		if now.Add(wait).After(end) {
			return 0, ErrLimited
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return 0, ctx.Err()
		case <-timer.C:
		}
	}
}

// Ban makes the addresses of networks neither asked nor answered; a new list replaces the old one.
func (n *Node) Ban(nets []netip.Prefix) { n.swarm.Table.Deny(nets) }
