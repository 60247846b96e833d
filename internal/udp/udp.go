// Package udp is the real socket: the only place that touches the network.
//
// [Listen] binds one or more addresses; together they are one [Conn], which sends and receives
// batches of datagrams. On Linux equal-sized neighbours for one destination leave with one system call, and what comes
// from one sender in a row is read with one, as far as kernel, device and MTU allow; elsewhere, and where they do not,
// each datagram is one system call.
//
// What it promises:
//   - Addresses are never in the IPv4-in-IPv6 form; link-local ones keep their zone.
//   - No allocation per datagram, and no wait but that for the system: a receiver that is too slow
//     loses datagrams, it does not hold up a sender.
//   - A broadcast, and a multicast to the link, dies on its link: TTL or hop limit 1.
//   - IPv4 datagrams go without the don't-fragment bit (Linux), so a path with a smaller MTU whose ICMP
//     messages are eaten is no black hole.
//   - A port is never shared: a second node on it fails with an error that says so.
//
// It knows nothing of what datagrams hold, and starts no goroutine.
package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"sharer/wire"
)

// DefaultBuffer is what is asked of the system for each direction: 512 datagrams of a block in
// base64, with the kernel's bookkeeping, for a window that is answered at once. The customary
// default of 208 KiB loses 45 % of a blast.
const DefaultBuffer = 4 << 20

// maxSockets is what fits [wire.Datagram].Via.
const maxSockets = 255

// ErrUnreachable is the error of a datagram that no socket can carry: of a family, or on a side of
// the loopback interface, that is not listened on.
var ErrUnreachable = errors.New("udp: no socket reaches this address")

// Options of Listen; the zero value is good.
type Options struct {
	RecvBuffer int  // bytes asked for; 0: DefaultBuffer. What was granted: [Conn.RecvBuffer]
	SendBuffer int  // the same for sending
	Single     bool // one system call a datagram, as on systems without offload
}

func (o Options) validate() error {
	if o.RecvBuffer < 0 || o.SendBuffer < 0 {
		return fmt.Errorf("udp: buffers of %d and %d bytes", o.RecvBuffer, o.SendBuffer)
	}
	return nil
}

// Conn is one or more sockets that send and receive as one node.
type Conn struct {
	socks      []*sock
	recvBuffer int // granted, the smallest of all sockets
	interfaces func() []iface
	lan        atomic.Pointer[lan] // as last read; the path of sends must not ask the system
}

// Listen binds addresses of the forms ":24254" (IPv4 and IPv6 on one socket where the system can),
// "127.0.0.1:0", "[::1]:0", "[::]:24254" (IPv6 only). With port 0 the system chooses one for each
// address. A taken port is an error that is syscall.EADDRINUSE.
func Listen(addrs []string, o Options) (*Conn, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if len(addrs) == 0 || len(addrs) > maxSockets {
		return nil, fmt.Errorf("udp: %d addresses to listen on; give 1 to %d", len(addrs), maxSockets)
	}
	if o.RecvBuffer == 0 {
		o.RecvBuffer = DefaultBuffer
	}
	if o.SendBuffer == 0 {
		o.SendBuffer = DefaultBuffer
	}
	c := &Conn{interfaces: systemInterfaces}
	for i, a := range addrs {
		s, err := listen(a)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		s.via = uint8(i + 1)
		c.socks = append(c.socks, s)
		granted, err := s.tune(o)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("udp: %s: %w", a, err), c.Close())
		}
		if i == 0 || granted < c.recvBuffer {
			c.recvBuffer = granted
		}
	}
	c.look()
	return c, nil
}

func listen(addr string) (*sock, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("udp: %q is no address to listen on; write HOST:PORT, such as 127.0.0.1:0 or :24254", addr)
	}
	ua, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("udp: %q is no address to listen on: %w", addr, err)
	}
	network := "udp4"
	switch {
	case host == "":
		network = "udp" // one socket for both families, or for IPv4 where there is no IPv6
	case ua.IP.To4() == nil:
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, ua)
	if errors.Is(err, syscall.EAFNOSUPPORT) && host == "" {
		conn, err = net.ListenUDP("udp4", ua) // IPv6 was switched off after Go looked for it
	}
	err = commonError(err)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("udp: %s is taken by another program, perhaps another node; stop it, or give another address with --listen HOST:PORT: %w", addr, err)
	case err != nil:
		return nil, fmt.Errorf("udp: %w", err)
	}
	return newSock(conn, network), nil
}

// Readers returns one for each socket, in the order of the addresses; each is for one goroutine.
func (c *Conn) Readers() []wire.BatchReader {
	out := make([]wire.BatchReader, len(c.socks))
	for i, s := range c.socks {
		out[i] = s
	}
	return out
}

// WriteBatch sends ds in order and returns how many were handed to the system; the error, if any, is
// that of the datagram after them: the caller may go on behind it. It keeps nothing of ds, and
// is safe for concurrent use. It waits while the send buffer is full: that is the speed of the link.
func (c *Conn) WriteBatch(ds []wire.Datagram) (int, error) {
	lan := c.lan.Load()
	for i := 0; i < len(ds); {
		d := &ds[i]
		s := c.choose(d, lan)
		if s == nil {
			return i, fmt.Errorf("%w: %s", ErrUnreachable, d.Addr)
		}
		var err error
		n := 1
		if ip := d.Addr.Addr(); ip.IsMulticast() || lan.isBroadcast(ip) {
			if err = s.shout(lan, d.Data, d.Addr); err != nil {
				n = 0
			}
		} else {
			n, err = s.writeRun(ds[i:])
		}
		if i += n; err != nil {
			return i, err
		}
	}
	return len(ds), nil
}

// Roomy says whether some 64 KiB leave now without waiting for the send buffer, by any of the sockets. Where the system does not say how much waits in it (all but
// Linux) it always is.
func (c *Conn) Roomy() bool {
	for _, s := range c.socks {
		if !s.unsent.roomy() {
			return false
		}
	}
	return true
}

// choose returns the socket by which d leaves: the one it names if that can reach the destination,
// otherwise the one that reaches it best.
func (c *Conn) choose(d *wire.Datagram, lan *lan) (best *sock) {
	to := d.Addr.Addr()
	if v := int(d.Via); v > 0 && v <= len(c.socks) && c.socks[v-1].reaches(to) > 0 {
		return c.socks[v-1]
	}
	most := 0
	for i, s := range c.socks {
		r := s.reaches(to)
		if r == reachSome && lan.onLink(i, to) {
			r = reachWell
		}
		if r > most {
			best, most = s, r
		}
	}
	return best
}

// RecvBuffer is the receive buffer that the system granted, in bytes of the request.
func (c *Conn) RecvBuffer() int { return c.recvBuffer }

// LocalAddrs are the addresses that the sockets are bound to, with the ports they got.
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
