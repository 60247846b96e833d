//go:build unix && !linux

package mirror

import (
	"os"
	"syscall"
)

func flush(f *os.File) error { return f.Sync() }

// onlyName says whether a file has one name.
func onlyName(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 1
}
