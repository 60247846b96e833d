package impair

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes one goroutine at a time to some tens of microseconds, by a timer of the kernel that the runtime waits for as it does for
// a socket. The runtime's own timers end on milliseconds; and a thread that sleeps in a system call keeps one of the runtime's few
// places until that is noticed, after up to 10 ms: on two processors two such sleepers kept those who read the devices from running,
// so that packets entered the links in lumps of 8 ms.
type alarm struct {
	fd   int
	file *os.File
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	return &alarm{fd: fd, file: os.NewFile(uintptr(fd), "alarm")}, nil
}

// wait returns after d. Its error says that the alarm was closed, or cannot be set.
func (a *alarm) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	if err := unix.TimerfdSettime(a.fd, 0, &at, nil); err != nil {
		return fmt.Errorf("timerfd_settime: %w", err)
	}
	var rings [8]byte
	_, err := a.file.Read(rings[:])
	return err
}

func (a *alarm) close() error { return a.file.Close() }
