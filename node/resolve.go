package node

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"sharer/identity"
	"sharer/swarm"
	"sharer/wire"
)

const (
	resolvePeers  = 32                     // that are asked for a name, beside its publisher and those that the user gave
	resolveTries  = 6                      // of each, after 1, 2, 4 … s
	resolveLook   = 100 * time.Millisecond // how often there may be somebody new to ask
	resolveSettle = 400 * time.Millisecond // after the first answer: another one may be newer
	resolveHeld   = 2 * time.Second        // nobody answers, but it is known here
)

// NameError says that nobody told what a name stands for; it is an ErrNotFound.
type NameError struct {
	Key   identity.PublicKey
	Name  string
	Asked int
	After time.Duration
}

func (e *NameError) Error() string {
	return fmt.Sprintf("no peer knows the name %q of 0x%s after %s (asked %d peers)", e.Name, e.Key, e.After.Round(time.Second), e.Asked)
}

// Is makes errors.Is(err, ErrNotFound) true.
func (e *NameError) Is(target error) bool { return target == ErrNotFound }

// Resolve returns what a publisher's name stands for: the highest number that anybody asked knows, until ctx ends. From then
// on the name is held here, and passed on. The error is a *NameError, or wraps identity.ErrKey, identity.ErrName or a
// *identity.ConflictError; with the last the record is the one that came first.
func (n *Node) Resolve(ctx context.Context, key identity.PublicKey, name string) (identity.Record, error) {
	rs, err := n.ResolveAny(ctx, NameQuery{Key: key, Names: []string{name}})
	if len(rs) == 0 {
		return identity.Record{}, err
	}
	return rs[0], err
}

// NameQuery asks for names of one publisher.
type NameQuery struct {
	Key   identity.PublicKey
	Names []string
	Seq   int64            // the least number that is of use
	Hints []netip.AddrPort // asked too; as those of a link
	Older bool             // not what they stand for, but the versions before whose contents somebody has
}

// ResolveAny is Resolve for several names of one publisher, of which it returns those that are known, in the order of the
// query, as soon as one is.
func (n *Node) ResolveAny(ctx context.Context, query NameQuery) ([]identity.Record, error) {
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	q := nameQuestion{NameQuery: query, node: n, asked: map[netip.AddrPort]*question{}, start: time.Now()}
	for _, name := range query.Names {
		if err := n.names.held.Want(query.Key, name); err != nil {
			return nil, err
		}
		q.ids = append(q.ids, nameID{query.Key, name})
	}
	n.giveHints(query.Hints)
	q.first = append(append(q.first, n.cfg.Peers...), query.Hints...)
	w := n.names.wait(q.ids)
	defer n.names.leave(w)
	return q.run(ctx, w)
}

// nameQuestion is one ResolveAny.
type nameQuestion struct {
	NameQuery
	node  *Node
	ids   []nameID
	first []netip.AddrPort // asked first
	asked map[netip.AddrPort]*question
	start time.Time
}

type question struct {
	at    time.Time // of the last try
	tries int
}

func (q *nameQuestion) run(ctx context.Context, w *nameWaiter) ([]identity.Record, error) {
	b := q.node.swarm.Gate.NewBatch()
	tick := time.NewTicker(resolveLook)
	defer tick.Stop()
	done := q.start.Add(resolveHeld)
	if q.Key == q.node.Key() {
		done = q.start // nobody knows better
	}
	answered := false
	for {
		now := time.Now()
		rs := q.known()
		if len(rs) > 0 && !now.Before(done) {
			return rs, q.node.names.conflictOf(rs[0])
		}
		q.ask(b, now)
		select {
		case <-ctx.Done():
			if q.node.ctx.Err() != nil {
				return nil, ErrClosed
			}
			if len(rs) > 0 {
				return rs, q.node.names.conflictOf(rs[0])
			}
			return nil, &NameError{Key: q.Key, Name: q.Names[0], Asked: len(q.asked), After: time.Since(q.start)}
		case <-w.some:
			if !answered {
				answered, done = true, time.Now().Add(resolveSettle)
			}
		case <-tick.C:
		}
	}
}

// known are the records of the names, in their order.
func (q *nameQuestion) known() (rs []identity.Record) {
	for _, id := range q.ids {
		of := q.node.names.held.Of
		if q.Older {
			of = q.node.names.held.Older
		}
		if r, ok := of(id.key, id.name); ok && r.Seq >= q.Seq {
			rs = append(rs, r)
		}
	}
	return rs
}

// ask asks whoever is due.
func (q *nameQuestion) ask(b *swarm.Batch, now time.Time) {
	to := q.first
	if p, ok := q.node.letters.opener.Places.Of(q.Key); ok {
		to = append(to[:len(to):len(to)], p.Addr)
	}
	for _, p := range q.node.swarm.Best(resolvePeers) {
		to = append(to[:len(to):len(to)], p.Addr)
	}
	for _, a := range to {
		a = swarm.Clean(a)
		x := q.asked[a]
		if x == nil {
			if len(q.asked) >= 2*resolvePeers {
				continue
			}
			x = &question{}
			q.asked[a] = x
		}
		if x.tries >= resolveTries || now.Sub(x.at) < time.Second<<x.tries/2 {
			continue
		}
		buf, ok := b.Open(a, 0, swarm.Request)
		if !ok {
			continue // not now
		}
		x.at = now
		x.tries++
		for i, name := range q.Names {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = wire.AppendMessage(buf, wire.GetLatest{Ed25519: q.Key, Path: []byte(name)})
		}
		b.Close(buf, 0)
	}
	_ = b.Flush() // counted; it is asked again
}
