package netsim

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	natTimeout   = 30 * time.Second // when the kind does not say: the shortest that is seen in the wild, keepalives have to beat it
	natFirstPort = 1024
	natPorts     = 1<<16 - natFirstPort
)

// table is what a NAT remembers: mappings, and who may send inwards. It has no clock.
type table struct {
	kind    NATKind
	rng     *rand.Rand
	faces   [2]face // of IPv4 and IPv6
	mapped  map[session]*mapping
	allowed map[session]time.Duration // until when; a session of what the filter depends on
	swept   time.Duration
}

// face is an outside address and its ports.
type face struct {
	addr  netip.Addr // invalid: addresses of the family are not translated
	ports map[uint16]*mapping
	burnt map[uint16]bool // mapped before the last rebinding
}

// session is an inside socket and what it sends to, or the part of that which matters.
type session struct{ inside, peer netip.AddrPort }

type mapping struct {
	session session
	outside netip.AddrPort
	until   time.Duration
}

func newTable(kind NATKind, rng *rand.Rand) *table {
	if kind.Timeout <= 0 {
		kind.Timeout = natTimeout
	}
	if kind.Ports <= 0 || kind.Ports > natPorts {
		kind.Ports = natPorts
	}
	t := &table{kind: kind, rng: rng, mapped: map[session]*mapping{}, allowed: map[session]time.Duration{}}
	for i := range t.faces {
		t.faces[i].ports = map[uint16]*mapping{}
	}
	return t
}

// face is that of an address's family.
func (t *table) face(a netip.Addr) *face {
	if a.Is4() {
		return &t.faces[0]
	}
	return &t.faces[1]
}

// outside is the outside address of an address's family, invalid if that is not translated.
func (t *table) outside(a netip.Addr) netip.Addr { return t.face(a).addr }

// out is the sender that a peer sees of what inside sends to it. It is false if there is no port left.
func (t *table) out(now time.Duration, inside, peer netip.AddrPort) (outside netip.AddrPort, ok bool) {
	until := now + t.kind.Timeout
	if f := t.face(inside.Addr()); !f.addr.IsValid() {
		t.sweep(now)
		outside = inside
	} else {
		s := session{inside, t.kind.Mapping.of(peer)}
		m := t.mapped[s]
		if m == nil || m.until <= now {
			if m = t.makeMapping(now, f, s); m == nil {
				return netip.AddrPort{}, false
			}
		}
		m.until = until
		outside = m.outside
	}
	t.allowed[session{inside, t.kind.Filtering.of(peer)}] = until
	return outside, true
}

// in finds for whom something is that a peer sends to an outside address.
func (t *table) in(now time.Duration, to, peer netip.AddrPort) (inside netip.AddrPort, o Outcome) {
	var m *mapping
	inside = to
	if f := t.face(to.Addr()); f.addr.IsValid() {
		if m = f.ports[to.Port()]; m == nil || m.until <= now {
			return netip.AddrPort{}, Unmapped
		}
		inside = m.session.inside
	}
	s := session{inside, t.kind.Filtering.of(peer)}
	if t.allowed[s] <= now {
		return netip.AddrPort{}, Filtered
	}
	if t.kind.RefreshInbound {
		t.allowed[s] = now + t.kind.Timeout
		if m != nil {
			m.until = now + t.kind.Timeout
		}
	}
	return inside, Delivered
}

// seen is what out would return, without doing anything.
func (t *table) seen(now time.Duration, inside, peer netip.AddrPort) (netip.AddrPort, bool) {
	if !t.outside(inside.Addr()).IsValid() {
		return inside, true
	}
	m := t.mapped[session{inside, t.kind.Mapping.of(peer)}]
	if m == nil || m.until <= now {
		return netip.AddrPort{}, false
	}
	return m.outside, true
}

// rebind forgets everything.
func (t *table) rebind(outside []netip.Addr) {
	for i := range t.faces {
		f := &t.faces[i]
		f.burnt = map[uint16]bool{}
		for p := range f.ports {
			f.burnt[p] = true
		}
		clear(f.ports)
	}
	clear(t.mapped)
	clear(t.allowed)
	for _, a := range outside {
		if f := t.face(a); f.addr != a {
			f.addr, f.burnt = a, nil
		}
	}
}

// makeMapping makes one that is not there, or only an expired one. It is nil if no port is left.
func (t *table) makeMapping(now time.Duration, f *face, s session) *mapping {
	if old := t.mapped[s]; old != nil {
		t.forget(old)
	}
	t.sweep(now)
	port, ok := t.port(f, s.inside.Port())
	if !ok {
		return nil
	}
	m := &mapping{session: s, outside: netip.AddrPortFrom(f.addr, port)}
	t.mapped[s] = m
	f.ports[port] = m
	return m
}

// port finds a free one. Burnt ones are taken only when there is no other.
func (t *table) port(f *face, inside uint16) (uint16, bool) {
	if len(f.ports) >= t.kind.Ports {
		return 0, false
	}
	if t.kind.PreservePorts && f.ports[inside] == nil && !f.burnt[inside] {
		return inside, true
	}
	start := t.rng.IntN(t.kind.Ports)
	for _, burnt := range []bool{false, true} {
		for i := range t.kind.Ports {
			if p := uint16(natFirstPort + (start+i)%t.kind.Ports); f.ports[p] == nil && f.burnt[p] == burnt {
				return p, true
			}
		}
	}
	return 0, false
}

func (t *table) forget(m *mapping) {
	delete(t.mapped, m.session)
	delete(t.face(m.outside.Addr()).ports, m.outside.Port())
}

// sweep forgets what has expired, eight times in a timeout at most, so that it costs little and no more than 9/8 of a timeout's
// mappings are held.
func (t *table) sweep(now time.Duration) {
	if now < t.swept+t.kind.Timeout/8 {
		return
	}
	t.swept = now
	for _, m := range t.mapped {
		if m.until <= now {
			t.forget(m)
		}
	}
	for s, until := range t.allowed {
		if until <= now {
			delete(t.allowed, s)
		}
	}
}
