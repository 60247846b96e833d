package node

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"sharer/swarm"
)

// Ping sends one ping and waits for its answer until ctx ends: ErrNoAnswer then.
// An address that has not answered before is asked as gently as the gate's
// rules say, so the first answer may take a second try.
func (n *Node) Ping(ctx context.Context, addr netip.AddrPort) (Pong, error) {
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return Pong{}, err
	}
	defer end()
	got, cancel := n.pongs(addr)
	defer cancel()
	n.swarm.Lend(addr)
	for {
		if ok, next := n.swarm.Gate.MayRequest(addr, time.Now()); ok || next.IsZero() {
			if err := n.swarm.Ping(addr); err != nil && !errors.Is(err, swarm.ErrRefused) {
				return Pong{}, err
			}
		}
		_, next := n.swarm.Gate.MayRequest(addr, time.Now())
		retry := time.NewTimer(max(time.Until(next), time.Second))
		select {
		case p := <-got:
			retry.Stop()
			pong := Pong{From: p.From, RTT: p.RTT, Bytes: p.Bytes}
			if lives, ok := n.letters.opener.Places.At(p.From); ok && lives.Proven {
				pong.Key = lives.Key
			}
			return pong, nil
		case <-ctx.Done():
			retry.Stop()
			return Pong{}, ErrNoAnswer
		case <-n.ctx.Done():
			retry.Stop()
			return Pong{}, n.ctx.Err()
		case <-retry.C:
		}
	}
}

// pongs delivers one pong of addr at a time, until cancel.
func (n *Node) pongs(addr netip.AddrPort) (got <-chan swarm.Pong, cancel func()) {
	c := make(chan swarm.Pong, 1)
	addr = swarm.Clean(addr) // as it is heard, whatever the user typed
	return c, n.swarm.Pings.Subscribe(func(p swarm.Pong) {
		if p.From == addr {
			select {
			case c <- p:
			default: // one is enough
			}
		}
	})
}

// Nearest waits until a peer is known, at most until ctx ends, and returns the n best.
func (n *Node) Nearest(ctx context.Context, most int) []netip.AddrPort {
	look := time.NewTicker(findLook)
	defer look.Stop()
	for {
		var out []netip.AddrPort
		for _, p := range n.swarm.Best(most) {
			out = append(out, p.Addr)
		}
		if len(out) > 0 {
			return out
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.ctx.Done():
			return nil
		case <-look.C:
		}
	}
}
