//go:build darwin || freebsd

package control

import "golang.org/x/sys/unix"

// uidAt is the user at the other end of a unix socket.
func uidAt(fd int) (uint32, error) {
	const solLocal = 0 // SOL_LOCAL, the level of options of unix sockets
	cred, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
