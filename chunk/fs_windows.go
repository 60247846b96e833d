package chunk

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// openOrMake opens a regular file for reading and writing, and makes it when it is missing. A link is opened itself,
// and refused.
func openOrMake(name string) (f *os.File, made bool, err error) {
	const access = windows.GENERIC_READ | windows.GENERIC_WRITE
	f, err = openShared(name, access, windows.CREATE_NEW)
	if made = err == nil; errors.Is(err, fs.ErrExist) {
		f, err = openShared(name, access, windows.OPEN_EXISTING)
	}
	if err != nil {
		return nil, false, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	if err != nil {
		f.Close()
		return nil, false, err
	}
	return f, made, nil
}

// lockFile takes the lock of an open file, which ends with it; many may have a shared one. Locks forbid reading here, so it
// lies on one byte far behind the end.
func lockFile(f *os.File, shared bool) error {
	at := windows.Overlapped{OffsetHigh: 1 << 30}
	how := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY)
	if shared {
		how = windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

// renameNew is a rename that fails with ErrExists instead of replacing a file.
func renameNew(from, to string) error {
	old, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	if err := windows.MoveFileEx(old, name, windows.MOVEFILE_WRITE_THROUGH); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// bootID: not asked for here, so only what was synced is trusted without being hashed again.
func bootID() string { return "" }
