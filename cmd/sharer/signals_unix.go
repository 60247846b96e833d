//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// ignorePipe has a write to a closed pipe fail. The signal is caught and not ignored: programs that are started, as players and hooks of mirrors,
// would be born with it ignored, and complain where others end.
func ignorePipe() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// hangUp is SIGHUP, unless the process was started to outlive its terminal (nohup).
func hangUp() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return nil
	}
	return []os.Signal{syscall.SIGHUP}
}

// catchReload returns the channel on which somebody asks to read the settings again: SIGHUP.
func catchReload() (hup <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	reloads.Store(true)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() {
		reloads.Store(false)
		signal.Stop(c)
	}
}

// catchTell returns the channel on which a person asks for a line of progress:
// SIGUSR1, and SIGINFO (Ctrl-T) where there is one.
func catchTell() (tell <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, append(tellSignals, syscall.SIGUSR1)...)
	return c, func() { signal.Stop(c) }
}
