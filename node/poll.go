package node

import (
	"context"
	"net/netip"
	"time"

	"sharer/identity"
	"sharer/swarm"
	"sharer/wire"
)

const (
	pollPeers = 4               // of the best, one of which is asked where the publisher is not known
	pollWait  = 3 * time.Second // for its answer
)

// Poll is Resolve for who looks often: one peer is asked, with one datagram, the publisher if it is known where it lives. What
// that one knows may be old; who has been asked tells of newer versions by itself. If it is silent, or the name was not
// known here, it becomes a Resolve.
func (n *Node) Poll(ctx context.Context, key identity.PublicKey, name string) (identity.Record, error) {
	if key == n.Key() {
		return n.Resolve(ctx, key, name)
	}
	if _, known := n.names.held.Of(key, name); known && n.pollOne(ctx, key, name) {
		r, _ := n.names.held.Of(key, name)
		return r, n.names.conflictOf(r)
	}
	return n.Resolve(ctx, key, name)
}

// pollOne asks one peer, and says whether anything was said about the name.
func (n *Node) pollOne(ctx context.Context, key identity.PublicKey, name string) bool {
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return false
	}
	defer end()
	to, ok := n.pollTarget(key)
	if !ok {
		return false
	}
	w := n.names.wait([]nameID{{key, name}})
	defer n.names.leave(w)
	b := n.swarm.Gate.NewBatch()
	buf, ok := b.Open(to, 0, swarm.Request)
	if !ok {
		return false
	}
	b.Close(wire.AppendMessage(buf, wire.GetLatest{Ed25519: key, Path: []byte(name)}), 0)
	if b.Flush() != nil {
		return false
	}
	timer := time.NewTimer(pollWait)
	defer timer.Stop()
	select {
	case <-w.some:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (n *Node) pollTarget(key identity.PublicKey) (netip.AddrPort, bool) {
	if p, ok := n.letters.opener.Places.Of(key); ok {
		return swarm.Clean(p.Addr), true
	}
	best := n.swarm.Best(pollPeers)
	if len(best) == 0 {
		return netip.AddrPort{}, false
	}
	return swarm.Clean(best[n.random().IntN(len(best))].Addr), true
}
