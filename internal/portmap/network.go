package portmap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Network is what is needed of the system; tests hand in their own.
type Network interface {
	// Gateway is the default gateway of a family, the zero Addr if there is none.
	Gateway(v6 bool) (netip.Addr, error)
	// Local is the own address to tell a gateway of.
	Local(gateway netip.Addr) (netip.Addr, error)
	// Packets binds a UDP socket to an own address, on any port.
	Packets(local netip.Addr) (Packets, error)
	// Dial connects by TCP.
	Dial(ctx context.Context, local netip.Addr, to netip.AddrPort) (net.Conn, error)
}

// Packets is a UDP socket; *net.UDPConn is one.
type Packets interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	SetReadDeadline(t time.Time) error
	Close() error
}

// system is the real network.
type system struct{}

var _ Network = system{}

func (system) Gateway(v6 bool) (netip.Addr, error) { return defaultGateway(v6) }

// beyond is a global IPv6 address that nobody has (RFC 3849): which of the own addresses would reach it?
var beyond = netip.MustParseAddr("2001:db8::1")

// Local connects a UDP socket, by which nothing is sent, and looks which address the system chose.
func (system) Local(gateway netip.Addr) (netip.Addr, error) {
	to := gateway
	if gateway.Is6() {
		to = beyond // the way to a link-local gateway would start at a link-local address
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, ssdpPort)))
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

func (system) Packets(local netip.Addr) (Packets, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		return nil, err // not conn: a nil *net.UDPConn in an interface is not nil
	}
	return conn, nil
}

func (system) Dial(ctx context.Context, local netip.Addr, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))}
	return d.DialContext(ctx, "tcp", to.String())
}

// fence is the only way to the network: whoever holds it can name a port, and never another
// address than the gateway's.
type fence struct {
	net     Network
	gateway netip.Addr
	local   netip.Addr
}

var (
	errNoAnswer = errors.New("no answer")
	errTooLong  = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
)

// udpWaits are the times between sends of one request (RFC 6886 section 3.1 begins so; a gateway is
// one hop away, so three are enough).
var udpWaits = []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second}

// ask sends requests to a port of the gateway until take has had enough of the answers, or all
// waits are over: errNoAnswer. Only what comes from the gateway is shown to take, with
// anyPort from whatever port. An error of take ends it.
func (f *fence) ask(ctx context.Context, port uint16, anyPort bool, requests [][]byte, take func([]byte) (bool, error)) error {
	conn, err := f.net.Packets(f.local)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	b := make([]byte, 2048) // more than any of these answers needs
	for _, wait := range udpWaits {
		for _, r := range requests {
			if _, err := conn.WriteToUDPAddrPort(r, netip.AddrPortFrom(f.gateway, port)); err != nil {
				return err
			}
		}
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		for ctx.Err() == nil {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				break
			}
			if err != nil {
				return err
			}
			if from.Addr().Unmap() != f.gateway || !anyPort && from.Port() != port {
				continue
			}
			if done, err := take(b[:n]); done || err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errNoAnswer
}

// dial connects to a port of the gateway. No more than maxAnswer bytes can be read.
func (f *fence) dial(ctx context.Context, port uint16) (net.Conn, error) {
	conn, err := f.net.Dial(ctx, f.local, netip.AddrPortFrom(f.gateway, port))
	if err != nil {
		return nil, err
	}
	return &shortConn{Conn: conn, left: maxAnswer}, nil
}

// shortConn ends after some bytes have been read. It has one reader.
type shortConn struct {
	net.Conn
	left int
}

func (c *shortConn) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, errTooLong
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}
