//go:build unix

package mirror

import "golang.org/x/sys/unix"

// diskSpace asks what there is where a folder lies.
func diskSpace(dir string) (Disk, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return Disk{}, err
	}
	d := Disk{Free: int64(s.Bavail) * int64(s.Bsize), Total: int64(s.Blocks) * int64(s.Bsize), Inodes: int64(s.Ffree)}
	if s.Files == 0 { // made as they are needed
		d.Inodes = -1
	}
	return d, nil
}
