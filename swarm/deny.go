package swarm

import (
	"net/netip"
	"slices"
)

// prefixes is a set of networks: looking an address up costs a map access for each length that occurs.
type prefixes struct {
	set  map[netip.Prefix]struct{}
	bits []prefixLen
}

type prefixLen struct {
	is4  bool
	bits int
}

// Deny makes the addresses of networks neither asked nor answered, for as long as the user says: a new list replaces the old
// one. The user's list has no bound but his own.
func (t *Table) Deny(nets []netip.Prefix) {
	p := prefixes{set: make(map[netip.Prefix]struct{}, len(nets))}
	for _, n := range nets {
		n = n.Masked()
		p.set[n] = struct{}{}
		if l := (prefixLen{n.Addr().Is4(), n.Bits()}); !slices.Contains(p.bits, l) {
			p.bits = append(p.bits, l)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.denied = p
	t.version++
}

func (p prefixes) has(a netip.Addr) bool {
	for _, l := range p.bits {
		if l.is4 != a.Is4() {
			continue
		}
		// The length is one of a valid prefix of that family.
		n, _ := a.WithZone("").Prefix(l.bits)
		if _, ok := p.set[n]; ok {
			return true
		}
	}
	return false
}
