package netsim

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"time"

	"sharer/wire"
)

// receiveBuffer is how many bytes of datagrams wait for a slow reader when nothing else was said, as in
// a real socket.
const receiveBuffer = 4 << 20

// maxBatch is how many datagrams a reader gets at once.
const maxBatch = 64

// sock is one socket.
type sock struct {
	net   *Network
	realm *realm
	local netip.AddrPort
	via   uint8

	mu      sync.Mutex
	arrived *sync.Cond // of mu: something is unread, or closed
	queue   []*event   // unread from head on
	head    int
	bytes   int           // unread
	freed   int           // bytes read at freedAt
	freedAt time.Duration // since the network was made
	limit   int           // of bytes
	closed  bool

	lent   []*event // to the reader
	handed []wire.Datagram
}

// ReadBatch waits for datagrams. They are valid until the next call, which overwrites them.
func (s *sock) ReadBatch() ([]wire.Datagram, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeBackLocked()
	for s.head == len(s.queue) && !s.closed {
		s.arrived.Wait()
	}
	if s.closed {
		return nil, net.ErrClosed
	}
	if now := time.Since(s.net.start); s.freedAt != now {
		s.freedAt, s.freed = now, 0
	}
	unread := s.queue[s.head:]
	for _, e := range unread[:min(len(unread), maxBatch)] {
		s.lent = append(s.lent, e)
		s.handed = append(s.handed, wire.Datagram{Addr: s.zoned(e.from), Via: s.via, Data: e.data})
		s.bytes -= len(e.data)
		s.freed += len(e.data)
	}
	clear(unread[:len(s.lent)])
	switch s.head += len(s.lent); {
	case s.head == len(s.queue):
		s.queue, s.head = s.queue[:0], 0
	case s.head > len(s.queue)/2:
		k := copy(s.queue, s.queue[s.head:])
		clear(s.queue[k:])
		s.queue, s.head = s.queue[:k], 0
	}
	return s.handed, nil
}

// takeBackLocked overwrites what was handed out before, so that whoever kept it finds out.
func (s *sock) takeBackLocked() {
	if len(s.lent) == 0 {
		return
	}
	for _, e := range s.lent {
		for d := e.data; len(d) > 0; {
			d = d[copy(d, gone):]
		}
	}
	s.net.store.give(s.lent...)
	clear(s.lent)
	clear(s.handed)
	s.lent, s.handed = s.lent[:0], s.handed[:0]
}

// gone is in the bytes of datagrams that were read before, until others take their place: no JSON has it.
var gone = bytes.Repeat([]byte{0xDD}, 4096)

// zoned is the sender as the reader sees it.
func (s *sock) zoned(from netip.AddrPort) netip.AddrPort {
	if a := from.Addr(); a.Is6() && a.IsLinkLocalUnicast() {
		return netip.AddrPortFrom(a.WithZone(zone), from.Port())
	}
	return from
}

// offerLocked (of Network.mu) is the fate of a datagram that reached its socket. What is read at this very instant is still in the way: whether
// the reader or the network runs first must not matter. So what is still under way to a socket that is closed now is delivered, and unread.
func (s *sock) offerLocked(e *event) {
	n := s.net
	s.mu.Lock()
	defer s.mu.Unlock()
	used := s.bytes
	if s.freedAt == n.now {
		used += s.freed
	}
	if used+len(e.data) > s.limit {
		n.dropLocked(e, e.due, Full)
		return
	}
	n.fateLocked(e, e.due, Delivered)
	if s.closed {
		n.store.give(e)
		return
	}
	s.bytes += len(e.data)
	s.queue = append(s.queue, e)
	s.arrived.Signal()
}

func (s *sock) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.queue, s.head = nil, 0
	s.arrived.Broadcast()
}
