package mirror

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// clone gives a content a second file that shares its blocks until one is written to; false where the file system
// has no such thing.
func clone(content string, root *os.Root, name string) (bool, error) {
	in, err := os.Open(content)
	if err != nil {
		return false, err
	}
	defer in.Close()
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return false, err
	}
	if err := unix.IoctlFileClone(int(out.Fd()), int(in.Fd())); err != nil {
		return false, errors.Join(out.Close(), root.Remove(name))
	}
	return true, out.Close()
}

// syncTree brings a folder and all in it to the disk: the whole file system at once, which costs less than each file.
func syncTree(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}
