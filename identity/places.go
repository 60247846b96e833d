package identity

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"sharer/wire"
)

const (
	maxProven    = 4096 // keys whose place was proven
	maxClaimed   = 1024 // keys that were only claimed
	provenOfHost = 16   // of them at one host: keys cost nothing, addresses do
	claimsOfHost = 4
	maxFormer    = 4 // earlier addresses of a key that are remembered
	maxReturned  = 4 // AlwaysReturned of one letter that are looked at
)

// Place is where a key lives, as far as it is known.
type Place struct {
	Key    PublicKey
	Addr   netip.AddrPort
	Proven bool             // its holder returned, signed or sealed, the cookie of Addr
	First  time.Time        // when the key was first heard of
	Seen   time.Time        // when it was last heard from Addr
	Proved time.Time        // when it last proved Addr; zero if never
	Former []netip.AddrPort // where it was proven before, the latest first
}

// Places remembers where keys live. A claim counts only for a key that is not known at all;
// a proof counts always, and claims never push a proof out. Both are bounded, in all and for
// each host, and the one heard of the longest ago makes room.
//
// What a proof cannot tell: a peer that gets a holder to sign our cookie for the peer's own
// address can show it to us. Letters to the key would then go astray, and nobody but its
// holder could open them; Former says where else to send them.
type Places struct {
	own PublicKey

	mu     sync.Mutex
	keys   map[PublicKey]*resident
	byX    map[[32]byte][]*resident // at most a key and its negative
	at     map[netip.AddrPort][]*resident
	hosts  map[tenancy]int
	queues [2]list.List // claimed, proven; the one heard of last in front
}

type resident struct {
	Place
	u    [32]byte
	elem *list.Element // in the queue of its kind
}

type tenancy struct {
	host   netip.Addr
	proven bool
}

// NewPlaces knows nobody. own is the key that nobody else may claim.
func NewPlaces(own PublicKey) *Places {
	return &Places{
		own: own, keys: map[PublicKey]*resident{}, byX: map[[32]byte][]*resident{},
		at: map[netip.AddrPort][]*resident{}, hosts: map[tenancy]int{},
	}
}

// Heard notes that a key was named from an address, and reports whether it is known. That
// costs nothing: no curve is involved.
func (p *Places) Heard(k PublicKey, at netip.AddrPort, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.keys[k]
	if r == nil {
		return false
	}
	if r.Addr == at {
		r.Seen = now
		p.queue(r.Proven).MoveToFront(r.elem)
	}
	return true
}

// claim remembers a key that was not known, u being its X25519 form.
func (p *Places) claim(k PublicKey, u [32]byte, at netip.AddrPort, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k == p.own || p.keys[k] != nil {
		return
	}
	p.addLocked(&resident{Place: Place{Key: k, Addr: at, First: now, Seen: now}, u: u})
}

// Prove looks in a letter for a cookie that was made for the address that the letter came
// from; ours says whether a value is that. If there is one, the letter's author lives there,
// and Prove reports true.
func (p *Places) Prove(l Letter, at netip.AddrPort, ours func(value []byte) bool, now time.Time) bool {
	if l.From == p.own {
		return false
	}
	looked := 0
	for _, e := range l.Elements {
		if e.Name != (wire.AlwaysReturned{}).Name() {
			continue
		}
		if looked++; looked > maxReturned {
			break
		}
		m, err := wire.ParseAlwaysReturned(e.Payload)
		if err == nil && ours(m.Value) {
			return p.prove(l.From, at, now)
		}
	}
	return false
}

func (p *Places) prove(k PublicKey, at netip.AddrPort, now time.Time) bool {
	u, err := k.x25519()
	if err != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.keys[k]
	if r == nil {
		r = &resident{Place: Place{Key: k, First: now}, u: u}
	} else {
		p.removeLocked(r)
		if r.Proven && r.Addr != at {
			r.Former = append([]netip.AddrPort{r.Addr}, r.Former...) // anew: copies of it are with callers
			r.Former = r.Former[:min(len(r.Former), maxFormer)]
		}
	}
	r.Addr, r.Proven, r.Seen, r.Proved = at, true, now, now
	p.addLocked(r)
	return true
}

func (p *Places) queue(proven bool) *list.List {
	if proven {
		return &p.queues[1]
	}
	return &p.queues[0]
}

// addLocked makes room and adds r.
func (p *Places) addLocked(r *resident) {
	t, most, ofHost := tenancy{host(r.Addr.Addr()), r.Proven}, maxClaimed, claimsOfHost
	if r.Proven {
		most, ofHost = maxProven, provenOfHost
	}
	q := p.queue(r.Proven)
	if p.hosts[t] >= ofHost { // the host's oldest; at worst the queue is walked once for a letter that was paid for
		for e := q.Back(); e != nil; e = e.Prev() {
			if old := e.Value.(*resident); host(old.Addr.Addr()) == t.host {
				p.removeLocked(old)
				break
			}
		}
	} else if q.Len() >= most {
		p.removeLocked(q.Back().Value.(*resident))
	}
	r.elem = q.PushFront(r)
	p.keys[r.Key] = r
	p.byX[r.u] = append(p.byX[r.u], r)
	p.at[r.Addr] = append(p.at[r.Addr], r)
	p.hosts[t]++
}

func (p *Places) removeLocked(r *resident) {
	p.queue(r.Proven).Remove(r.elem)
	delete(p.keys, r.Key)
	if p.byX[r.u] = without(p.byX[r.u], r); p.byX[r.u] == nil {
		delete(p.byX, r.u)
	}
	if p.at[r.Addr] = without(p.at[r.Addr], r); p.at[r.Addr] == nil {
		delete(p.at, r.Addr)
	}
	t := tenancy{host(r.Addr.Addr()), r.Proven}
	if p.hosts[t]--; p.hosts[t] == 0 {
		delete(p.hosts, t)
	}
}

// without returns those that are not r; nil if none is left.
func without(rs []*resident, r *resident) (others []*resident) {
	for _, o := range rs {
		if o != r {
			others = append(others, o)
		}
	}
	return others
}

// Of returns the place of a key.
func (p *Places) Of(k PublicKey) (Place, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.keys[k]; r != nil {
		return r.Place, true
	}
	return Place{}, false
}

// Lives reports whether a key was proven to live at an address.
func (p *Places) Lives(at netip.AddrPort) bool {
	place, ok := p.At(at)
	return ok && place.Proven
}

// At returns who lives at an address: of several whoever proved it last, and of claims, when
// nobody has, the latest.
func (p *Places) At(a netip.AddrPort) (Place, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var best *resident
	for _, r := range p.at[a] {
		if best == nil || r.Proven && !best.Proven || r.Proven == best.Proven && r.Seen.After(best.Seen) {
			best = r
		}
	}
	if best == nil {
		return Place{}, false
	}
	return best.Place, true
}

// Latest returns the n places that were proven and heard from last, the latest first.
func (p *Places) Latest(n int) (out []Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.queues[1].Front(); e != nil && len(out) < n; e = e.Next() {
		out = append(out, e.Value.(*resident).Place)
	}
	return out
}

// ByX25519 returns the Ed25519 key of an X25519 one, if it is known. Two keys have the same
// one: a key and its negative, which anybody can claim. A proven one is taken before a
// claimed one, and of two claims neither.
func (p *Places) ByX25519(u [32]byte) (PublicKey, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rs := p.byX[u]
	for _, r := range rs {
		if r.Proven {
			return r.Key, true
		}
	}
	if len(rs) == 1 {
		return rs[0].Key, true
	}
	return PublicKey{}, false
}

// Len returns how many keys are known, and how many of them are proven.
func (p *Places) Len() (all, proven int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.keys), p.queues[1].Len()
}

// Answer is what WhereAreThey is answered with: nothing unless the place was proven. Who may
// be told of an address is the caller's business.
func (p *Places) Answer(m wire.WhereAreThey) (wire.Forwarded, bool) {
	place, ok := p.Of(m.Ed25519)
	if !ok || !place.Proven {
		return wire.Forwarded{}, false
	}
	return wire.Forwarded{Src: place.Addr, Messages: wire.AppendArray(nil, wire.MyPublicKey{Ed25519: m.Ed25519})}, true
}

// Hint reads the answer to WhereAreThey: an address to try for a key. It proves nothing, and
// whatever else was forwarded is left alone.
func Hint(m wire.Forwarded) (PublicKey, netip.AddrPort, error) {
	es, _, err := wire.Split(nil, m.Messages)
	if err != nil {
		return PublicKey{}, netip.AddrPort{}, err
	}
	for _, e := range es {
		if e.Name == (wire.MyPublicKey{}).Name() {
			k, err := wire.ParseMyPublicKey(e.Payload)
			return k.Ed25519, m.Src, err
		}
	}
	return PublicKey{}, netip.AddrPort{}, ErrUnknown
}
