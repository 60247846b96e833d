package swarm

import (
	"net/netip"
	"slices"
	"time"

	"sharer/wire"
)

const (
	maxAnswer      = 46               // addresses in an answer, as the best-known node sends
	firstKeepalive = 2 * time.Second  // after a stranger proved himself: a one-shot is gone by then
	keepaliveMost  = 10 * time.Minute // between two, while nobody answers or there are many peers
	keepaliveEach  = 200 * time.Millisecond
	askPeersEvery  = 2 * time.Minute // of one peer; with each keepalive while there are few
	fewPeers       = 16
	missedMost     = 8 // keepalives without a sign of life, then a peer is forgotten: about an hour
	missedNew      = 4 // the same for one that never answered a question of ours
	probesMost     = 3 // of an address heard of, then it is forgotten
	askedIdle      = 10 * time.Minute
	givenMost      = time.Minute // as keepaliveMost, for addresses that the user gave
	keepsPerSecond = 10          // in all: twice what keepaliveEach makes, so that a clock that jumps makes no storm
)

// Register puts the four handlers of this package on the mux.
func (s *Swarm) Register(mux *wire.Mux) {
	mux.Handle("PleaseSendPeers", wire.HandlerFunc(s.pleaseSendPeers))
	mux.Handle("Peers", wire.HandlerFunc(s.peers))
	mux.Handle("PleaseReturnThisMessage", wire.HandlerFunc(s.pleaseReturn))
	mux.Handle("ReturnedMessage", wire.HandlerFunc(s.returned))
}

// pleaseSendPeers answers with whom the asker could reach, fast ones first: up to 46 to the
// proven, one to others if it fits.
func (s *Swarm) pleaseSendPeers(from wire.Sender, _ wire.Element) []wire.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.rankedLocked(time.Now())
	class := ClassOf(from.Addr)
	keep := func(a netip.AddrPort) bool { return a != from.Addr && MayPass(a, class) }
	if from.Proven {
		return []wire.Message{wire.Peers{Peers: s.answerLocked(all, keep)}}
	}
	if len(all) == 0 {
		return nil
	}
	start := s.rng.IntN(min(len(all), 8)) // one of the fast, not always the same
	for i := range all {
		a := all[(start+i)%len(all)].addr
		if !keep(a) {
			continue
		}
		m := wire.Peers{Peers: []netip.AddrPort{a}}
		if len(`{"Peers":{"peers":[""]}},`)+len(a.String()) <= from.Room {
			return []wire.Message{m}
		}
		return nil // another one is hardly shorter
	}
	return nil
}

// largeTable: from here on the list for answers is a second old at most, but not newer than the
// table: to sort 4096 peers takes about a millisecond, and anyone who is proven may ask as often
// as he likes.
const largeTable = 512

func (s *Swarm) rankedLocked(now time.Time) []ranked {
	s.Table.mu.Lock()
	n, version := len(s.Table.list), s.Table.version
	s.Table.mu.Unlock()
	if s.listTime.IsZero() || now.Sub(s.listTime) >= time.Second || n <= largeTable && version != s.version {
		s.list, s.version = s.Table.rank(now)
		s.listTime = now
	}
	return s.list
}

func (s *Swarm) answerLocked(all []ranked, keep func(netip.AddrPort) bool) []netip.AddrPort {
	fit := make([]ranked, 0, len(all))
	for _, r := range all {
		if keep(r.addr) {
			fit = append(fit, r)
		}
	}
	as := make([]netip.AddrPort, 0, maxAnswer)
	for _, r := range pick(fit, maxAnswer, s.rng, func(r ranked) time.Time { return r.first }) {
		as = append(as, r.addr)
	}
	return as
}

// peers makes candidates of what a proven peer tells.
func (s *Swarm) peers(from wire.Sender, e wire.Element) []wire.Message {
	if !from.Proven {
		return nil
	}
	m, err := wire.ParsePeers(e.Payload)
	if err != nil {
		return nil
	}
	now := time.Now()
	for _, a := range m.Peers {
		if s.Gate.MayLearn(from, a) {
			s.Table.Hear(a, from.Addr, now)
		}
	}
	return nil
}

func (s *Swarm) pleaseReturn(from wire.Sender, e wire.Element) []wire.Message {
	if _, mine := s.Pings.Check(from.Addr, e.Payload, time.Now()); mine {
		s.Table.Self(from.Addr) // our own question came back: that address is ourselves, or pretends to be
		return nil
	}
	return []wire.Message{wire.ReturnedMessage{Value: e.Payload}}
}

// returned believes a token that verifies: as strong as a cookie, since it names the address.
func (s *Swarm) returned(from wire.Sender, e wire.Element) []wire.Message {
	now := time.Now()
	rtt, ok := s.Pings.Check(from.Addr, e.Payload, now)
	if !ok {
		return nil
	}
	s.Table.provePong(from.Addr, rtt, now)
	s.Pings.subs.tell(Pong{From: from.Addr, RTT: rtt, Sent: now.Add(-rtt), Bytes: from.Size})
	return nil
}

// errand is one datagram that the maintenance loop owes.
type errand struct {
	to     netip.AddrPort
	why    Reason
	ping   bool
	peers  bool
	anchor bool
	at     time.Time
}

// step sends what is due and says when to look again.
func (s *Swarm) step(now time.Time) (next time.Time) {
	todo, next := s.Table.due(now)
	for _, d := range todo {
		switch {
		case d.why == Probe && !d.ping: // of an address heard of
			if at := s.Table.paceNext(); at.After(now) {
				next = earlier(next, at)
				continue
			}
		case d.why == Probe: // a keepalive
			if at := s.keeps.next(netip.Prefix{}, Limit{PerSecond: keepsPerSecond}); at.After(now) {
				next = earlier(next, at)
				continue
			}
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
		if d.why == Probe && d.ping {
			s.keeps.sent(netip.Prefix{}, now)
		}
		next = earlier(next, s.Table.did(d, now, s.jitter(KeepaliveGap/10)))
	}
	_ = s.batch.Flush() // counted; what is lost is sent again by its own timer
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// due lists what is owed, the most urgent first, and forgets whom nobody will miss. next is when there is more, a minute at most.
func (t *Table) due(now time.Time) (todo []errand, next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next = now.Add(time.Minute)
	every := askPeersEvery
	if len(t.list)-t.unsure < fewPeers {
		every = KeepaliveGap
	}
	probe, _ := RuleFor(Probe, Unproven, Private)
	paced := t.pace.next(netip.Prefix{}, probe)
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
		d, ok := e.errandLocked(now, every)
		switch {
		case !ok:
		case d.why == Probe && !d.ping && paced.After(now):
			next = earlier(next, paced)
		case d.at.After(now):
			next = earlier(next, d.at)
		default:
			todo = d.insert(todo)
		}
	}
	if len(todo) == maxTodo { // perhaps more
		next = earlier(next, now.Add(100*time.Millisecond))
	}
	return todo, next
}

// maxTodo bounds one look: more than the limits of a second let through, and more than one network
// may have in the table, so that none stands in the way of the others.
const maxTodo = 4 * MaxPerNet

// insert keeps todo sorted, what the user gave first, then anchors, then by how long they are due, and bounded.
func (d errand) insert(todo []errand) []errand {
	before := func(o errand) bool {
		if (d.why == Given) != (o.why == Given) {
			return d.why == Given
		}
		if d.anchor != o.anchor {
			return d.anchor
		}
		return d.at.Before(o.at)
	}
	if len(todo) == maxTodo {
		if !before(todo[maxTodo-1]) {
			return todo
		}
		todo = todo[:maxTodo-1]
	}
	i := len(todo)
	for i > 0 && before(todo[i-1]) {
		i--
	}
	return slices.Insert(todo, i, d)
}

// goneLocked reports whether an entry has outlived its use.
func (t *Table) goneLocked(e *entry, now time.Time) bool {
	switch {
	case e.given:
		return false
	case e.proven:
		return e.missed >= missedMost || e.missed >= missedNew && e.answered == 0
	case e.source.IsValid() || e.anchor:
		return e.tries >= probesMost && e.probe.Ready(now) && e.request.Ready(now)
	}
	return now.Sub(e.added) >= askedIdle && now.Sub(e.request.Next()) >= askedIdle
}

// errandLocked is what the loop owes to an entry, and from when on; askPeers is how often it is asked
// whom it knows.
func (e *entry) errandLocked(now time.Time, askPeers time.Duration) (d errand, ok bool) {
	d = errand{to: e.addr, anchor: e.anchor}
	switch {
	case e.proven:
		d.why, d.at, d.ping = Probe, e.keep, true
		d.peers = e.missed > 0 || e.askedPeers.IsZero() || now.Sub(e.askedPeers) >= askPeers
	case e.given:
		d.why, d.at, d.ping, d.peers = Given, e.probe.Next(), true, true
	case e.source.IsValid() || e.anchor:
		d.why, d.at, d.peers = Probe, e.probe.Next(), true
		if d.at.IsZero() {
			d.at = e.added
		}
	default:
		return d, false // asked by a transfer, which cares for it
	}
	return d, true
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
	}
	if !e.proven {
		return e.probe.Next()
	}
	if e.missed > 0 {
		e.askedLocked(false) // the last one was not answered
	}
	gap := max(KeepaliveGap, time.Duration(len(t.list))*keepaliveEach)
	most := keepaliveMost
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

// announce asks the LAN who is there.
func (s *Swarm) announce() {
	for _, ip := range s.Gate.around.Load().announce {
		to := netip.AddrPortFrom(ip, s.conf.LANPort)
		if buf, ok := s.batch.Open(to, 0, Announce); ok {
			s.batch.Close(wire.AppendMessage(buf, wire.PleaseSendPeers{}), 0)
		}
	}
	_ = s.batch.Flush() // counted; the next one is in a minute
}
