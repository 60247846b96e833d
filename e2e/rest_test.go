//go:build linux

package e2e

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// effort is what a process has done since its start.
type effort struct {
	cpu   time.Duration // of all threads, in user and system mode
	wakes int64         // times that a thread has gone to sleep: whoever is woken by a timer or a datagram does so once, whatever else the machine does
}

func (e effort) since(before effort) effort {
	return effort{e.cpu - before.cpu, e.wakes - before.wakes}
}

// share is the percentage of a core.
func (e effort) share(span time.Duration) float64 { return 100 * e.cpu.Seconds() / span.Seconds() }

// effort reads it, in nanoseconds; threads of a Go program hardly ever end.
func (p *process) effort() (e effort) {
	p.t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
	check(p.t, err)
	for _, task := range tasks {
		text, err := os.ReadFile(filepath.Join(task, "schedstat"))
		if err != nil {
			continue // that thread has ended
		}
		var ns int64
		_, err = fmt.Sscan(string(text), &ns)
		check(p.t, err)
		e.cpu += time.Duration(ns)
		text, err = os.ReadFile(filepath.Join(task, "status"))
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(text), "\nvoluntary_ctxt_switches:")
		var n int64
		_, err = fmt.Sscan(after, &n)
		check(p.t, err)
		e.wakes += n
	}
	return e
}

// slowness is how much more of a processor some work takes here and now than on the machine of the figures in DESIGN, or 1 if it takes
// less. What else runs takes caches and clock from a process, and so the bars of processor time move with it.
func slowness(t *testing.T, name string, work func(), quick time.Duration) float64 {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var costs []time.Duration
	for range 7 {
		before := threadTime(t)
		work()
		costs = append(costs, threadTime(t)-before)
	}
	slices.Sort(costs)
	cost := costs[len(costs)/2]
	slow := max(1, cost.Seconds()/quick.Seconds())
	t.Logf("%s takes %v of a processor (%v to %v): bars of processor time are × %.2f", name, cost, costs[0], costs[len(costs)-1], slow)
	return slow
}

func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var at unix.Timespec
	check(t, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at))
	return time.Duration(at.Nano())
}

// slowCalls is the slowness of datagrams sent and read.
func slowCalls(t *testing.T) float64 {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	check(t, err)
	defer unix.Close(fd)
	check(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	me, err := unix.Getsockname(fd)
	check(t, err)
	buf := make([]byte, net.IPv4len*100)
	return slowness(t, "sending and reading 2000 datagrams", func() {
		for range 2000 {
			check(t, unix.Sendto(fd, buf, 0, me))
			_, _, err := unix.Recvfrom(fd, buf, 0)
			check(t, err)
		}
	}, quickCalls)
}

// slowCurve is the slowness of opening letters.
func slowCurve(t *testing.T) float64 {
	t.Helper()
	a, err := ecdh.X25519().GenerateKey(rand.Reader)
	check(t, err)
	return slowness(t, "agreeing on 300 keys", func() {
		for range 300 {
			_, err := a.ECDH(a.PublicKey())
			check(t, err)
		}
	}, quickCurve)
}

// What those take on a quiet machine of two cores.
const (
	quickCalls = 10 * time.Millisecond
	quickCurve = 13 * time.Millisecond
)
