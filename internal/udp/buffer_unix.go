//go:build unix && !linux

package udp

import "golang.org/x/sys/unix"

// setOptions returns the receive buffer that was granted. The net package has set SO_BROADCAST
// already. SO_REUSEADDR is never set.
func (s *sock) setOptions(fd uintptr, _ Options) (int, error) {
	return unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
}
