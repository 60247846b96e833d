package node

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sharer/swarm"
)

// Ping sends one ping and waits for its answer, not that of another one, until ctx ends: ErrNoAnswer then.
// An address that has not answered before is asked as gently as the gate's
// rules say, so the first answer may take a second try.
func (n *Node) Ping(ctx context.Context, addr netip.AddrPort) (Pong, error) {
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return Pong{}, err
	}
	defer end()
	own := ownPings{addr: swarm.Clean(addr), got: make(chan swarm.Pong, 1)} // as it is heard, whatever the user typed
	defer n.swarm.Pings.Subscribe(own.pong)()
	n.swarm.Lend(addr)
	for {
		if ok, next := n.swarm.Gate.MayRequest(addr, time.Now()); ok || next.IsZero() {
			if err := own.send(n.swarm); err != nil && !errors.Is(err, swarm.ErrRefused) {
				return Pong{}, err
			}
		}
		_, next := n.swarm.Gate.MayRequest(addr, time.Now())
		retry := time.NewTimer(max(time.Until(next), time.Second))
		select {
		case p := <-own.got:
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

// ownPings are those of one Ping. The answer to another ping, as of one before it that is still under way, says nothing of
// whether these arrive; it counts only as long as none of them could be sent.
type ownPings struct {
	addr netip.AddrPort
	got  chan swarm.Pong // one is enough

	mu   sync.Mutex
	sent []time.Time
}

// send sends one more.
func (o *ownPings) send(s *swarm.Swarm) error {
	at := time.Now()
	o.mu.Lock()
	o.sent = append(o.sent, at) // before it can come back
	o.mu.Unlock()
	err := s.Ping(o.addr, at)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.sent = o.sent[:len(o.sent)-1]
	}
	return err
}

func (o *ownPings) pong(p swarm.Pong) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.From != o.addr || len(o.sent) > 0 && !slices.ContainsFunc(o.sent, p.Sent.Equal) {
		return
	}
	select {
	case o.got <- p:
	default:
	}
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
