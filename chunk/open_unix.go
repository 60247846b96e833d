//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package chunk

import (
	"errors"
	"os"
	"syscall"
)

// openFlags make an opening follow no link at the last element and never wait for the other end of a pipe.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// openRead opens for reading.
func openRead(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|openFlags, 0) }

// isLinkError tells the error of O_NOFOLLOW: ELOOP, on FreeBSD EMLINK.
func isLinkError(err error) bool {
	return errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.EMLINK)
}
