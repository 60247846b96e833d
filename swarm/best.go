package swarm

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Best copies out up to n proven peers that are worth asking, the best first: by smoothed round
// trip over success, but every fourth is drawn from the longest-lived half of the others, so
// that fast newcomers never take all the places (eclipse).
func (t *Table) Best(n int, now time.Time, rng *rand.Rand) []Peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	es := t.usableLocked(now)
	ps := make([]Peer, 0, max(0, min(n, len(es))))
	for _, e := range pick(es, n, rng, func(e *entry) time.Time { return e.first }) {
		ps = append(ps, t.copyLocked(e, now))
	}
	return ps
}

// ranked is a proven peer in the order of its score.
type ranked struct {
	addr  netip.AddrPort
	first time.Time
}

// rank lists all that Best chooses from, and the version of the table that it shows.
func (t *Table) rank(now time.Time) (rs []ranked, version uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	es := t.usableLocked(now)
	rs = make([]ranked, len(es))
	for i, e := range es {
		rs[i] = ranked{e.addr, e.first}
	}
	return rs, t.version
}

// usableLocked lists the proven that are not banned and do not keep silent, by score.
func (t *Table) usableLocked(now time.Time) []*entry {
	type scored struct {
		e    *entry
		cost float64
	}
	ss := make([]scored, 0, len(t.list))
	for _, e := range t.list {
		if e.proven && !e.quiet() && !t.bannedLocked(e.addr, now) {
			ss = append(ss, scored{e, e.cost()})
		}
	}
	slices.SortStableFunc(ss, func(a, b scored) int {
		switch {
		case a.cost < b.cost:
			return -1
		case a.cost > b.cost:
			return 1
		}
		return 0
	})
	es := make([]*entry, len(ss))
	for i := range ss {
		es[i] = ss[i].e
	}
	return es
}

// cost is the expected time until an answer: the round trip over the probability that it comes
// (with one success and one failure assumed beforehand).
func (e *entry) cost() float64 {
	rtt := e.rtt.Smoothed()
	if rtt == 0 {
		rtt = RTODefault
	}
	return float64(rtt) * float64(e.sent+2) / float64(e.answered+1)
}

// pick takes n of es, which are sorted by score: three by score, one old one at random, and so on.
func pick[T any](es []T, n int, rng *rand.Rand, first func(T) time.Time) []T {
	if len(es) <= n {
		return es
	}
	if n <= 0 {
		return nil
	}
	olds := n / 4
	out := make([]T, 0, n)
	best, rest := es[:n-olds], slices.Clone(es[n-olds:])
	slices.SortStableFunc(rest, func(a, b T) int { return first(a).Compare(first(b)) })
	half := rest[:max((len(rest)+1)/2, min(olds, len(rest)))]
	rng.Shuffle(len(half), func(i, j int) { half[i], half[j] = half[j], half[i] })
	for i := range n {
		if i%4 == 3 {
			out = append(out, half[i/4])
		} else {
			out = append(out, best[i-(i+1)/4])
		}
	}
	return out
}
