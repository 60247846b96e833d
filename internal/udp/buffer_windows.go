package udp

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/windows"
)

// setOptions returns the receive buffer that was granted. The net package has set SO_BROADCAST
// already, and has switched off the errors of reads that ICMP messages would cause.
func (s *sock) setOptions(fd uintptr, _ Options) (int, error) {
	return windows.GetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_RCVBUF)
}

// commonError makes an error of this system known by the name that callers ask for.
func commonError(err error) error {
	if errors.Is(err, windows.WSAEADDRINUSE) {
		return fmt.Errorf("%w (%w)", syscall.EADDRINUSE, err)
	}
	return err
}
