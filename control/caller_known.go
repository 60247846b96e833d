//go:build linux || darwin || freebsd

package control

import "net"

// peerUID asks the kernel who is at the other end.
func peerUID(conn net.Conn) (uid int, ok bool) {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	var other uint32
	var credErr error
	err = raw.Control(func(fd uintptr) { other, credErr = uidAt(int(fd)) })
	if err != nil || credErr != nil {
		return 0, false
	}
	return int(other), true
}
