package swarm

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// said reports whether the file gives a time.
func said(t time.Time) bool { return t.Unix() > 0 }

// oldest bounds an age, so that arithmetic with it stays sane.
const oldest = 100 * 365 * 24 * time.Hour

// ageOf is how long ago a time of the file was, by the wall clock: never in the future.
func ageOf(t, now time.Time) time.Duration {
	return min(max(now.Round(0).Sub(t), 0), oldest)
}

// wallOf is a time of this run by the wall clock of now.
func wallOf(t, now time.Time) time.Time {
	return now.Round(0).Add(-max(now.Sub(t), 0))
}

// merge adds to those met in this run those of the file that were not, but are perhaps asleep, as far as
// there is room, and sorts them.
func merge(met, loaded []known, now time.Time) []known {
	byAge := func(a, b known) int { return cmp.Or(a.first.Compare(b.first), a.addr.Compare(b.addr)) }
	at := map[netip.AddrPort]int{}
	for i, k := range met {
		at[k.addr] = i
	}
	wall := now.Round(0)
	var asleep []known
	for _, k := range loaded {
		sure := said(k.first) && !k.first.After(wall)
		if i, ok := at[k.addr]; ok { // first met long ago, even if the table forgot it in between
			if sure {
				met[i].first = k.first
			}
			continue
		}
		if k.last.After(wall) {
			k.last = wall
		}
		if !sure || k.first.After(k.last) {
			k.first = k.last
		}
		if wall.Sub(k.last) < forgetAfter {
			asleep = append(asleep, k)
		}
	}
	slices.SortStableFunc(met, byAge)
	slices.SortStableFunc(asleep, byAge)
	met = met[:min(len(met), storeMost)]
	ks := append(met, asleep[:min(len(asleep), storeMost-len(met))]...)
	slices.SortStableFunc(ks, byAge)
	return ks
}

// remember lists the proven that are worth trying tomorrow. Ports on loopback that never answered
// a question are one-shots.
func (t *Table) remember(now time.Time) (ks []known) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.list {
		if e.proven && (e.class != Loopback || e.answered > 0) {
			ks = append(ks, known{addr: e.addr, first: wallOf(e.first, now), last: wallOf(e.last, now), rtt: e.rtt.Smoothed()})
		}
	}
	return ks
}

// restore takes peers of the file as addresses heard of: the anchors first, then the longest-lived.
func (t *Table) restore(ks []known, now time.Time, keep func(netip.AddrPort) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ks = slices.DeleteFunc(slices.Clone(ks), func(k known) bool { return !keep(k.addr) })
	silence := oldest // of the one that was heard last: however long we were away ourselves
	for _, k := range ks {
		silence = min(silence, ageOf(k.last, now))
	}
	late := func(k known) bool { return ageOf(k.last, now)-silence > anchorWithin }
	age := func(k known) time.Duration {
		if !said(k.first) {
			return 0
		}
		return ageOf(k.first, now)
	}
	slices.SortStableFunc(ks, func(a, b known) int {
		if la, lb := late(a), late(b); la != lb {
			if lb {
				return -1
			}
			return 1
		}
		return cmp.Compare(age(b), age(a))
	})
	for i, k := range ks {
		e := t.byAddr[k.addr]
		if e == nil {
			e = &entry{addr: k.addr, class: ClassOf(k.addr), source: fromFile, anchor: i < anchors && !late(k), hops: 1, added: now}
			if e.anchor {
				e.hops = 0
			}
			if e = t.addLocked(e, now); e == nil {
				continue
			}
			if k.rtt > 0 {
				e.rtt.Sample(k.rtt)
			}
		}
		e.first = now.Add(-age(k))
	}
}

// fromFile stands for peers.json among those who told us addresses.
var fromFile = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
