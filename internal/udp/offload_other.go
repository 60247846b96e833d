//go:build !linux || purego || nooffload

package udp

import (
	"net/netip"

	"sharer/wire"
)

// offload is nothing here, or is left out by the tags purego and nooffload: each datagram is one system call.
type offload struct{}

// writeRun sends the first of ds.
func (s *sock) writeRun(ds []wire.Datagram) (int, error) {
	if err := s.write(ds[0].Data, ds[0].Addr); err != nil {
		return 0, err
	}
	return 1, nil
}

// read waits for one datagram.
func (s *sock) read() (n int, from netip.AddrPort, segment int, err error) {
	n, from, err = s.conn.ReadFromUDPAddrPort(s.buf)
	return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), 0, err
}
