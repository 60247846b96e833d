package node

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"sharer/swarm"
	"sharer/talk"
	"sharer/wire"
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
	n.swarm.Give(addr)
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
			return Pong{From: p.From, RTT: p.RTT, Bytes: p.Bytes}, nil
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

// Chat says text to addr. The two prove their addresses to one another first, as
// nodes drop what the unproven say; the message carries a ping, so that success
// means that it has arrived. ErrNoAnswer when ctx ends before.
func (n *Node) Chat(ctx context.Context, addr netip.AddrPort, text string) error {
	if len(text) > talk.MaxMessage {
		return errors.New("a message may have 1000 bytes; say it in several")
	}
	if _, err := n.Ping(ctx, addr); err != nil {
		return err
	}
	got, cancel := n.pongs(addr)
	defer cancel()
	b := n.swarm.Gate.NewBatch()
	if buf, ok := b.Open(addr, 0, swarm.Request); ok {
		buf = wire.AppendMessage(buf, wire.ChatMessage{Message: text})
		buf = append(buf, ',')
		buf = wire.AppendMessage(buf, wire.PleaseReturnThisMessage{Value: n.swarm.Pings.Token(addr, time.Now())})
		b.Close(buf, 0)
	}
	if err := b.Flush(); err != nil {
		return err
	}
	select {
	case <-got:
		return nil
	case <-ctx.Done():
		return ErrNoAnswer
	case <-n.ctx.Done():
		return n.ctx.Err()
	}
}

// OnChat says who is shown what proven addresses say. Without one it is dropped.
func (n *Node) OnChat(show func(Chat)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.show = show
}

func (n *Node) showChat(m talk.Message) {
	n.mu.Lock()
	show := n.show
	n.mu.Unlock()
	if show != nil {
		show(Chat{From: m.From, Text: m.Text, At: m.At})
	}
}
