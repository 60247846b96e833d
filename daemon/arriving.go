package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"

	"sharer/gateway"
	"sharer/node"
)

// ServeArriving answers HTTP at an address for the node of a command that keeps nothing, until what it returns is closed: what the node fetches can
// be read while it arrives, and what it holds. It fetches nothing for who asks, and there is no page of the node, no bridge and no upload. at
// is where this machine finds it.
func ServeArriving(n *node.Node, addr string, log *slog.Logger) (s io.Closer, at netip.AddrPort, err error) {
	l, err := gateway.Listen(addr)
	if err != nil {
		return nil, at, err
	}
	if at, err = netip.ParseAddrPort(l.Addr().String()); err != nil {
		return nil, at, errors.Join(err, l.Close())
	}
	c := gateway.Config{Addr: at, Contents: arriving{n}, Names: &names{n: n}, Log: log, Spend: n.SpendUp}
	if b := n.Deny(); b != nil {
		c.Deny = denier{b}
	}
	g, err := gateway.New(c)
	if err != nil {
		return nil, at, errors.Join(err, l.Close())
	}
	return gateway.Serve(l, g), seenHere(at), nil
}

// arriving shows a gateway what such a node can read.
type arriving struct{ n *node.Node }

var _ gateway.Contents = arriving{}

func (a arriving) Open(ctx context.Context, w gateway.Want) (gateway.Content, error) {
	r, err := a.n.Open(ctx, openRequest(w))
	if errors.Is(err, node.ErrNoState) {
		return nil, &webError{err, gateway.ErrNotHeld}
	}
	if err != nil {
		return nil, forWeb(err)
	}
	return r, nil
}
