package swarm

import (
	"net/netip"
	"slices"
	"time"

	"sharer/wire"
)

const (
	firstKeepalive = 2 * time.Second  // after a stranger proved himself: a one-shot is gone by then
	keepaliveMost  = 10 * time.Minute // between two, while nobody answers or there are many peers
	keepaliveEach  = 1200 * time.Millisecond
	askPeersEvery  = 2 * time.Minute // of one peer at least; with each keepalive while there are few
	askPeersEach   = 24 * time.Second
	askPeersMost   = 30 * time.Minute
	newAsks        = 5 // times a peer is asked every askPeersEvery, before it is asked more seldom
	fewPeers       = 16
	missedMost     = 8 // keepalives without a sign of life, then a peer is forgotten: about an hour
	missedNew      = 4 // the same for one that never answered a question of ours
	probesMost     = 3 // of an address heard of, then it is forgotten
	askedIdle      = 10 * time.Minute
	givenMost      = time.Minute // as keepaliveMost, for addresses that the user gave
	keepsPerSecond = 10          // in all: twice what keepaliveEach makes
	givenPerSecond = 16          // in all: what pace remembers
	lateAfter      = 2 * time.Second
)

// After a pause (the process was stopped, the machine slept) all that was due is due at once. What
// is late by more than lateAfter leaves at most twice as fast as it usually would, so that waking up
// makes no storm; an address that was never asked is not late.
func (d errand) late(now time.Time) bool { return !d.at.IsZero() && now.Sub(d.at) > lateAfter }

// keepaliveGap is the time between two keepalives of a peer that answers, in a table of n entries. One suffices
// for the two: who was asked himself waits as long again. So 50 peers cost 20 MB a day, and their NATs, which
// forget an address after two minutes (RFC 4787 section 4.3), see one datagram each way a minute.
func keepaliveGap(n int) time.Duration {
	return min(max(KeepaliveGap, time.Duration(n)*keepaliveEach), keepaliveMost)
}

// gapLocked is the time between two keepalives of an entry. Only those that are as near as it count, so that
// an attacker who fills the table from afar does not make us ask seldom those who were there before him.
func (t *Table) gapLocked(e *entry) time.Duration { return keepaliveGap(t.within[e.hops]) }

// twice is twice the rate at which n addresses are asked every gap, a second and as a whole number.
func twice(n int, gap time.Duration) int { return max(1, int(time.Duration(2*n)*time.Second/gap)) }

// errand is one datagram that the maintenance loop owes.
type errand struct {
	to     netip.AddrPort
	why    Reason
	ping   bool
	peers  bool
	anchor bool
	hops   uint8
	at     time.Time
}

// step sends what is due and says when to look again.
func (s *Swarm) step(now time.Time) (next time.Time) {
	todo, next := s.Table.due(now)
	all, proven, waiting := s.Table.Sizes()
	lateKeeps := min(keepsPerSecond, twice(proven, keepaliveGap(all)))
	lateGiven := min(givenPerSecond, twice(waiting, givenMost))
	for _, d := range todo {
		at := s.paceOf(d, now, lateKeeps, lateGiven)
		if at.After(now) {
			next = earlier(next, at)
			continue
		}
		buf, ok := s.batch.Open(d.to, 0, d.why)
		if !ok {
			if ok, at := s.Table.retry(d.to, d.why, s.Gate, now); !ok && !at.IsZero() {
				next = earlier(next, at)
			}
			continue
		}
		if d.peers {
			buf = wire.AppendMessage(buf, wire.PleaseSendPeers{})
		}
		if d.ping {
			if d.peers {
				buf = append(buf, ',')
			}
			buf = wire.AppendMessage(buf, wire.PleaseReturnThisMessage{Value: s.Pings.Token(d.to, now)})
		}
		s.batch.Close(buf, 0)
		switch {
		case d.why == Given:
			s.gives.sent(netip.Prefix{}, now)
		case d.ping:
			s.keeps.sent(netip.Prefix{}, now)
		}
		next = earlier(next, s.Table.did(d, now, s.jitter(KeepaliveGap/10)))
	}
	_ = s.batch.Flush() // counted; what is lost is sent again by its own timer
	return next
}

// paceOf is when an errand may be done, as far as all of its kind share a limit.
func (s *Swarm) paceOf(d errand, now time.Time, lateKeeps, lateGiven int) time.Time {
	per, p := givenPerSecond, &s.gives
	switch {
	case d.why == Probe && !d.ping: // of an address heard of
		return s.Table.paceNext()
	case d.why == Probe: // a keepalive
		if per, p = keepsPerSecond, &s.keeps; d.late(now) {
			per = lateKeeps
		}
	case d.late(now):
		per = lateGiven
	}
	return p.next(netip.Prefix{}, Limit{PerSecond: per})
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// due lists what is owed, and after it who else may be tried, of both the most urgent first, and forgets whom
// nobody will miss. next is when there is more, a minute at most.
func (t *Table) due(now time.Time) (todo []errand, next time.Time) {
	var tries []errand // addresses heard of; in a list of their own, so that neither kind keeps the other out
	t.mu.Lock()
	defer t.mu.Unlock()
	next = now.Add(time.Minute)
	every := KeepaliveGap
	if n := len(t.list) - t.unsure; n >= fewPeers {
		every = min(max(askPeersEvery, time.Duration(n)*askPeersEach), askPeersMost)
	}
	probe, _ := RuleFor(Probe, Unproven, Private)
	paced := t.pace.next(netip.Prefix{}, probe)
	t.waiting = 0
	t.within = [uninvited + 1]int{}
	for _, e := range t.list {
		t.within[e.hops]++
	}
	for i := range uninvited {
		t.within[i+1] += t.within[i]
	}
	for i := 0; i < len(t.list); i++ {
		e := t.list[i]
		if e.given && e.proven && e.missed >= missedMost {
			t.demoteLocked(e)
		}
		if t.goneLocked(e, now) {
			t.removeLocked(e)
			i-- // another one took its place
			continue
		}
		if e.given && !e.proven {
			t.waiting++
		}
		at, ok := e.dueLocked()
		heard := !e.proven && !e.given
		switch {
		case !ok:
		case heard && paced.After(now):
			next = earlier(next, paced)
		case at.After(now):
			next = earlier(next, at)
		case heard:
			tries = e.errandLocked(at, now, every).insert(tries)
		default:
			todo = e.errandLocked(at, now, e.askPeersGap(every)).insert(todo)
		}
	}
	if max(len(todo), len(tries)) == maxTodo { // perhaps more
		next = earlier(next, now.Add(100*time.Millisecond))
	}
	return append(todo, tries...), next
}

// maxTodo bounds one look: more than the limits of a second let through, and more than one network
// may have in the table, so that none stands in the way of the others.
const maxTodo = 4 * MaxPerNet

// insert keeps todo sorted, what the user gave first, then anchors, then by hops if they were heard of, then by how
// long they are due, and bounded.
func (d errand) insert(todo []errand) []errand {
	if len(todo) == maxTodo {
		if !d.before(&todo[maxTodo-1]) {
			return todo
		}
		todo = todo[:maxTodo-1]
	}
	i := len(todo)
	for i > 0 && d.before(&todo[i-1]) {
		i--
	}
	return slices.Insert(todo, i, d)
}

func (d *errand) before(o *errand) bool {
	switch {
	case (d.why == Given) != (o.why == Given):
		return d.why == Given
	case d.anchor != o.anchor:
		return d.anchor
	case d.hops != o.hops:
		return d.hops < o.hops
	}
	return d.at.Before(o.at)
}

// goneLocked reports whether an entry has outlived its use.
func (t *Table) goneLocked(e *entry, now time.Time) bool {
	switch {
	case e.given:
		return e.lent && !e.proven && now.Sub(e.added) >= lentFor
	case e.proven:
		return e.missed >= missedMost || e.missed >= missedNew && e.answered == 0
	case e.source.IsValid() || e.anchor:
		return e.tries >= probesMost && e.probe.Ready(now) && e.request.Ready(now)
	}
	return now.Sub(e.added) >= askedIdle && now.Sub(e.request.Next()) >= askedIdle
}

// dueLocked is from when on the loop owes something to an entry; not ok: nothing.
func (e *entry) dueLocked() (at time.Time, ok bool) {
	switch {
	case e.proven:
		return e.keep, true
	case e.given:
		return e.probe.Next(), true
	case !e.source.IsValid() && !e.anchor:
		return at, false // asked by a transfer, which cares for it
	}
	if at = e.probe.Next(); at.IsZero() {
		at = e.added
	}
	return at, true
}

// askPeersGap is how often a peer is asked whom it knows, if those that we know well are asked every so
// often: the first few times oftener, as are those that the user gave and anchors.
func (e *entry) askPeersGap(every time.Duration) time.Duration {
	if e.hops == 0 || e.peerAsks < newAsks {
		return min(every, askPeersEvery)
	}
	return every
}

// errandLocked is what is owed since at; askPeers is how often a peer is asked whom it knows.
func (e *entry) errandLocked(at, now time.Time, askPeers time.Duration) errand {
	d := errand{to: e.addr, why: Probe, anchor: e.anchor, at: at}
	switch {
	case e.proven:
		d.ping = true
		d.peers = e.missed > 0 || e.askedPeers.IsZero() || now.Sub(e.askedPeers) >= askPeers
	case e.given:
		d.why, d.ping, d.peers = Given, true, true
	default:
		d.peers, d.hops = true, e.hops
	}
	return d
}

// retry tells when an errand that was refused may be tried again, and forgets an address heard of
// that is not to be tried any more today.
func (t *Table) retry(a netip.AddrPort, why Reason, g *Gate, now time.Time) (ok bool, at time.Time) {
	q := g.query(a, why)
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byAddr[a]
	if e == nil {
		return false, time.Time{}
	}
	r := q.refused
	if r == Allowed {
		_, r, at = t.judgeLocked(&q, e, now)
	}
	switch r {
	case Allowed:
		return true, now
	case RefusedSilence, RefusedPace, RefusedEvery:
		if e.proven {
			e.keep = at
		}
		return false, at
	}
	switch {
	case e.proven: // one that came by himself, while we are isolated: he stays as long as he talks
		e.keep = now.Add(keepaliveMost)
		e.missed++
	case e.given:
		e.probe.Sent(now, time.Minute, time.Minute)
	default:
		t.removeLocked(e)
	}
	return false, time.Time{}
}

// did notes that an errand was done, and says when the next one to that address is due.
func (t *Table) did(d errand, now time.Time, jitter time.Duration) (next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byAddr[d.to]
	if e == nil {
		return now.Add(time.Minute)
	}
	if d.peers {
		e.askedPeers = now
		if e.peerAsks < newAsks {
			e.peerAsks++
		}
	}
	if !e.proven {
		return e.probe.Next()
	}
	if e.missed > 0 {
		e.askedLocked(false) // the last one was not answered
	}
	gap, most := t.gapLocked(e), keepaliveMost
	if e.given {
		most = max(gap, givenMost)
	}
	gap = min(gap<<min(e.missed, missedMost), most)
	e.keep = now.Add(gap + jitter)
	if e.missed < 255 {
		e.missed++
	}
	return e.keep
}
