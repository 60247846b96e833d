//go:build linux

package impair

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sharer/internal/netsim"
)

// Bridge carries packets between two TUN devices.
type Bridge struct {
	start time.Time
	ways  [2]*way
	wait  sync.WaitGroup
}

// way is one direction of a bridge.
type way struct {
	start time.Time
	from  *os.File
	to    *os.File
	alarm *alarm // of who writes

	mu     sync.Mutex
	lane   *Lane
	some   *sync.Cond // a packet came, or the end
	tap    Tap
	ended  bool
	failed error // why nothing is read any more
	stuck  error // why nothing is written any more
}

// Tap hears of the packets of one direction, by one goroutine at a time; a nil function hears nothing. Packets are valid during the call.
type Tap struct {
	Came func(b []byte) // before anything is decided
	Left func(b []byte) // about to be handed over
}

// OpenTUN makes the TUN device of that name in a network namespace, given by the path of its file, as in /run/netns/NAME. The device
// lives until the file is closed; its addresses are the caller's to set.
func OpenTUN(namespace, device string) (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result)
	go func() {
		// Never unlocked: the thread ends with the goroutine, in the namespace that it has entered.
		runtime.LockOSThread()
		f, err := openTUN(namespace, device)
		done <- result{f, err}
	}()
	r := <-done
	return r.f, r.err
}

func openTUN(namespace, device string) (*os.File, error) {
	ns, err := os.Open(namespace)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("setns %s: %w", namespace, err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(device)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("TUN device %s: %w", device, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), device), nil
}

// NewBridge carries packets between a and b, and owns them from now on: where it fails they are closed. There is one link each way.
func NewBridge(seed uint64, a, b *os.File, aToB, bToA netsim.Link) (*Bridge, error) {
	x := &Bridge{start: time.Now()}
	var err error
	for i, l := range []netsim.Link{aToB, bToA} {
		w := &way{start: x.start, from: a, to: b, lane: NewLane(seed+uint64(i), l)}
		w.some = sync.NewCond(&w.mu)
		if w.alarm, err = newAlarm(); err != nil {
			if i > 0 {
				err = errors.Join(err, x.ways[0].alarm.close())
			}
			return nil, errors.Join(err, a.Close(), b.Close())
		}
		x.ways[i] = w
		a, b = b, a
	}
	for _, w := range x.ways {
		x.wait.Add(2)
		go func() { defer x.wait.Done(); w.read() }()
		go func() { defer x.wait.Done(); w.write() }()
	}
	return x, nil
}

// Set changes the links: a to b, and b to a.
func (x *Bridge) Set(aToB, bToA netsim.Link) {
	for i, l := range []netsim.Link{aToB, bToA} {
		w := x.ways[i]
		w.mu.Lock()
		w.lane.Set(l)
		w.mu.Unlock()
	}
}

// Counts is what became of packets until now: a to b, and b to a.
func (x *Bridge) Counts() (c [2]Counts) {
	for i, w := range x.ways {
		w.mu.Lock()
		c[i] = w.lane.Counts()
		w.mu.Unlock()
	}
	return c
}

// Tap has packets told from now on: of a to b, and of b to a.
func (x *Bridge) Tap(aToB, bToA Tap) {
	for i, t := range []Tap{aToB, bToA} {
		w := x.ways[i]
		w.mu.Lock()
		w.tap = t
		w.mu.Unlock()
	}
}

// Now is the time of the links, for [netsim.Link.Dark].
func (x *Bridge) Now() time.Duration { return time.Since(x.start) }

// Close ends the devices and waits for all goroutines. Its error says so where a device went before, as with its namespace: close
// bridges before namespaces.
func (x *Bridge) Close() error {
	err := errors.Join(x.ways[0].from.Close(), x.ways[0].to.Close())
	for _, w := range x.ways {
		w.mu.Lock()
		w.ended = true
		w.mu.Unlock()
		w.some.Signal()
	}
	x.wait.Wait()
	for _, w := range x.ways {
		err = errors.Join(err, w.failed, w.stuck, w.alarm.close())
	}
	return err
}

func (w *way) read() {
	b := make([]byte, 1<<16)
	for {
		n, err := w.from.Read(b)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil { // the device has gone; while it is down there is only nothing to read
			w.failed = err
			return
		}
		w.mu.Lock()
		if w.tap.Came != nil {
			w.tap.Came(b[:n])
		}
		idle := w.lane.Under() == 0
		w.lane.Take(time.Since(w.start), b[:n])
		idle = idle && w.lane.Under() > 0
		w.mu.Unlock()
		if idle {
			w.some.Signal()
		}
	}
}

// nap is the longest sleep: a packet that comes meanwhile, and is due earlier, waits no longer than this. It happens only
// where the link was changed to a shorter delay, since one that is older is due earlier otherwise.
const nap = 50 * time.Millisecond

func (w *way) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.ended {
		due, ok := w.lane.Due()
		if !ok {
			w.some.Wait()
			continue
		}
		now := time.Since(w.start)
		if due > now {
			w.mu.Unlock()
			err := w.alarm.wait(min(due-now, nap))
			w.mu.Lock()
			if err != nil && !w.ended {
				w.stuck = err
				return
			}
			continue
		}
		b := w.lane.Next(now)
		if w.tap.Left != nil {
			w.tap.Left(b)
		}
		w.mu.Unlock()
		_, err := w.to.Write(b)
		w.mu.Lock()
		if err != nil {
			w.lane.counts.Refused++ // by a device that is down: it loses packets, as a cable does
		}
		w.lane.Give(b)
	}
}
