package swarm

import (
	"net/netip"
	"slices"
	"time"
)

// Who stays when the table is full. Rules, in order:
//   - nothing that is unproven ever pushes out a proven entry, and nothing a given one;
//   - of the unproven, those with more hops than the newcomer go first, then those told by the source
//     with the most entries;
//   - a newly proven address pushes out an unproven one with no fewer hops, of those with the most, else a proven one of the most crowded
//     /16 or /32: one that is quiet if there is one, else one of those with the most hops the youngest. So
//     an attacker with many addresses in few networks competes with himself, and the old ones stay;
//   - some places are for the near only (roomFor);
//   - anchors, the longest-lived at the last start, stay while they are heard;
//   - of the newly proven at most turnover a second push somebody out of a full table, since to find
//     him takes a look at all of it. Who finds no room is served like others, only not remembered.
//
// Hops are how many peers passed an address on, from what the user gave or an anchor: an attacker
// may have a network for each of his addresses, and introduce any number of them, but he does so at
// the end of a chain, or uninvited, and not in front of what the first peers tell.

// Tuning of that.
const (
	turnover   = 8  // some 50 µs each
	keptNearer = 96 // places, for each hop beyond the first
	uninvited  = 15 // hops of who came without having been named, and the most that are counted
)

// quiet: three keepalives in a row were not answered. It is counted and not timed, so that a
// pause of ours makes nobody quiet, nor a large table whose keepalives are ten minutes apart.
func (e *entry) quiet() bool { return e.missed >= 3 }

// netCount is how many entries of the table one /24 or /48 has.
type netCount struct {
	n         int
	fullUntil time.Time // nobody gives way in it before: a sweep through it must not cost a look each
}

// roomFor is how many entries make the table full for e: the farther it is, the more places it must leave
// to those that are nearer. Without that whoever fills the table first keeps all who are named later out.
func roomFor(e *entry) int { return MaxPeers - keptNearer*(int(max(e.hops, 1))-1) }

// addLocked makes room for e and takes it in; nil if there is none.
func (t *Table) addLocked(e *entry, now time.Time) *entry {
	if e.class == Public {
		e.net, e.group = netOf(e.addr.Addr()), groupOf(e.addr.Addr())
		if c := t.nets[e.net]; c != nil && c.n >= MaxPerNet && !t.evictNetLocked(e, c, now) {
			return nil
		}
	} else {
		e.group = groupOf(e.addr.Addr())
	}
	if !e.proven && !e.given {
		if e.source.IsValid() && e.source != fromFile && t.source[e.source] >= maxSource {
			return nil
		}
		if t.unsure >= MaxUnproven && !t.evictUnprovenLocked(e, now) {
			return nil
		}
	}
	if len(t.list) >= roomFor(e) {
		evict := t.evictLocked
		if !e.proven && !e.given {
			evict = t.evictUnprovenLocked
		}
		if !evict(e, now) {
			return nil
		}
	}
	e.at = len(t.list)
	t.list = append(t.list, e)
	t.byAddr[e.addr] = e
	if e.net.IsValid() {
		c := t.nets[e.net]
		if c == nil {
			c = new(netCount)
			t.nets[e.net] = c
		}
		c.n++
	}
	t.countLocked(e, +1)
	t.wakeUp()
	return e
}

func (t *Table) removeLocked(e *entry) {
	delete(t.byAddr, e.addr)
	t.unbindLocked(e)
	last := t.list[len(t.list)-1]
	t.list[e.at], last.at = last, e.at
	t.list[len(t.list)-1] = nil
	t.list = t.list[:len(t.list)-1]
	if e.net.IsValid() {
		if c := t.nets[e.net]; c.n > 1 {
			c.n--
			c.fullUntil = time.Time{}
		} else {
			delete(t.nets, e.net)
		}
	}
	t.countLocked(e, -1)
}

// countLocked adds d to the counters that depend on proven, given and source.
func (t *Table) countLocked(e *entry, d int) {
	switch {
	case e.proven:
		t.version++
		if d > 0 {
			if e.crowd = t.groups[e.group]; e.crowd == nil {
				e.crowd = new(int)
				t.groups[e.group] = e.crowd
			}
		}
		if *e.crowd += d; *e.crowd == 0 {
			delete(t.groups, e.group)
		}
	case !e.given:
		t.unsure += d
		if e.source.IsValid() {
			if t.source[e.source] += d; t.source[e.source] == 0 {
				delete(t.source, e.source)
			}
		}
	}
	if e.given {
		t.given += d
	}
}

// evictNetLocked makes room in the /24 or /48 of e: for the proven and given at the cost of an
// unproven or quiet entry there, for others not at all.
func (t *Table) evictNetLocked(e *entry, c *netCount, now time.Time) bool {
	if !e.proven && !e.given || !e.given && now.Before(c.fullUntil) {
		return false
	}
	var victim *entry
	for _, o := range t.list {
		if o.net != e.net || o.given || o.proven && !o.quiet() {
			continue
		}
		if victim == nil || victim.proven && !o.proven || victim.proven == o.proven && o.last.Before(victim.last) {
			victim = o
		}
	}
	if victim == nil {
		c.fullUntil = now.Add(time.Second)
		return false
	}
	t.removeLocked(victim)
	return true
}

// evictUnprovenLocked drops an unproven entry for another one: of the source with the most, if it
// has more than the newcomer's; else one that was tried in vain the longest.
func (t *Table) evictUnprovenLocked(e *entry, now time.Time) bool {
	mine := t.source[e.source]
	if now.Before(t.fullUntil) && mine >= t.fullFor && e.hops >= t.fullHops { // a list of 256 addresses must not cost 256 looks at the table
		return false
	}
	most := 0
	for _, n := range t.source {
		most = max(most, n)
	}
	var victim, far *entry
	for _, o := range t.list {
		if o.proven || o.given || o.anchor || o.contacted || !o.source.IsValid() {
			continue
		}
		if victim == nil && most > mine+1 && t.source[o.source] == most {
			victim = o
		}
		if o.hops > e.hops && (far == nil || o.hops > far.hops) {
			far = o
		}
	}
	if far != nil {
		victim = far
	}
	if victim == nil {
		for _, o := range t.list {
			if !o.proven && !o.given && o.contacted && now.Sub(o.added) >= time.Minute && (victim == nil || o.added.Before(victim.added)) {
				victim = o
			}
		}
	}
	if victim == nil {
		t.fullUntil, t.fullFor, t.fullHops = now.Add(time.Second), mine, e.hops
		return false
	}
	t.removeLocked(victim)
	return true
}

// evictLocked drops an entry of a full table for one that is proven or given.
func (t *Table) evictLocked(e *entry, now time.Time) bool {
	if !e.given {
		if t.turned.next(netip.Prefix{}, Limit{PerSecond: turnover}).After(now) {
			return false
		}
		t.turned.sent(netip.Prefix{}, now)
	}
	var victim *entry
	for _, o := range t.list {
		if !o.proven && !o.given && !o.anchor && o.hops >= e.hops && (victim == nil || o.hops > victim.hops || o.hops == victim.hops && o.added.Before(victim.added)) {
			victim = o
		}
	}
	if victim == nil {
		for _, o := range t.list {
			if o.proven && !o.given && (victim == nil || rather(o, victim)) {
				victim = o
			}
		}
	}
	if victim == nil {
		return false
	}
	t.removeLocked(victim)
	return true
}

// rather reports whether a is the better one of two proven entries to lose.
func rather(a, b *entry) bool {
	qa, qb := a.quiet(), b.quiet()
	if pa, pb := a.anchor && !qa, b.anchor && !qb; pa != pb {
		return pb
	}
	if ga, gb := *a.crowd, *b.crowd; ga != gb {
		return ga > gb
	}
	if qa != qb {
		return qa
	}
	if qa {
		return a.last.Before(b.last)
	}
	if a.hops != b.hops {
		return a.hops > b.hops
	}
	return a.first.After(b.first)
}

// banKey is what a ban covers: one port for local addresses, where one machine or NAT holds many
// peers; the whole address for IPv4, the /64 for IPv6.
func banKey(a netip.AddrPort) netip.AddrPort {
	switch {
	case ClassOf(a).local():
		return a
	case a.Addr().Is6():
		return netip.AddrPortFrom(prefixOf(a.Addr(), 32, 64).Addr(), 0)
	}
	return netip.AddrPortFrom(a.Addr(), 0)
}

// Ban makes an address neither asked nor answered until then. It is for the proven only: a
// forged datagram must not ban its victim, which is the caller's care.
func (t *Table) Ban(a netip.AddrPort, until, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := banKey(Clean(a))
	if _, ok := t.bans[k]; !ok && len(t.bans) >= maxBans {
		var soonest netip.AddrPort
		var at time.Time
		for o, u := range t.bans {
			if at.IsZero() || u.Before(at) || u.Equal(at) && o.Compare(soonest) < 0 {
				soonest, at = o, u
			}
		}
		delete(t.bans, soonest)
	}
	t.bans[k] = until
	t.version++
}

// Banned reports whether a ban holds.
func (t *Table) Banned(a netip.AddrPort, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bannedLocked(Clean(a), now)
}

func (t *Table) bannedLocked(a netip.AddrPort, now time.Time) bool {
	if t.denied.has(a.Addr()) {
		return true
	}
	if len(t.bans) == 0 {
		return false
	}
	k := banKey(a)
	until, ok := t.bans[k]
	if ok && !now.Before(until) {
		delete(t.bans, k)
		return false
	}
	return ok
}

// selfLocked notes an address that reaches ourselves.
func (t *Table) selfLocked(a netip.AddrPort) {
	if e := t.byAddr[a]; e != nil {
		t.removeLocked(e)
	}
	if slices.Contains(t.selves, a) {
		return
	}
	if len(t.selves) >= maxSelves {
		t.selves = slices.Delete(t.selves, 0, 1)
	}
	t.selves = append(t.selves, a)
}

// shut reports whether nothing at all is to be sent to an address.
func (t *Table) shut(a netip.AddrPort, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bannedLocked(a, now) || slices.Contains(t.selves, a)
}

// Self notes an address that turned out to reach ourselves: it is never asked or answered.
func (t *Table) Self(a netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.selfLocked(Clean(a))
}
