package chunk

import (
	"errors"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// renameNew is a rename that fails with ErrExists instead of replacing a file.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS): // the file system, or a sandbox, knows no such flag
		return renameLinked(from, to)
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}

// bootID changes with every start of the kernel: what was handed to it, and not synced, is there while it stays the
// same.
var bootID = sync.OnceValue(func() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(text) > 64 {
		return "" // no telling: then only what was synced is trusted
	}
	return strings.TrimSpace(string(text))
})
