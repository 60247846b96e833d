package udp

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"sharer/wire"
)

// How well a socket reaches a destination.
const (
	reachNot  = iota
	reachSome // bound to an address that may not be the right one for it
	reachAny  // bound to all addresses: the system chooses the source
	reachWell // bound to loopback for loopback, or to an address of the destination's own network
)

// sock is one bound socket.
type sock struct {
	conn  *net.UDPConn
	local netip.AddrPort
	v4    bool // sends and receives IPv4
	v6    bool
	via   uint8
	p4    *ipv4.PacketConn // for options of IPv4; nil without it
	p6    *ipv6.PacketConn

	unsent outQueue

	shouting sync.Mutex // the interface of multicasts is a state of the socket
	hops     hopLimit

	// Of the reader's goroutine.
	buf    []byte
	batch  []wire.Datagram // what the last read brought
	failed int             // reads that failed in a row

	offload offload
}

var _ wire.BatchReader = (*sock)(nil)

func newSock(conn *net.UDPConn, network string) *sock {
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	own := local.Addr().Unmap()
	s := &sock{
		conn: conn, local: netip.AddrPortFrom(own, local.Port()),
		v4: own.Is4() || network == "udp", v6: own.Is6(),
		// More than a datagram, so that a longer one is seen to be too long, and what is received as one fits.
		buf: make([]byte, 1<<16), batch: make([]wire.Datagram, 0, maxSegments),
	}
	if s.v4 {
		s.p4 = ipv4.NewPacketConn(conn)
	}
	if s.v6 {
		s.p6 = ipv6.NewPacketConn(conn)
	}
	return s
}

// tune sets the options of a socket and returns the receive buffer that was granted.
func (s *sock) tune(o Options) (int, error) {
	// Less than was asked for is no error: what was granted is read back.
	if err := s.conn.SetReadBuffer(o.RecvBuffer); err != nil {
		return 0, err
	}
	if err := s.conn.SetWriteBuffer(o.SendBuffer); err != nil {
		return 0, err
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var granted int
	var serr error
	if err := raw.Control(func(fd uintptr) { granted, serr = s.setOptions(fd, o) }); err != nil {
		return 0, err
	}
	s.unsent.init(raw)
	// One hop is the default for multicast everywhere (RFC 1112 section 6.1, RFC 3493 section 5.2);
	// a system that refuses to have it set on a socket for both families keeps that default.
	if s.p4 != nil {
		_ = s.p4.SetMulticastTTL(1)
	}
	if s.p6 != nil {
		_ = s.p6.SetMulticastHopLimit(1)
	}
	return granted, serr
}

// ReadBatch waits for datagrams and returns them; they are valid until the next call. At the end it
// returns net.ErrClosed. Other errors pass, such as what an ICMP message said of an earlier
// datagram; should they not pass, reading slows down instead of spinning.
func (s *sock) ReadBatch() ([]wire.Datagram, error) {
	n, from, segment, err := s.read()
	if err != nil {
		if errors.Is(err, net.ErrClosed) {
			return nil, net.ErrClosed
		}
		if s.failed++; s.failed > maxFailed {
			time.Sleep(failedPause)
		}
		return nil, err
	}
	s.failed = 0
	s.batch = cut(s.batch[:0], wire.Datagram{Addr: from, Via: s.via, Data: s.buf[:n]}, segment)
	return s.batch, nil
}

// A socket that fails for ever costs 100 reads a second. ICMP errors come one to a datagram that was
// sent, and datagrams come between them.
const (
	maxFailed   = 64
	failedPause = 10 * time.Millisecond
)

// write sends to one host.
func (s *sock) write(data []byte, to netip.AddrPort) error {
	s.hops.rLock()
	_, err := s.conn.WriteToUDPAddrPort(data, to)
	s.hops.rUnlock()
	return err
}

// reaches says how well a destination is reached, by family and side of the loopback interface.
func (s *sock) reaches(to netip.Addr) int {
	own := s.local.Addr()
	switch {
	case to.Is4() && !s.v4, to.Is6() && !s.v6, !to.IsValid():
		return reachNot
	case own.IsUnspecified():
		return reachAny
	case own.IsLoopback() && to.IsLoopback():
		return reachWell
	case own.IsLoopback():
		return reachNot // the system would refuse, or send what nobody can answer
	}
	return reachSome
}
