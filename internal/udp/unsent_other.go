//go:build !linux

package udp

import "syscall"

// outQueue is nothing here: not every system says how much of a datagram socket waits to be sent.
type outQueue struct{}

func (*outQueue) init(syscall.RawConn) {}
func (*outQueue) roomy() bool          { return true }
