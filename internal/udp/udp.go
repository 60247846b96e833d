// Package udp is the real socket: the only place that touches the network.
//
// It promises batches at its interface, whatever the system offers below; addresses
// without the IPv4-in-IPv6 form; and no allocation per datagram. What goes to a
// multicast or broadcast address stays on its link: the systems' default hop limit for
// multicast is 1 (RFC 1112 section 6.1), and routers pass on no broadcasts.
// It knows nothing of what datagrams hold.
package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"sharer/wire"
)

// wantBuffer is what is asked of the system for each direction: 512 datagrams of a
// block in base64, with the kernel's bookkeeping, for a window that is answered at once.
const wantBuffer = 4 << 20

// Options are none yet.
type Options struct{}

// Conn is one or more sockets that send and receive as one node.
type Conn struct {
	socks  []*sock
	buffer int // granted receive buffer, the smallest of all sockets
}

// sock is one bound socket.
type sock struct {
	conn  *net.UDPConn
	local netip.AddrPort
	dual  bool // takes IPv4 too, as IPv4-in-IPv6
	via   uint8

	buf   []byte
	batch [1]wire.Datagram
}

// Listen binds addresses of the forms ":24254" (IPv4 and IPv6 on one socket where
// the system can), "127.0.0.1:0", "[::1]:0".
func Listen(addrs []string, _ Options) (*Conn, error) {
	if len(addrs) == 0 || len(addrs) > 255 {
		return nil, fmt.Errorf("udp: %d addresses to listen on; give 1 to 255", len(addrs))
	}
	c := &Conn{}
	for i, a := range addrs {
		s, err := listen(a, uint8(i+1))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.socks = append(c.socks, s)
		granted, err := setBuffers(s.conn)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("udp: buffers of %s: %w", a, err), c.Close())
		}
		if i == 0 || granted < c.buffer {
			c.buffer = granted
		}
	}
	return c, nil
}

func listen(addr string, via uint8) (*sock, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("udp: %q is no address to listen on; write HOST:PORT, such as 127.0.0.1:0 or :24254", addr)
	}
	ua, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("udp: %q is no address to listen on: %w", addr, err)
	}
	conn, err := net.ListenUDP("udp", ua)
	if errors.Is(err, syscall.EAFNOSUPPORT) && host == "" {
		conn, err = net.ListenUDP("udp4", ua) // a system without IPv6
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("udp: %s is taken by another program; give another with --listen HOST:PORT: %w", addr, err)
	case err != nil:
		return nil, fmt.Errorf("udp: %w", err)
	}
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	return &sock{
		conn: conn, local: local, via: via,
		dual: local.Addr().Is6() && local.Addr().IsUnspecified(),
		buf:  make([]byte, wire.MaxDatagram+1),
	}, nil
}

// setBuffers asks for wantBuffer and returns what receiving was granted.
func setBuffers(c *net.UDPConn) (int, error) {
	// Less than asked is no error: the granted size is read back.
	if err := c.SetReadBuffer(wantBuffer); err != nil {
		return 0, err
	}
	if err := c.SetWriteBuffer(wantBuffer); err != nil {
		return 0, err
	}
	return grantedBuffer(c)
}

// RecvBuffer is the receive buffer that the system granted, in bytes.
func (c *Conn) RecvBuffer() int { return c.buffer }

// Readers returns one reader a socket.
func (c *Conn) Readers() []wire.BatchReader {
	out := make([]wire.BatchReader, len(c.socks))
	for i, s := range c.socks {
		out[i] = s
	}
	return out
}

// ReadBatch waits for datagrams and returns them; the slices are valid until the
// next call. At the end it returns net.ErrClosed. Other errors pass, such as what
// an ICMP message said about an earlier datagram.
func (s *sock) ReadBatch() ([]wire.Datagram, error) {
	n, from, err := s.conn.ReadFromUDPAddrPort(s.buf)
	if err != nil {
		return nil, err
	}
	s.batch[0] = wire.Datagram{Addr: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), Via: s.via, Data: s.buf[:n]}
	return s.batch[:], nil
}

// WriteBatch sends the datagrams in order and returns how many were handed over;
// the error, if any, is of the one after them. It is safe for concurrent use.
func (c *Conn) WriteBatch(ds []wire.Datagram) (int, error) {
	for i := range ds {
		s := c.choose(&ds[i])
		if s == nil {
			return i, fmt.Errorf("udp: no socket reaches %s: %w", ds[i].Addr, syscall.EAFNOSUPPORT)
		}
		if err := s.send(ds[i].Data, ds[i].Addr); err != nil {
			return i, err
		}
	}
	return len(ds), nil
}

// choose returns the socket by which d leaves: the one it names, if that can.
func (c *Conn) choose(d *wire.Datagram) *sock {
	if v := int(d.Via); v > 0 && v <= len(c.socks) && c.socks[v-1].reaches(d.Addr.Addr()) {
		return c.socks[v-1]
	}
	for _, s := range c.socks {
		if s.reaches(d.Addr.Addr()) {
			return s
		}
	}
	return nil
}

// reaches says whether a destination is of the socket's family, and on the same side
// of the loopback interface.
func (s *sock) reaches(to netip.Addr) bool {
	own := s.local.Addr()
	switch {
	case s.dual:
		return true
	case own.Is4() != to.Is4():
		return false
	case own.IsLoopback():
		return to.IsLoopback()
	}
	return own.IsUnspecified() || !to.IsLoopback()
}

func (s *sock) send(data []byte, to netip.AddrPort) error {
	if s.dual && to.Addr().Is4() {
		to = netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())
	}
	_, err := s.conn.WriteToUDPAddrPort(data, to)
	return err
}

// LocalAddrs are the addresses that the sockets are bound to.
func (c *Conn) LocalAddrs() []netip.AddrPort {
	out := make([]netip.AddrPort, len(c.socks))
	for i, s := range c.socks {
		out[i] = s.local
	}
	return out
}

// Close closes the sockets; reads that wait return net.ErrClosed.
func (c *Conn) Close() error {
	var err error
	for _, s := range c.socks {
		err = errors.Join(err, s.conn.Close())
	}
	return err
}
