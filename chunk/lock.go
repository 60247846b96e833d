package chunk

import (
	"errors"
	"os"
)

// Lock is a file that is there to be locked: whoever has it open so may rely on it, in this process or another. It ends with
// the process.
type Lock struct {
	name string
	f    *os.File
}

// TakeLock locks a file, which is made when it is missing. Many may share a lock; one alone has it otherwise. It never waits:
// ErrLocked.
func TakeLock(name string, shared bool) (*Lock, error) {
	f, _, err := openLocked(name, shared)
	if err != nil {
		return nil, err
	}
	return &Lock{name, f}, nil
}

// Release gives a lock back. The file stays for others who share it.
func (l *Lock) Release() error { return l.f.Close() }

// Remove gives a lock back that is not shared, and removes the file first: who has opened it meanwhile finds that it is none any more, and makes another.
func (l *Lock) Remove() error { return errors.Join(osFS{}.Remove(l.name), l.f.Close()) }
