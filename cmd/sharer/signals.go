package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
)

// reloads is true while SIGHUP asks to read the settings again.
var reloads atomic.Bool

// catchSignals returns a context that the first SIGINT or SIGTERM cancels, or SIGHUP
// of a terminal that goes away, with an *interrupted as its cause. A second one ends the process at once: whoever
// presses Ctrl-C twice does not want to wait for a clean end.
func catchSignals() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	// A write to a closed pipe shall fail, not kill: temporary files are removed
	// and the node is closed on the way out.
	ignorePipe()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, append(hangUp(), os.Interrupt, syscall.SIGTERM)...)
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for first := true; ; {
			select {
			case <-done:
				return
			case s := <-signals:
				if s == syscall.SIGHUP && reloads.Load() {
					continue
				}
				if !first {
					os.Exit(int(signalExit(s)))
				}
				first = false
				cancel(&interrupted{s})
			}
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		ended.Wait()
		cancel(context.Canceled)
	}
}
