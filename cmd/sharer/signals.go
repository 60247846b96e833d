package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// catchSignals returns a context that the first SIGINT or SIGTERM cancels, with
// an *interrupted as its cause. A second one ends the process at once: whoever
// presses Ctrl-C twice does not want to wait for a clean end.
func catchSignals() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	// A write to a closed pipe shall fail, not kill: temporary files are removed
	// and the node is closed on the way out.
	ignorePipe()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for first := true; ; first = false {
			select {
			case <-done:
				return
			case s := <-signals:
				if !first {
					os.Exit(int(signalExit(s)))
				}
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
