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
	findLook  = 100 * time.Millisecond // how often it is looked whether a key has turned up
	findPeers = 16                     // that are asked in one round
	findMost  = 30 * time.Second       // between two rounds; the first is a second, and then twice as long each
	maxHints  = 8                      // addresses that wait to be tried for one key
)

// search is one key that is looked for.
type search struct{ hints chan netip.AddrPort }

// Find returns where a key lives, asking around until ctx ends; ErrNoAnswer then.
func (n *Node) Find(ctx context.Context, key identity.PublicKey) (identity.Place, error) {
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return identity.Place{}, err
	}
	defer end()
	return n.find(ctx, key)
}

// find returns the address where a key was proven to live, as soon as that is known and the address has standing, and asks
// around for it until ctx ends.
func (n *Node) find(ctx context.Context, key identity.PublicKey) (identity.Place, error) {
	if p, ok := n.place(key); ok {
		return p, nil
	}
	s := &search{hints: make(chan netip.AddrPort, maxHints)}
	defer n.searching(key, s)()
	b := n.swarm.Gate.NewBatch()
	tick := time.NewTicker(findLook)
	defer tick.Stop()
	gap, next := time.Second, time.Time{}
	for {
		now := time.Now()
		if p, ok := n.place(key); ok {
			return p, nil
		}
		if !now.Before(next) {
			n.askWhere(b, key, now)
			if p, ok := n.letters.opener.Places.Of(key); ok { // claimed, or proven and then gone silent
				n.hello(b, p.Addr, now)
			}
			next, gap = now.Add(gap), min(2*gap, findMost)
		}
		_ = b.Flush() // counted; it is asked again
		select {
		case <-ctx.Done():
			if n.ctx.Err() != nil {
				return identity.Place{}, ErrClosed
			}
			return identity.Place{}, ErrNoAnswer
		case a := <-s.hints:
			n.hello(b, a, now)
		case <-tick.C:
		}
	}
}

// place is where a key lives, if that was proven and we may write there.
func (n *Node) place(key identity.PublicKey) (identity.Place, bool) {
	p, ok := n.letters.opener.Places.Of(key)
	return p, ok && p.Proven && n.swarm.Table.Proven(p.Addr)
}

// searching lets answers about a key reach s, until done.
func (n *Node) searching(key identity.PublicKey, s *search) (done func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.searches[key] = append(n.searches[key], s)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		var rest []*search
		for _, o := range n.searches[key] {
			if o != s {
				rest = append(rest, o)
			}
		}
		if n.searches[key] = rest; rest == nil {
			delete(n.searches, key)
		}
	}
}

// hinted takes the answer to a WhereAreThey of ours: an address worth a question, as one that a peer tells.
func (n *Node) hinted(key identity.PublicKey, m wire.Forwarded, from wire.Sender) {
	if !n.swarm.Gate.MayLearn(from, m.Src) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.searches[key] {
		select {
		case s.hints <- swarm.Clean(m.Src):
		default: // enough to try
		}
	}
}

// askWhere asks those that the user gave, and the best, where a key lives.
func (n *Node) askWhere(b *swarm.Batch, key identity.PublicKey, now time.Time) {
	to := append([]netip.AddrPort(nil), n.cfg.Peers...)
	for _, p := range n.swarm.Best(findPeers) {
		to = append(to, p.Addr)
	}
	asked := map[netip.AddrPort]bool{}
	for _, a := range to {
		if a = swarm.Clean(a); asked[a] {
			continue
		}
		asked[a] = true
		if buf, ok := b.Open(a, 0, swarm.Request); ok {
			b.Close(wire.AppendMessage(buf, wire.WhereAreThey{Ed25519: key}), 0)
		}
	}
}

// hello asks an address whether it is there, and says who we are: its answer will say who it is.
func (n *Node) hello(b *swarm.Batch, a netip.AddrPort, now time.Time) {
	buf, ok := b.Open(a, 0, swarm.Request)
	if !ok {
		return
	}
	p, known := n.swarm.Table.Peer(a, now)
	if !known {
		p = swarm.Peer{Addr: a}
	}
	buf = wire.AppendMessage(buf, wire.PleaseReturnThisMessage{Value: n.swarm.Pings.Token(a, now)})
	b.Close(n.letters.appendIntroduction(append(buf, ','), p), 0)
}
