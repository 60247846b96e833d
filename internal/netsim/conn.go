package netsim

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"sharer/wire"
)

// receiveBuffer is how many bytes wait for a slow reader, as in a real socket.
const receiveBuffer = 4 << 20

// Conn is the socket of one host. It is what a node takes for its own.
type Conn struct {
	net   *Network
	local netip.AddrPort

	mu       sync.Mutex
	lan      []netip.Prefix
	queue    []wire.Datagram
	bytes    int
	handed   []wire.Datagram // what the reader has now
	closed   bool
	arrived  chan struct{} // one token while queue may not be empty
	shutdown chan struct{}
}

// Host opens the socket of a host at an address, which must be free.
func (n *Network) Host(at netip.AddrPort) *Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts[at] != nil {
		panic(fmt.Sprintf("netsim: %s is taken", at))
	}
	c := &Conn{net: n, local: at, arrived: make(chan struct{}, 1), shutdown: make(chan struct{})}
	n.hosts[at] = c
	n.order = append(n.order, c)
	return c
}

// SetLAN says which subnets the host's interface is on. Announcements reach the
// other hosts in them.
func (c *Conn) SetLAN(subnets ...netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lan = subnets
}

// Prefixes are the subnets that SetLAN named.
func (c *Conn) Prefixes() []netip.Prefix {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lan)
}

// AnnounceTo is the multicast address of all hosts, when there is a LAN.
func (c *Conn) AnnounceTo() []netip.Addr {
	if len(c.Prefixes()) == 0 {
		return nil
	}
	return []netip.Addr{allHosts}
}

var allHosts = netip.AddrFrom4([4]byte{224, 0, 0, 1})

// RecvBuffer is the size of the receive buffer in bytes.
func (c *Conn) RecvBuffer() int { return receiveBuffer }

// LocalAddrs is the address of the host.
func (c *Conn) LocalAddrs() []netip.AddrPort { return []netip.AddrPort{c.local} }

// Readers returns the one reader.
func (c *Conn) Readers() []wire.BatchReader { return []wire.BatchReader{c} }

// ReadBatch waits for datagrams and returns all that are there.
func (c *Conn) ReadBatch() ([]wire.Datagram, error) {
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, net.ErrClosed
		}
		if len(c.queue) > 0 {
			c.handed, c.queue = c.queue, c.handed[:0]
			c.bytes = 0
			c.mu.Unlock()
			return c.handed, nil
		}
		c.mu.Unlock()
		select {
		case <-c.arrived:
		case <-c.shutdown:
		}
	}
}

// deliver queues a datagram, or drops it when the buffer is full.
func (c *Conn) deliver(d wire.Datagram) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.bytes+len(d.Data) > receiveBuffer {
		return false
	}
	c.queue = append(c.queue, d)
	c.bytes += len(d.Data)
	select {
	case c.arrived <- struct{}{}:
	default: // the reader knows
	}
	return true
}

// WriteBatch sends the datagrams in order.
func (c *Conn) WriteBatch(ds []wire.Datagram) (int, error) {
	subnets := c.Prefixes()
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for i := range ds {
		if len(ds[i].Data) > wire.MaxDatagram {
			return i, fmt.Errorf("netsim: %d bytes are more than a datagram holds", len(ds[i].Data))
		}
		if ds[i].Addr.Addr() != allHosts {
			c.net.sendLocked(c.local, ds[i].Addr, ds[i].Data)
			continue
		}
		for _, h := range c.net.order {
			onLAN := func(p netip.Prefix) bool { return p.Contains(h.local.Addr()) }
			if h != c && h.local.Port() == ds[i].Addr.Port() && slices.ContainsFunc(subnets, onLAN) {
				c.net.sendLocked(c.local, h.local, ds[i].Data)
			}
		}
	}
	return len(ds), nil
}

// Close frees the address; a read that waits returns net.ErrClosed.
func (c *Conn) Close() error {
	c.mu.Lock()
	was := c.closed
	c.closed = true
	c.mu.Unlock()
	if was {
		return net.ErrClosed
	}
	close(c.shutdown)
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	delete(c.net.hosts, c.local)
	c.net.order = slices.DeleteFunc(c.net.order, func(h *Conn) bool { return h == c })
	return nil
}
