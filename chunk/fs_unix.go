//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package chunk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openOrMake opens a regular file for reading and writing, and makes it when it is missing. It follows no link at the
// last element.
func openOrMake(name string) (f *os.File, made bool, err error) {
	for range 10 { // bounded: each round means that another process made or removed the file meanwhile
		f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|openFlags, 0o666)
		if err == nil {
			return f, true, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, false, err
		}
		fi, statErr := os.Lstat(name)
		if errors.Is(statErr, fs.ErrNotExist) {
			continue
		} else if statErr != nil {
			return nil, false, statErr
		}
		if !fi.Mode().IsRegular() {
			break
		}
		f, err = os.OpenFile(name, os.O_RDWR|openFlags, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if isLinkError(err) {
			break
		} else if err != nil {
			return nil, false, err
		}
		if fi, err = f.Stat(); err == nil && fi.Mode().IsRegular() {
			return f, false, nil
		}
		f.Close()
		if err != nil {
			return nil, false, err
		}
		break
	}
	return nil, false, &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
}

// lockFile takes the lock of an open file, which ends with it; many may have a shared one. A lock of flock belongs to the
// opening, so a second one of this process is refused too.
func lockFile(f *os.File, shared bool) error {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	if err := conn.Control(func(fd uintptr) {
		lockErr = syscall.Flock(int(fd), how|syscall.LOCK_NB)
	}); err != nil {
		return err
	}
	if errors.Is(lockErr, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return lockErr
}
