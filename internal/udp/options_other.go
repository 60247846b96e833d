//go:build !linux

package udp

import (
	"net/netip"
	"sync"
)

// unicastTTL is restored after a broadcast (RFC 1700: 64; it is the default of these systems or
// above what any path needs).
const unicastTTL = 64

// hopLimit guards the TTL of a socket, which here is a state: no other datagram may leave while it
// is lowered.
type hopLimit struct{ sync.RWMutex }

func (h *hopLimit) rLock()   { h.RLock() }
func (h *hopLimit) rUnlock() { h.RUnlock() }

// writeOneHop sends one datagram with a TTL of 1. A system that refuses to lower it sends it as any
// other: no router passes on the broadcast of a network.
func (s *sock) writeOneHop(data []byte, to netip.AddrPort) error {
	s.hops.Lock()
	defer s.hops.Unlock()
	if s.setTTL(1) == nil {
		defer func() { _ = s.setTTL(unicastTTL) }() // it was set a moment ago
	}
	_, err := s.conn.WriteToUDPAddrPort(data, to)
	return err
}

// setTTL sets the TTL of IPv4; on a socket for both families the BSDs take it by the option of IPv6.
func (s *sock) setTTL(n int) error {
	err := s.p4.SetTTL(n)
	if s.p6 != nil {
		if err6 := s.p6.SetHopLimit(n); err6 == nil {
			return nil
		}
	}
	return err
}
