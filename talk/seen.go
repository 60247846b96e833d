package talk

import (
	"net/netip"
	"sync"

	"sharer/identity"
)

// maxSeen bounds what is remembered of messages that were shown: 4096 of 80 bytes, twice. A flood that pushes one out within
// the five minutes in which it counts as fresh has it shown again, no more.
const maxSeen = 4096

// said identifies a message: its sender, by key or else by address, and when it was sent.
type said struct {
	key  identity.PublicKey
	from netip.AddrPort
	sent int64
}

// seen remembers the last messages.
type seen struct {
	mu    sync.Mutex
	known map[said]struct{}
	order []said // a ring once it is full
	next  int
}

// add reports whether a message was not known.
func (s *seen) add(m said) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[m]; ok {
		return false
	}
	if s.known == nil {
		s.known = map[said]struct{}{}
	}
	if len(s.order) < maxSeen {
		s.order = append(s.order, m)
	} else {
		delete(s.known, s.order[s.next])
		s.order[s.next] = m
		s.next = (s.next + 1) % maxSeen
	}
	s.known[m] = struct{}{}
	return true
}
