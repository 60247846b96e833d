package swarm

import (
	"hash/maphash"
	"net/netip"
	"sync"
)

// echo is what a stranger's datagram leaves for the reply to that same datagram: the cookie to be
// returned, and where the sender seems to have been before. The next stranger with the same slot
// overwrites it: so it is no state per peer, but scratch space (256 slots of 350 bytes) where
// Sender has no field for it.
type echo struct {
	mu   sync.Mutex
	addr netip.AddrPort
	from moved // see moved.go
	n    int
	text [maxTheirs]byte
}

// echoes is a table of slots. Its hash is keyed: who could tell which addresses share a slot
// could make his own datagrams wipe out the cookies of a victim.
type echoes struct {
	seed  maphash.Seed
	slots [256]echo
}

func (es *echoes) slot(a netip.AddrPort) *echo {
	return &es.slots[maphash.Comparable(es.seed, a)%uint64(len(es.slots))]
}

func (es *echoes) keep(a netip.AddrPort, theirs []byte, from moved) {
	s := es.slot(a)
	s.mu.Lock()
	s.addr, s.from, s.n = a, from, copy(s.text[:], theirs)
	s.mu.Unlock()
}

// take appends what keep kept for the address, once.
func (es *echoes) take(dst []byte, a netip.AddrPort) (theirs []byte, from moved) {
	s := es.slot(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr != a {
		return dst, from
	}
	s.addr = netip.AddrPort{}
	return append(dst, s.text[:s.n]...), s.from
}

// moved reports whether the address left word of where it was before, and is to be asked. take still finds it.
func (es *echoes) moved(a netip.AddrPort) bool {
	s := es.slot(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr == a && s.from.ask
}
