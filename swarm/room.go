package swarm

import (
	"net/netip"
	"slices"
	"time"
)

// Who stays when the table is full. Rules, in order:
//   - nothing that is unproven ever pushes out a proven entry, and nothing a given one;
//   - of the unproven, those told by the source with the most entries go first;
//   - a newly proven address pushes out an unproven one, else a proven one of the most crowded
//     /16 or /32: one silent for quietAfter if there is one, else the youngest. So an attacker
//     with many addresses in few networks competes with himself, and the old ones stay;
//   - anchors, the longest-lived at the last start, stay while they are heard.

const quietAfter = 10 * time.Minute

// addLocked makes room for e and takes it in; nil if there is none.
func (t *Table) addLocked(e *entry, now time.Time) *entry {
	if e.class == Public {
		e.net, e.group = netOf(e.addr.Addr()), groupOf(e.addr.Addr())
		if t.nets[e.net] >= MaxPerNet && !t.evictNetLocked(e, now) {
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
	if len(t.list) >= MaxPeers {
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
		t.nets[e.net]++
	}
	t.countLocked(e, +1)
	t.wakeUp()
	return e
}

func (t *Table) removeLocked(e *entry) {
	delete(t.byAddr, e.addr)
	last := t.list[len(t.list)-1]
	t.list[e.at], last.at = last, e.at
	t.list[len(t.list)-1] = nil
	t.list = t.list[:len(t.list)-1]
	if e.net.IsValid() {
		decrease(t.nets, e.net)
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

func decrease(m map[netip.Prefix]int, p netip.Prefix) {
	if m[p]--; m[p] == 0 {
		delete(m, p)
	}
}

// evictNetLocked makes room in the /24 or /48 of e: for the proven and given at the cost of an
// unproven or quiet entry there, for others not at all.
func (t *Table) evictNetLocked(e *entry, now time.Time) bool {
	if !e.proven && !e.given {
		return false
	}
	var victim *entry
	for _, o := range t.list {
		if o.net != e.net || o.given || o.proven && now.Sub(o.last) < quietAfter {
			continue
		}
		if victim == nil || victim.proven && !o.proven || victim.proven == o.proven && o.last.Before(victim.last) {
			victim = o
		}
	}
	if victim == nil {
		return false
	}
	t.removeLocked(victim)
	return true
}

// evictUnprovenLocked drops an unproven entry for another one: of the source with the most, if it
// has more than the newcomer's; else one that was tried in vain the longest.
func (t *Table) evictUnprovenLocked(e *entry, now time.Time) bool {
	mine := t.source[e.source]
	if now.Before(t.fullUntil) && mine >= t.fullFor { // a list of 256 addresses must not cost 256 looks at the table
		return false
	}
	most := 0
	for _, n := range t.source {
		most = max(most, n)
	}
	var victim *entry
	for i := 0; most > mine+1 && i < len(t.list) && victim == nil; i++ {
		if o := t.list[i]; !o.proven && !o.given && !o.anchor && !o.contacted && o.source.IsValid() && t.source[o.source] == most {
			victim = o
		}
	}
	if victim == nil {
		for _, o := range t.list {
			if !o.proven && !o.given && o.contacted && now.Sub(o.added) >= time.Minute && (victim == nil || o.added.Before(victim.added)) {
				victim = o
			}
		}
	}
	if victim == nil {
		t.fullUntil, t.fullFor = now.Add(time.Second), mine
		return false
	}
	t.removeLocked(victim)
	return true
}

// evictLocked drops an entry of a full table for one that is proven or given.
func (t *Table) evictLocked(e *entry, now time.Time) bool {
	var victim *entry
	for _, o := range t.list {
		if !o.proven && !o.given && !o.anchor && (victim == nil || o.added.Before(victim.added)) {
			victim = o
		}
	}
	if victim == nil {
		for _, o := range t.list {
			if o.proven && !o.given && (victim == nil || rather(o, victim, now)) {
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
func rather(a, b *entry, now time.Time) bool {
	qa, qb := now.Sub(a.last) >= quietAfter, now.Sub(b.last) >= quietAfter
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
	k := banKey(clean(a))
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
	return t.bannedLocked(clean(a), now)
}

func (t *Table) bannedLocked(a netip.AddrPort, now time.Time) bool {
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
	t.selfLocked(clean(a))
}
