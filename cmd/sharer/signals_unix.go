//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

func ignorePipe() { signal.Ignore(syscall.SIGPIPE) }

// catchReload returns the channel on which somebody asks to read the settings again: SIGHUP.
func catchReload() (hup <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// catchTell returns the channel on which a person asks for a line of progress:
// SIGUSR1, and SIGINFO (Ctrl-T) where there is one.
func catchTell() (tell <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, append(tellSignals, syscall.SIGUSR1)...)
	return c, func() { signal.Stop(c) }
}
