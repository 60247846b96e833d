package swarm

import (
	"crypto/subtle"
	"net/netip"
	"slices"
	"time"

	"sharer/wire"
)

// askAgainAfter: cookies of ours are good for one to two hours, so that one of half an hour is
// renewed in time even if the first question for it is lost.
const askAgainAfter = 30 * time.Minute

// verdict is what the table makes of an arrival.
type verdict struct {
	proven    bool // this datagram
	gained    bool // the address has standing since now
	kept      bool // their cookie lies in the table
	banned    bool
	self      bool
	badCookie bool
	moved     moved
}

// admit judges a datagram: one lookup, one lock.
func (t *Table) admit(in *arrival, c *Cookies, now time.Time) (v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bannedLocked(in.addr, now) {
		v.banned = true
		return v
	}
	if slices.Contains(t.selves, in.addr) {
		v.self = true
		return v
	}
	e := t.byAddr[in.addr]
	var text []byte
	var epoch uint64
	v.proven = in.class == Loopback
	for _, r := range in.returned {
		if text = cookieText(r); text == nil {
			continue
		}
		var ok bool
		if epoch, ok = e.knows(text, c, now); !ok {
			epoch, ok = c.Check(in.addr, text, now)
		}
		if ok {
			v.proven = true
			break
		}
		epoch = 0
	}
	v.badCookie = in.returned[0] != nil && epoch == 0
	if !v.proven {
		// What comes with a cookie of ours for its own source as *its* cookie is what we sent.
		if mine := plainText(in.theirs); mine != nil && (e == nil || !e.proven) {
			if _, ok := c.Check(in.addr, mine, now); ok {
				t.selfLocked(in.addr)
				v.self = true
				return v
			}
		}
		v.moved = t.movedLocked(in, c, now)
		t.strangerLocked(e, in, &v, now)
		return v
	}
	if e == nil {
		e = t.addLocked(&entry{addr: in.addr, class: in.class, hops: uninvited, proven: true, first: now, provenAt: now, last: now, keep: now.Add(firstKeepalive), added: now}, now)
		if e == nil {
			return v
		}
		v.gained = true
	} else {
		v.gained = t.proveLocked(e, now)
	}
	e.last, e.missed, e.via = now, 0, in.via
	if next := now.Add(t.gapLocked(e)); in.asked && !v.gained && e.answered > 0 && next.After(e.keep) {
		e.keep = next // what it asks and we answer is as good as asking it, once it has answered us
	}
	if epoch != 0 {
		if e.epoch != epoch { // an address has one cookie in an epoch
			t.bindLocked(e, text, epoch)
		}
		e.ask = e.owed // what it sent before it could hear it once more says nothing
		if v.gained {
			// When it heard our cookie it may have kept nothing for a stranger; now it knows us.
			e.relapses, e.ask, e.owed = 0, true, true
		}
	}
	e.learn(in.theirs)
	v.kept = true
	return v
}

// strangerLocked takes from a datagram without proof the little that may be taken.
func (t *Table) strangerLocked(e *entry, in *arrival, v *verdict, now time.Time) {
	switch {
	case e == nil:
		if in.invited {
			if e = t.hearLocked(in.addr, in.addr, now); e != nil {
				e.hops = 1 // we called it
			}
		}
	case e.proven:
		// Forged, or it forgot our cookie: the next datagram that leaves for it says it again.
		e.ask = true
		if e.relapses < 255 {
			e.relapses++
		}
	case e.contacted:
		if !in.asked && !v.moved.ask { // an answer; what a question earns is spent on its reply
			e.credit = replyRatio * (in.size + wire.HeaderBytes)
		}
		e.request.Answered()
		e.probe.Answered()
		e.via = in.via
		e.learn(in.theirs)
	}
}

// knows reports whether text is the cookie that came back before, and still counts: it saves
// the hash in the steady state. The receiver may be nil.
func (e *entry) knows(text []byte, c *Cookies, now time.Time) (epoch uint64, ok bool) {
	if e == nil || len(text) != len(e.cookie) || !e.fresh(c, now) {
		return 0, false
	}
	return e.epoch, subtle.ConstantTimeCompare(text, e.cookie[:]) == 1
}

// fresh reports whether the cookie that came back last still counts.
func (e *entry) fresh(c *Cookies, now time.Time) bool {
	if e.epoch == 0 {
		return false
	}
	cur := c.Current(now)
	return e.epoch == cur || e.epoch == cur-1
}

func (e *entry) learn(theirs []byte) {
	if len(theirs) > 0 && !slices.Equal(e.theirs, theirs) {
		e.theirs = append(e.theirs[:0], theirs...)
	}
}

// query is a wish to send, judged as far as that needs no table.
type query struct {
	to               netip.AddrPort
	class            Class
	why              Reason
	unproven, proven Limit
	unprovenOK       bool // a row for the unproven exists
	provenOK         bool // one for the proven does
	far              bool // outside of loopback and LAN in isolated mode: given addresses only
	refused          Refusal
}

func (g *Gate) query(to netip.AddrPort, why Reason) (q query) {
	ar := g.around.Load()
	q.to, q.why = Clean(to), why
	q.class = ar.class(q.to)
	q.unproven, q.unprovenOK = RuleFor(why, Unproven, q.class)
	q.proven, q.provenOK = RuleFor(why, Proven, q.class)
	switch {
	case !q.unprovenOK && !q.provenOK:
		q.refused = RefusedClass
	case why != Announce && ar.self(q.to):
		q.refused = RefusedSelf
	}
	q.far = g.isolated && why != Announce && why != Reply && !ar.near(q.to)
	return q
}

// open judges one datagram and books it. theirs is overwritten with their cookie.
func (t *Table) open(q *query, gr *grant, theirs *[]byte, now time.Time) Refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	*theirs = (*theirs)[:0]
	e := t.byAddr[q.to]
	lim, r, _ := t.judgeLocked(q, e, now)
	if r != Allowed {
		return r
	}
	gr.limit = lim.Small
	if e == nil && lim.Small > 0 {
		if e = t.addLocked(&entry{addr: q.to, class: q.class, hops: uninvited, added: now}, now); e == nil {
			return RefusedFull
		}
	}
	if e == nil { // loopback, never heard of
		return Allowed
	}
	if lim.First > 0 {
		gr.limit = t.bookLocked(q, e, lim, now)
	}
	if lim.Every > 0 {
		e.kept = now
	}
	*theirs = append(*theirs, e.theirs...)
	if gr.via == 0 {
		gr.via = e.via
	}
	gr.ask = e.asksLocked(now)
	return Allowed
}

// asksLocked decides whether our cookie goes along, and notes it.
func (e *entry) asksLocked(now time.Time) bool {
	switch {
	case e.class == Loopback:
		return false // proven without
	case !e.proven, e.ask, e.relapses > 1 && now.Sub(e.last) < time.Minute, e.asked.IsZero(), now.Sub(e.asked) >= askAgainAfter:
		e.asked, e.owed = now, false
		return true
	}
	return false
}

// bookLocked notes a small datagram to an unproven address, and returns its limit in bytes.
func (t *Table) bookLocked(q *query, e *entry, lim Limit, now time.Time) int {
	b := e.backoff(q.why)
	e.contacted = true
	even := 0
	if e.given {
		even = lim.Even
	}
	if paid := e.paid(lim); paid > 0 && (paid == lim.Small || !t.timelyLocked(q, e, lim, now)) {
		e.credit = 0
		b.SentEven(now, lim.First, lim.Most, even)
		return paid
	}
	e.credit = 0
	b.SentEven(now, lim.First, lim.Most, even)
	e.tries++
	if !e.given {
		t.pace.sent(e.net, now)
		t.silent.tried(e.addr, now)
	}
	return lim.Small
}

// timelyLocked reports whether a datagram may leave without being paid for by an answer.
func (t *Table) timelyLocked(q *query, e *entry, lim Limit, now time.Time) bool {
	r, _ := t.freeLocked(q, e, lim, now)
	return r == Allowed
}

// leastPaid: a question for content with its cookie needs some 190 bytes.
const leastPaid = 200

// paid is how large a datagram may be that leaves at once because the last one was answered,
// though without proof; 0: none.
func (e *entry) paid(lim Limit) int {
	n := min(e.credit-wire.HeaderBytes, lim.Small)
	if n < leastPaid {
		return 0
	}
	return n
}

func (e *entry) backoff(why Reason) *Backoff {
	if why == Request {
		return &e.request
	}
	return &e.probe
}

// freeLocked judges a small datagram to an address without proof; e may be nil. next is when it
// could be allowed.
func (t *Table) freeLocked(q *query, e *entry, lim Limit, now time.Time) (r Refusal, next time.Time) {
	if e != nil {
		if b := e.backoff(q.why); !b.Ready(now) {
			return RefusedSilence, b.Next()
		}
		if e.given {
			return Allowed, now
		}
	}
	if lim.PerDay > 0 && t.silent.count(q.to, now) >= lim.PerDay {
		return RefusedDay, now.Add(sketchSpan)
	}
	if lim.PerSecond > 0 {
		net := netip.Prefix{}
		if q.class == Public {
			net = netOf(q.to.Addr())
		}
		if at := t.pace.next(net, lim); at.After(now) {
			return RefusedPace, at
		}
	}
	return Allowed, now
}

// judgeLocked is the table of rules, applied. It books nothing.
func (t *Table) judgeLocked(q *query, e *entry, now time.Time) (lim Limit, r Refusal, next time.Time) {
	switch {
	case t.bannedLocked(q.to, now):
		return lim, RefusedBanned, t.bans[banKey(q.to)]
	case slices.Contains(t.selves, q.to):
		return lim, RefusedSelf, next
	case q.far && (e == nil || !e.given):
		return lim, RefusedIsolated, next
	}
	if e != nil && e.proven {
		if lim = q.proven; lim.Every > 0 && !e.kept.IsZero() && now.Sub(e.kept) < lim.Every {
			return lim, RefusedEvery, e.kept.Add(lim.Every)
		}
		return lim, Allowed, now
	}
	lim = q.unproven
	switch {
	case !q.unprovenOK, q.why == Reply && lim.Ratio > 0:
		return lim, RefusedUnproven, next
	case q.why == Given && (e == nil || !e.given):
		return lim, RefusedUnknown, next
	case lim.First == 0 || e != nil && e.paid(lim) > 0:
		return lim, Allowed, now
	}
	r, next = t.freeLocked(q, e, lim, now)
	return lim, r, next
}

// may is MayRequest.
func (t *Table) may(q *query, now time.Time) (ok bool, next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, r, next := t.judgeLocked(q, t.byAddr[q.to], now)
	if r == Allowed {
		return true, now
	}
	return false, next
}

// openReply fills in what a reply to a proven datagram needs; false if the sender is not in the
// table.
func (t *Table) openReply(gr *grant, theirs *[]byte, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	*theirs = (*theirs)[:0]
	e := t.byAddr[gr.to]
	if e == nil {
		return false
	}
	*theirs = append(*theirs, e.theirs...)
	gr.ask = e.asksLocked(now)
	return true
}

// theirs appends their cookie, as far as the table knows one.
func (t *Table) theirs(dst []byte, a netip.AddrPort) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byAddr[a]; e != nil {
		dst = append(dst, e.theirs...)
	}
	return dst
}
