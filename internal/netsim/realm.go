package netsim

import (
	"net/netip"
	"time"
)

// realm is a space of addresses and what is in it: the outside, or what is behind one NAT. Only the network's goroutine
// reads most of it, so that a change holds from one nanosecond to the next; all of it is guarded by Network.mu.
type realm struct {
	id       int // the order of creation
	seed     uint64
	nat      *NAT // nil: the outside
	standard Link

	lanes      map[pair]*lane
	made       []*lane // lanes by time of creation, so that nothing depends on the map's order
	socks      map[netip.AddrPort]*sock
	hosts      []*Conn // in order of creation
	broadcasts map[netip.Addr]netip.Prefix
	pools      map[netip.Addr]*pool

	taken map[netip.AddrPort]bool // where a host is open now
	homes map[netip.Addr]bool     // where a host ever was
}

func (n *Network) realmLocked(nat *NAT, standard Link) *realm {
	id := len(n.realms)
	r := &realm{
		id: id, seed: n.seed + uint64(id)*traceMul, nat: nat, standard: standard,
		lanes: map[pair]*lane{}, socks: map[netip.AddrPort]*sock{}, broadcasts: map[netip.Addr]netip.Prefix{},
		pools: map[netip.Addr]*pool{}, taken: map[netip.AddrPort]bool{}, homes: map[netip.Addr]bool{},
	}
	n.realms = append(n.realms, r)
	return r
}

func (r *realm) lane(p pair) *lane {
	l := r.lanes[p]
	if l == nil {
		l = &lane{pair: p}
		l.own.reset(r.seed, p)
		l.pipe = &l.own
		r.lanes[p] = l
		r.made = append(r.made, l)
	}
	return l
}

func (r *realm) link(l *lane) *Link {
	if l.pipe.link != nil {
		return l.pipe.link
	}
	return &r.standard
}

func (r *realm) countsLocked(from, to netip.Addr) Counts {
	if l := r.lanes[pair{plain(from), plain(to)}]; l != nil {
		return l.counts
	}
	return Counts{}
}

func (r *realm) pool(a netip.Addr) *pool {
	p := r.pools[a]
	if p == nil {
		p = &pool{}
		r.pools[a] = p
	}
	return p
}

// enterLocked is the moment when a datagram leaves its host.
func (n *Network) enterLocked(e *event) {
	if e.realm.isGroup(e.to.Addr()) {
		n.tellLocked(e, e.sent, Sent)
		for _, to := range e.realm.neighbours(e.from, e.to) {
			c := n.cloneLocked(e)
			c.to = to
			n.carryLocked(c)
		}
		n.store.give(e)
		return
	}
	if nat := e.realm.nat; nat != nil {
		if o := nat.leaveLocked(e); o != Delivered {
			n.tellLocked(e, e.sent, Sent)
			lane := e.realm.lane(pair{e.from.Addr(), e.to.Addr()})
			e.embark(lane, e.realm.link(lane))
			n.dropLocked(e, e.sent, o)
			return
		}
	}
	n.tellLocked(e, e.sent, Sent)
	n.carryLocked(e)
}

// arriveLocked is the moment when a datagram reaches its host, or the NAT before it.
func (n *Network) arriveLocked(e *event) {
	r, gate := e.realm, (*NAT)(nil)
	s := r.socks[e.to]
	if s == nil {
		gate = n.gateLocked(r, e.to.Addr())
	}
	o := Delivered
	switch {
	case n.cutLocked(e, r.link(e.lane), e.due):
		o = Down
	case s == nil && gate == nil:
		o = Unreachable
	case e.packets > 1 && !r.pool(e.to.Addr()).room(e.due, e.packets):
		o = Unassembled
	case s == nil:
		s, o = gate.admitLocked(e)
	}
	if o != Delivered {
		n.dropLocked(e, e.due, o)
		return
	}
	s.offerLocked(e)
}

// cutLocked reports whether nothing passes the lane of e at a time.
func (n *Network) cutLocked(e *event, link *Link, now time.Duration) bool {
	if len(n.sides) > 0 && e.realm.nat == nil {
		from, ok1 := n.sides[e.lane.pair.from]
		to, ok2 := n.sides[e.lane.pair.to]
		if ok1 && ok2 && from != to {
			return true
		}
	}
	return link.dark(now)
}

// fateLocked counts what became of a datagram, and tells it.
func (n *Network) fateLocked(e *event, at time.Duration, o Outcome) {
	e.lane.counts.count(o)
	n.tellLocked(e, at, o)
}

// dropLocked is the end of a datagram.
func (n *Network) dropLocked(e *event, at time.Duration, o Outcome) {
	n.fateLocked(e, at, o)
	n.store.give(e)
}

// cloneLocked is e once more, with bytes of its own.
func (n *Network) cloneLocked(e *event) *event {
	c := n.store.take(len(e.data))
	class, room := c.class, c.room
	*c = *e
	c.class, c.room = class, room
	c.fill(e.data)
	return c
}
