package sim

import (
	"net/netip"
	"testing"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
)

// rowIntroduced: who knows only a peer that the seeder talks to gets the file from the seeder, whatever is between them.
func rowIntroduced(t *testing.T, r *result) {
	for _, kinds := range []natPair{
		{name: "full cone", seeder: netsim.FullCone},
		{name: "port restricted", seeder: netsim.PortRestricted},
		{name: "port restricted, the downloader too", seeder: netsim.PortRestricted, downloader: netsim.PortRestricted, both: true},
		{name: "symmetric", seeder: netsim.Symmetric},
	} {
		inBubble(t, Options{Link: plain}, func(w *World) {
			p := w.Node(node.Config{})
			c, err := randomContent(w.Rand(), 200_000)
			if err != nil {
				t.Fatal(err)
			}
			s := w.NodeBehind(kinds.seeder, node.Config{Peers: []netip.AddrPort{p.At}, StateDir: w.Path("state")})
			s.SeedContents(c)
			time.Sleep(10 * time.Minute)
			var n *Host
			if !kinds.both {
				n = w.Node(node.Config{Peers: []netip.AddrPort{p.At}})
			} else {
				n = w.NodeBehind(kinds.downloader, node.Config{Peers: []netip.AddrPort{p.At}}).Host
			}
			start := w.Now()
			_, ok := n.Fetch(c.BLAKE3())
			took := w.Now() - start
			r.bar(ok && took <= 10*time.Second, "%s: %v", kinds.name, took.Round(time.Millisecond))
		})
	}
}

type natPair struct {
	name               string
	seeder, downloader netsim.NATKind
	both               bool // there are two NATs
}
