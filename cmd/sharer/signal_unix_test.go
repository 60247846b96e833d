//go:build unix

package main

import "syscall"

var usr1 = syscall.SIGUSR1
