package main

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// beBatch has the scheduler (sched(7)) take this process for one that works through much rather than one that somebody waits for. What differs is that
// one of its threads that is woken does not interrupt one that runs: it waits for its turn, or has a processor that is free. A datagram
// wakes its receiver, so without it two nodes on two processors interrupt each other for each of them: 20,000 times in a second,
// where 2,000 do the same work. Who asked for another policy keeps it. A thread that is made inherits it.
func beBatch() {
	for range 2 { // a thread may be made meanwhile by one that was not yet changed
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return // no /proc: it is only slower
		}
		for _, t := range tasks {
			if tid, err := strconv.Atoi(t.Name()); err == nil {
				change(tid, unix.SCHED_NORMAL, unix.SCHED_BATCH)
			}
		}
	}
}

// change gives a thread, 0 for the calling one, another policy if it has the first.
func change(tid int, from, to uint32) {
	a, err := unix.SchedGetAttr(tid, 0)
	if err != nil || a.Policy != from {
		return
	}
	a.Policy = to
	_ = unix.SchedSetAttr(tid, a, 0) // it is only slower
}

// interactive calls f, which starts a program that people look at, on a thread with the policy that programs have.
func interactive(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	change(0, unix.SCHED_BATCH, unix.SCHED_NORMAL)
	defer change(0, unix.SCHED_NORMAL, unix.SCHED_BATCH)
	return f()
}
