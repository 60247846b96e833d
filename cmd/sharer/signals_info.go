//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package main

import (
	"os"
	"syscall"
)

var tellSignals = []os.Signal{syscall.SIGINFO}
