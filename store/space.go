package store

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// Space is how many bytes are free to us on the disk of a folder, and how many it has.
func Space(dir string) (free, total int64, err error) { return diskSpace(dir) }

// LeavesFree says whether so many bytes more may be written at path while least bytes stay free on its disk; least 0 is 1 GiB or
// 1 % of the disk, whichever is less, and below 0 none. The error wraps syscall.ENOSPC. What cannot be asked is no obstacle: writing will tell.
func LeavesFree(path string, more, least int64) error {
	free, total, err := Space(filepath.Dir(path))
	if err != nil {
		return nil
	}
	const giB, part = 1 << 30, 100
	if least == 0 {
		least = min(giB, total/part)
	}
	if free-max(more, 0) >= max(least, 0) {
		return nil
	}
	const miB = float64(1 << 20)
	return fmt.Errorf("%.1f MiB are missing and %.1f MiB are free, of which %.1f MiB stay so (--min-free): %w", float64(max(more, 0))/miB, float64(free)/miB, float64(max(least, 0))/miB, &fs.PathError{Op: "write", Path: path, Err: syscall.ENOSPC})
}
