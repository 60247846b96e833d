package udp

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// roomLeast is what 64 KiB of datagrams take of a send buffer with the kernel's bookkeeping, which is about as much again.
const roomLeast = 128 << 10

// outQueue is what a socket has not sent yet (udp(7), SIOCOUTQ).
type outQueue struct {
	raw syscall.RawConn

	mu   sync.Mutex
	full bool
	call func(fd uintptr) // sets full; made once, so that asking allocates nothing
}

func (q *outQueue) init(raw syscall.RawConn) {
	q.raw = raw
	q.call = func(fd uintptr) {
		size, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
		waits, qerr := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		q.full = err == nil && qerr == nil && waits > 0 && waits+roomLeast > size
	}
}

func (q *outQueue) roomy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.raw.Control(q.call) == nil && !q.full
}
