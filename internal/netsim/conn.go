package netsim

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sharer/wire"
)

// Conn is the sockets of one host, one for each of its addresses. A node takes it for its own.
type Conn struct {
	net    *Network
	realm  *realm
	socks  []*sock
	closed atomic.Bool

	// Guarded by net.mu.
	lan    []netip.Prefix
	near   []netip.Prefix // lan, as the network's goroutine knows it
	buffer int
}

// Host opens sockets at addresses, which must be free: it panics otherwise. A host of both families has an address of each.
// Via of a datagram counts them from 1.
func (n *Network) Host(at ...netip.AddrPort) *Conn { return n.host(n.outside, at) }

func (n *Network) host(r *realm, at []netip.AddrPort) *Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &Conn{net: n, realm: r, buffer: receiveBuffer}
	for i, a := range at {
		a = bare(a)
		if r.taken[a] || !a.IsValid() || a.Port() == 0 || r.nat == nil && n.gates[a.Addr()] != nil {
			panic(fmt.Sprintf("netsim: %s is taken or no address", a))
		}
		if r.nat != nil && !r.nat.table.outside(a.Addr()).IsValid() {
			r.nat.reserveLocked(a.Addr())
		}
		s := &sock{net: n, realm: r, local: a, via: uint8(i + 1), limit: receiveBuffer}
		s.arrived = sync.NewCond(&s.mu)
		r.taken[a], r.homes[a.Addr()] = true, true
		c.socks = append(c.socks, s)
	}
	n.hosts = append(n.hosts, c)
	n.change(func() {
		r.hosts = append(r.hosts, c)
		for _, s := range c.socks {
			r.socks[s.local] = s
		}
	})
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
	if c.closed.Load() || n.closed.Load() {
		return 0, net.ErrClosed
	}
	sent := time.Since(n.start)
	var first, last *event
	for i := range ds {
		e, err := c.sending(&ds[i], sent)
		if err != nil {
			if first != nil {
				n.post(first, last, first.due)
			}
			return i, err
		}
		if first == nil {
			first = e
		} else {
			last.next = e
		}
		last = e
	}
	if first != nil {
		n.post(first, last, first.due)
	}
	return len(ds), nil
}

// sending is a datagram on its way.
func (c *Conn) sending(d *wire.Datagram, sent time.Duration) (*event, error) {
	to := bare(d.Addr)
	if len(d.Data) > wire.MaxDatagram {
		return nil, fmt.Errorf("netsim: %d bytes: %w", len(d.Data), syscall.EMSGSIZE)
	}
	if !to.IsValid() || to.Port() == 0 {
		return nil, fmt.Errorf("netsim: to %s: %w", d.Addr, syscall.EINVAL)
	}
	s := c.choose(d.Via, to.Addr())
	if s == nil {
		return nil, fmt.Errorf("netsim: to %s: %w", d.Addr, syscall.EAFNOSUPPORT)
	}
	e := c.net.store.take(len(d.Data))
	e.enter(c.realm, s.local, to, d.Data, sent)
	return e, nil
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
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	n, r := c.net, c.realm
	n.mu.Lock()
	for _, s := range c.socks {
		delete(r.taken, s.local)
	}
	n.hosts = slices.DeleteFunc(n.hosts, func(h *Conn) bool { return h == c })
	n.change(func() {
		r.hosts = slices.DeleteFunc(r.hosts, func(h *Conn) bool { return h == c })
		r.setBroadcasts()
		for _, s := range c.socks {
			delete(r.socks, s.local)
		}
	})
	n.mu.Unlock()
	for _, s := range c.socks {
		s.close()
	}
	return nil
}
