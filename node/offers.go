package node

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"sharer/catalog"
	"sharer/swarm"
	"sharer/wire"
)

const (
	askedPeers = 64                     // whose lists one Offers asks for at most: answers of 5.6 KB each
	askTries   = 3                      // for one list
	askAgain   = time.Second            // after that
	askLook    = 100 * time.Millisecond // how often there may be somebody new to ask
	askSettle  = time.Second            // all have answered: whoever is about to be met is waited for
)

// Asked is how many peers were asked for their lists, and how many of them have answered.
type Asked struct{ Peers, Answered int }

// Offers asks the peers that are met until ctx ends what they have, and returns what they and others
// told. It ends as soon as all have answered and nobody new was met for a second; having met
// nobody it waits for ctx. With addresses in only, nobody else is asked, and all of them are waited for.
func (n *Node) Offers(ctx context.Context, only []netip.AddrPort) ([]catalog.Offer, Asked, error) {
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return nil, Asked{}, err
	}
	defer end()
	q := questions{asked: map[netip.AddrPort]*listQuestion{}, answers: make(chan swarm.Pong, askedPeers)}
	for _, a := range only {
		if a = swarm.Clean(a); !slices.Contains(q.only, a) { // one may be named in two ways
			q.only = append(q.only, a)
		}
	}
	n.swarm.Lend(only...)
	defer n.swarm.Pings.Subscribe(func(p swarm.Pong) {
		select {
		case q.answers <- p:
		default: // it counts as silent, and is asked again
		}
	})()
	b := n.swarm.Gate.NewBatch()
	tick := time.NewTicker(askLook)
	defer tick.Stop()
	q.changed = time.Now()
	for {
		now := time.Now()
		for _, p := range n.swarm.Table.Peers(now) {
			if p.Proven && q.due(p.Addr, now) {
				n.askList(b, p.Addr, now)
			}
		}
		if err := b.Flush(); err != nil {
			n.log.Debug("asking for lists", "err", err) // it is asked again
		}
		if q.settled(now) {
			return n.offersOf(q.only), q.look(), nil
		}
		select {
		case <-ctx.Done():
			if n.ctx.Err() != nil {
				return nil, Asked{}, ErrClosed
			}
			return n.offersOf(q.only), q.look(), nil
		case p := <-q.answers:
			q.answered(p, time.Now())
		case <-tick.C:
		}
	}
}

// offersOf are the offers of some peers; of all if there are none.
func (n *Node) offersOf(only []netip.AddrPort) []catalog.Offer {
	offers := n.catalog.Offers()
	if len(only) == 0 {
		return offers
	}
	for i := range offers {
		offers[i].Peers = slices.DeleteFunc(offers[i].Peers, func(a netip.AddrPort) bool { return !slices.Contains(only, a) })
	}
	return slices.DeleteFunc(offers, func(o catalog.Offer) bool { return len(o.Peers) == 0 })
}

// askList asks one peer for its list, and for a sign that it was heard: who has nothing says nothing.
func (n *Node) askList(b *swarm.Batch, a netip.AddrPort, now time.Time) {
	if buf, ok := b.Open(a, 0, swarm.Request); ok {
		n.catalog.Ask(a, now)
		buf = append(wire.AppendMessage(buf, wire.PleaseListContent{}), ',')
		b.Close(wire.AppendMessage(buf, wire.PleaseReturnThisMessage{Value: n.swarm.Pings.Token(a, now)}), 0)
	}
}

// questions are whose lists were asked for.
type questions struct {
	only    []netip.AddrPort // nobody else is asked; empty: everybody is
	asked   map[netip.AddrPort]*listQuestion
	answers chan swarm.Pong
	changed time.Time // when somebody was met, or answered, for the last time
}

type listQuestion struct {
	at   []time.Time // of each try: that of the ping that went along
	done bool
}

// due notes that a is asked now, if it is its time.
func (q *questions) due(a netip.AddrPort, now time.Time) bool {
	x := q.asked[a]
	switch {
	case x == nil && len(q.asked) >= askedPeers, len(q.only) > 0 && !slices.Contains(q.only, a):
		return false
	case x == nil:
		x = &listQuestion{}
		q.asked[a], q.changed = x, now
	case x.done || !x.late(now) || len(x.at) >= askTries:
		return false
	}
	x.at = append(x.at, now)
	return true
}

// late says that the last try had its time.
func (x *listQuestion) late(now time.Time) bool { return now.Sub(x.at[len(x.at)-1]) >= askAgain }

// answered takes a pong of a ping that went along with a question. That of any other, such as the one to a peer just
// met, may come before the list.
func (q *questions) answered(p swarm.Pong, now time.Time) {
	x := q.asked[p.From]
	if x != nil && !x.done && slices.ContainsFunc(x.at, p.Sent.Equal) {
		x.done, q.changed = true, now
	}
}

// settled says that nobody is waited for any more.
func (q *questions) settled(now time.Time) bool {
	for _, x := range q.asked {
		if !x.done && (len(x.at) < askTries || !x.late(now)) {
			return false
		}
	}
	if len(q.only) > 0 {
		return len(q.asked) == min(len(q.only), askedPeers)
	}
	return len(q.asked) > 0 && now.Sub(q.changed) >= askSettle
}

func (q *questions) look() Asked {
	a := Asked{Peers: len(q.asked)}
	for _, x := range q.asked {
		if x.done {
			a.Answered++
		}
	}
	return a
}
