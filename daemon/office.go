package daemon

import (
	"context"
	"net/http"
	"net/netip"

	"sharer/bridge"
	"sharer/gateway"
	"sharer/identity"
	"sharer/metrics"
	"sharer/node"
)

// newBridge makes the post office of a node, for pages and for programs.
func newBridge(n *node.Node) *bridge.Bridge {
	b := bridge.New(bridge.Config{Key: n.Key(), Node: postman{n}, Directory: directory{n}})
	n.OnForward(b.Program)
	return b
}

// postman shows the bridge what it needs of a node.
type postman struct{ *node.Node }

var _ bridge.Node = postman{}

func (p postman) Observe(f func(bridge.Arrival)) (stop func()) {
	return p.Node.Observe(func(a node.Arrival) {
		f(bridge.Arrival{From: a.From, Key: a.Key, Maybe: a.Maybe, Messages: a.Messages, Spoofable: a.Spoofable})
	})
}

func (p postman) Forward(ctx context.Context, to bridge.Recipient, messages []byte, sign bool) error {
	return p.Node.Forward(ctx, node.Recipient{Key: to.Key, Addr: to.Addr}, messages, sign)
}

// directory shows the bridge whom a node knows.
type directory struct{ n *node.Node }

var _ bridge.Directory = directory{}

func (d directory) Proven(a netip.AddrPort) bool      { return d.n.Proven(a) }
func (d directory) Node(a netip.AddrPort) bool        { return d.n.Inhabited(a) }
func (d directory) Known(key identity.PublicKey) bool { return d.n.Known(key) }

// pages serves the bridge's connections of pages that the gateway let in, as long as the user allows them. Pages of one
// content, or of one site, share a budget.
func pages(b *bridge.Bridge, grants *gateway.Grants) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := gateway.CallerOf(r)
		v := bridge.Visitor{Origin: c.Origin}
		if c.Page.Valid() {
			v.Origin = c.Page.Key()
		}
		if c.Kind == gateway.App {
			v.Stays = func() bool { return grants.Allows(v.Origin) }
		}
		b.ServePage(w, r, v)
	})
}

// countOffice makes the families of the post office.
func (d *Daemon) countOffice() {
	r := &d.metrics
	r.GaugeFunc(metrics.Desc{Name: "sharer_guests", Help: "Pages and programs that use the node as a post office.", Labels: []string{"kind"}}, func(s set) {
		b := d.bridge.Stats()
		s(float64(b.Pages), "page")
		s(float64(b.Programs), "program")
	})
	r.CounterFunc(metrics.Desc{Name: "sharer_guest_letters_total", Help: "What guests wanted sent, by what became of it, and what they were not told.", Labels: []string{"fate"}}, func(s set) {
		b := d.bridge.Stats()
		for fate, n := range map[string]int64{
			"sent": b.Sent, "failed": b.Failed, "refused": b.Refused, "budget": b.Poor, "ignored": b.Ignored, "shed": b.Shed, "stranger": d.Strangers(),
		} {
			s(float64(n), fate)
		}
	})
	r.CounterFunc(metrics.Desc{Name: "sharer_slow_pages_total", Help: "Pages that were closed because they did not keep up."}, func(s set) {
		s(float64(d.bridge.Stats().Slow))
	})
}
