//go:build unix

package store

import "golang.org/x/sys/unix"

// diskSpace asks how many bytes are free to us on the disk of a folder, and how many it has.
func diskSpace(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), nil
}
