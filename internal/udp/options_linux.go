package udp

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setOptions sets what the net package does not, and returns the receive buffer that was granted.
// The net package has set SO_BROADCAST already. SO_REUSEADDR is never set.
func (s *sock) setOptions(fd uintptr, o Options) (int, error) {
	f := int(fd)
	if err := s.setUp(f, o); err != nil {
		return 0, err
	}
	if s.v4 {
		// Without it datagrams up to the MTU of the first link carry the don't-fragment bit, and vanish where a
		// later link is narrower and the ICMP message about it is eaten.
		if err := unix.SetsockoptInt(f, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT); err != nil {
			return 0, err
		}
	}
	granted, err := recvBuffer(f)
	if err != nil || granted >= o.RecvBuffer {
		return granted, err
	}
	// Root may go beyond net.core.rmem_max; anybody else is refused, which is no error.
	_ = unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, o.RecvBuffer)
	_ = unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, o.SendBuffer)
	return recvBuffer(f)
}

// recvBuffer is the receive buffer as it would be asked for: the kernel doubles it for its own
// bookkeeping and reports the double (socket(7)).
func recvBuffer(fd int) (int, error) {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return n / 2, err
}

// ttl1 is the control message for a TTL of 1 (ip(7)).
var ttl1 = func() []byte {
	b := make([]byte, unix.CmsgSpace(4))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.SetLen(unix.CmsgLen(4))
	h.Level, h.Type = unix.IPPROTO_IP, unix.IP_TTL
	binary.NativeEndian.PutUint32(b[unix.CmsgLen(0):], 1)
	return b
}()

// writeOneHop sends one datagram with a TTL of 1.
func (s *sock) writeOneHop(data []byte, to netip.AddrPort) error {
	_, _, err := s.conn.WriteMsgUDPAddrPort(data, ttl1, to)
	return err
}

// hopLimit guards the TTL of a socket where it is a state; here it is a control message.
type hopLimit struct{}

func (*hopLimit) rLock()   {}
func (*hopLimit) rUnlock() {}
