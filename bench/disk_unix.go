//go:build unix

package main

import (
	"os"
	"syscall"
)

// allocated is how many bytes of a file are on the medium, 0 if there is none.
func allocated(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return 0
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Blocks * 512
}
