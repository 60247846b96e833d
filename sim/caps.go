package sim

import (
	"sharer/catalog"
	"sharer/node"
	"sharer/swarm"
)

// capsLocked is C4.
func (w *watch) capsLocked(l *life, s node.Stats) {
	for _, c := range []struct {
		what    string
		n, most int
	}{
		{"peers", s.Peers, swarm.MaxPeers},
		{"peers without proof", s.Unproven, swarm.MaxUnproven},
		{"contents with holders", s.Holders, swarm.MaxIDs},
		{"offers of peers", s.Offers, catalog.MaxPeers * catalog.MaxOffers},
	} {
		if c.n > c.most {
			w.foundLocked(C4, sprint(l, " keeps ", c.n, " ", c.what, ", at most ", c.most))
		}
	}
}
