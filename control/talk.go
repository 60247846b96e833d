package control

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"sharer/catalog"
	"sharer/node"
)

// Talker asks peers.
type Talker interface {
	Ping(ctx context.Context, addr netip.AddrPort) (node.Pong, error)
	Chat(ctx context.Context, addr netip.AddrPort, text string) (node.Said, error)
	// Chats shows what proven addresses say, until stop.
	Chats(show func(node.Chat)) (stop func())
	Offers(ctx context.Context, only []netip.AddrPort) ([]catalog.Offer, node.Asked, error)
	Give(addrs ...netip.AddrPort) int
}

type toPeer struct {
	Addr    netip.AddrPort   `json:"addr,omitzero"`
	Text    string           `json:"text,omitempty"`
	Only    []netip.AddrPort `json:"only,omitempty"`
	Timeout float64          `json:"timeout_s,omitempty"` // 0: none
}

type offers struct {
	Offers []catalog.Offer `json:"offers"`
	Asked  node.Asked      `json:"asked"`
}

// ServeTalker answers what goes to peers and comes from them.
func (s *Server) ServeTalker(d Talker) {
	handle(s, "POST /v1/ping", func(ctx context.Context, in toPeer) (node.Pong, error) {
		ctx, cancel := in.within(ctx)
		defer cancel()
		return d.Ping(ctx, in.Addr)
	})
	handle(s, "POST /v1/chat", func(ctx context.Context, in toPeer) (node.Said, error) {
		ctx, cancel := in.within(ctx)
		defer cancel()
		return d.Chat(ctx, in.Addr, in.Text)
	})
	handle(s, "POST /v1/offers", func(ctx context.Context, in toPeer) (offers, error) {
		ctx, cancel := in.within(ctx)
		defer cancel()
		list, asked, err := d.Offers(ctx, in.Only)
		return offers{list, asked}, err
	})
	subscribe(s, "POST /v1/chats", func(out *Stream) (stop func()) {
		return d.Chats(func(c node.Chat) { out.Event(c) })
	})
	handle(s, "POST /v1/give", func(ctx context.Context, in toPeer) (int, error) { return d.Give(in.Only...), nil })
}

// within is the client's deadline: it comes as a number, since a client that hangs up gets no answer.
func (p toPeer) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, duration(p.Timeout))
}

func (p *toPeer) deadline(s float64) { p.Timeout = s }

// ask sends the deadline of ctx along, and waits a little longer itself.
func (c *Client) ask(ctx context.Context, path string, in interface{ deadline(seconds float64) }, out any) error {
	const grace = 2 * time.Second // for the answer to come
	end, ok := ctx.Deadline()
	if !ok {
		return c.Call(ctx, "POST", path, in, out)
	}
	left := max(time.Until(end), time.Millisecond)
	in.deadline(seconds(left))
	waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), left+grace)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if ctx.Err() == context.Canceled {
			cancel()
		}
	})()
	err := c.Call(waiting, "POST", path, in, out)
	if err != nil && ctx.Err() == context.Canceled {
		return context.Cause(ctx)
	}
	return err
}

// Ping is node.Node.Ping by the daemon.
func (c *Client) Ping(ctx context.Context, addr netip.AddrPort) (p node.Pong, err error) {
	err = c.ask(ctx, "/v1/ping", &toPeer{Addr: addr}, &p)
	return p, err
}

// Chat is node.Node.Chat by the daemon.
func (c *Client) Chat(ctx context.Context, addr netip.AddrPort, text string) (s node.Said, err error) {
	err = c.ask(ctx, "/v1/chat", &toPeer{Addr: addr, Text: text}, &s)
	return s, err
}

// Offers is node.Node.Offers by the daemon.
func (c *Client) Offers(ctx context.Context, only []netip.AddrPort) ([]catalog.Offer, node.Asked, error) {
	var o offers
	err := c.ask(ctx, "/v1/offers", &toPeer{Only: only}, &o)
	return o.Offers, o.Asked, err
}

// Give is node.Node.Give by the daemon.
func (c *Client) Give(addrs ...netip.AddrPort) (n int) {
	if err := c.Call(c.ctx, "POST", "/v1/give", toPeer{Only: addrs}, &n); err != nil {
		return 0
	}
	return n
}

// OnChat shows what arrives at the daemon from now on, until Close: what is answered to a message that is said next is shown too.
func (c *Client) OnChat(f func(node.Chat)) {
	listening := make(chan struct{})
	c.wg.Go(func() {
		body, err := c.do(c.ctx, "POST", "/v1/chats", nil)
		close(listening)
		if err != nil {
			return // as when it ends
		}
		defer body.Close()
		// It ends with the client; a daemon that goes away is noticed by what the client is there for.
		_ = readAnswer(body, answer{event: func(text json.RawMessage) error {
			var chat node.Chat
			if err := json.Unmarshal(text, &chat); err != nil {
				return err
			}
			f(chat)
			return nil
		}}, nil)
	})
	late := time.NewTimer(dialTimeout)
	defer late.Stop()
	select {
	case <-listening:
	case <-late.C: // as above
	}
}
