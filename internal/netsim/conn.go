package netsim

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"sharer/wire"
)

// receiveBuffer is how many bytes of datagrams wait for a slow reader when nothing else was said, as in
// a real socket.
const receiveBuffer = 4 << 20

// maxBatch is how many datagrams a reader gets at once.
const maxBatch = 64

// Conn is the sockets of one host, one for each of its addresses. A node takes it for its own.
type Conn struct {
	net   *Network
	socks []*sock

	// Guarded by net.mu.
	lan    []netip.Prefix
	buffer int
	closed bool
}

// Host opens sockets at addresses, which must be free: it panics otherwise. A host of both families has an address of each.
// Via of a datagram counts them from 1.
func (n *Network) Host(at ...netip.AddrPort) *Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &Conn{net: n, buffer: receiveBuffer}
	for i, a := range at {
		a = bare(a)
		if n.socks[a] != nil || !a.IsValid() || a.Port() == 0 {
			panic(fmt.Sprintf("netsim: %s is taken or no address", a))
		}
		s := &sock{local: a, via: uint8(i + 1), limit: receiveBuffer}
		s.arrived = sync.NewCond(&s.mu)
		n.socks[a] = s
		c.socks = append(c.socks, s)
	}
	n.hosts = append(n.hosts, c)
	return c
}

// SetRecvBuffer sets how many bytes of datagrams wait for the reader of each socket; what comes
// beyond is dropped.
func (c *Conn) SetRecvBuffer(bytes int) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.buffer = bytes
	for _, s := range c.socks {
		s.mu.Lock()
		s.limit = bytes
		s.mu.Unlock()
	}
}

// RecvBuffer is the size of the receive buffer in bytes.
func (c *Conn) RecvBuffer() int {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.buffer
}

// LocalAddrs are the addresses of the host.
func (c *Conn) LocalAddrs() []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range c.socks {
		out = append(out, s.local)
	}
	return out
}

// Readers returns one for each address.
func (c *Conn) Readers() []wire.BatchReader {
	var out []wire.BatchReader
	for _, s := range c.socks {
		out = append(out, s)
	}
	return out
}

// ReadBatch reads from the first address, for tests with one.
func (c *Conn) ReadBatch() ([]wire.Datagram, error) { return c.socks[0].ReadBatch() }

// WriteBatch sends the datagrams in order; the error, if any, is that of the one after those it counts.
// It never waits.
func (c *Conn) WriteBatch(ds []wire.Datagram) (int, error) {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed || n.closed {
		return 0, net.ErrClosed
	}
	for i := range ds {
		d := &ds[i]
		to := bare(d.Addr)
		if len(d.Data) > wire.MaxDatagram {
			return i, fmt.Errorf("netsim: %d bytes: %w", len(d.Data), syscall.EMSGSIZE)
		}
		if !to.IsValid() || to.Port() == 0 {
			return i, fmt.Errorf("netsim: to %s: %w", d.Addr, syscall.EINVAL)
		}
		s := c.choose(d.Via, to.Addr())
		if s == nil {
			return i, fmt.Errorf("netsim: to %s: %w", d.Addr, syscall.EAFNOSUPPORT)
		}
		n.sendLocked(s.local, to, d.Data)
	}
	return len(ds), nil
}

// choose returns the socket that was asked for, or one that suits best: of the family, and of loopback if
// and only if the destination is.
func (c *Conn) choose(via uint8, to netip.Addr) (best *sock) {
	for i, s := range c.socks {
		own := s.local.Addr()
		if own.Is4() != to.Is4() {
			continue
		}
		if i+1 == int(via) {
			return s
		}
		if best == nil || own.IsLoopback() == to.IsLoopback() && best.local.Addr().IsLoopback() != to.IsLoopback() {
			best = s
		}
	}
	return best
}

// Close frees the addresses; reads that wait return net.ErrClosed. So does a second Close.
func (c *Conn) Close() error {
	n := c.net
	n.mu.Lock()
	if c.closed {
		n.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	for _, s := range c.socks {
		delete(n.socks, s.local)
	}
	n.hosts = slices.DeleteFunc(n.hosts, func(h *Conn) bool { return h == c })
	n.setBroadcastsLocked()
	n.mu.Unlock()
	for _, s := range c.socks {
		s.close()
	}
	return nil
}

// sock is one socket.
type sock struct {
	local netip.AddrPort
	via   uint8

	mu      sync.Mutex
	arrived *sync.Cond // of mu: queue is not empty, or closed
	queue   []wire.Datagram
	bytes   int // in queue
	limit   int // of bytes
	handed  []wire.Datagram
	closed  bool
}

// ReadBatch waits for datagrams. They are valid until the next call, which overwrites them.
func (s *sock) ReadBatch() ([]wire.Datagram, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.handed {
		for i := range d.Data {
			d.Data[i] = gone
		}
	}
	clear(s.handed)
	s.handed = s.handed[:0]
	for len(s.queue) == 0 && !s.closed {
		s.arrived.Wait()
	}
	if s.closed {
		return nil, net.ErrClosed
	}
	k := min(len(s.queue), maxBatch)
	s.handed = append(s.handed, s.queue[:k]...)
	clear(s.queue[:k])
	if s.queue = s.queue[k:]; len(s.queue) == 0 {
		s.queue = nil
	}
	for _, d := range s.handed {
		s.bytes -= len(d.Data)
	}
	return s.handed, nil
}

// gone is in the bytes of datagrams that were read before: no JSON has it.
const gone = 0xDD

// room reports whether a datagram fits. Only the network's goroutine adds some.
func (s *sock) room(size int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed && s.bytes+size <= s.limit
}

func (s *sock) push(from netip.AddrPort, data []byte) {
	if a := from.Addr(); a.Is6() && a.IsLinkLocalUnicast() {
		from = netip.AddrPortFrom(a.WithZone(zone), from.Port())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, wire.Datagram{Addr: from, Via: s.via, Data: data})
	s.bytes += len(data)
	s.arrived.Signal()
}

func (s *sock) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.queue = nil
	s.arrived.Broadcast()
}
