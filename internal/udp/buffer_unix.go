//go:build unix

package udp

import (
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

// grantedBuffer reads the receive buffer back, in bytes.
func grantedBuffer(c *net.UDPConn) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	if cerr := raw.Control(func(fd uintptr) {
		n, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	}); cerr != nil {
		return 0, cerr
	}
	if runtime.GOOS == "linux" {
		n /= 2 // it doubles what was asked, for its own bookkeeping (socket(7))
	}
	return n, err
}
