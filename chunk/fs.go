package chunk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"sharer/internal/atomicfile"
)

var (
	// ErrLocked is returned when another process, or another Partial of this one, has the download open.
	ErrLocked = errors.New("in use by another process")
	// ErrExists is returned when a file is in the way that must not be replaced.
	ErrExists = fs.ErrExist
)

// File is what a Partial needs of an open file. *os.File is one.
type File interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Stat() (os.FileInfo, error)
	Close() error
}

var _ File = (*os.File)(nil)

// FS is what a Partial needs of the file system: so small that tests inject faults. Paths are the user's, or such a
// path with a suffix of ours.
type FS interface {
	// Open opens a regular file for reading and writing, and makes it when it is missing. It follows no link.
	Open(name string) (File, error)
	// OpenLocked is Open, with an exclusive lock that lasts until Close; ErrLocked when another has it.
	OpenLocked(name string) (f File, made bool, err error)
	// Publish gives the open file f, whose path is from, the path to. Without o.Replace it never replaces a file:
	// ErrExists. With o.Fsync the new name is on the disk when it returns. ErrChanged: from is no longer f.
	Publish(f File, from, to string, o PublishOptions) error
	// Remove removes a file; it is no error when there is none.
	Remove(name string) error
}

// PublishOptions are the options of FS.Publish.
type PublishOptions struct{ Replace, Fsync bool }

// osFS is the real file system.
type osFS struct{}

func (osFS) Open(name string) (File, error) {
	f, _, err := openOrMake(name)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osFS) OpenLocked(name string) (File, bool, error) {
	f, made, err := openLocked(name, false)
	if err != nil {
		return nil, false, err
	}
	return f, made, nil
}

func openLocked(name string, shared bool) (*os.File, bool, error) {
	for range 10 { // bounded: each round means that another process removed the file meanwhile
		f, made, err := openOrMake(name)
		if err != nil {
			return nil, false, err
		}
		if err := lockFile(f, shared); err != nil {
			if errors.Is(err, ErrLocked) {
				if h, err := readHeader(f); err == nil && h.PID > 0 {
					f.Close()
					return nil, false, fmt.Errorf("%s: %w (process %d)", name, ErrLocked, h.PID)
				}
			}
			f.Close()
			return nil, false, fmt.Errorf("lock %s: %w", name, err)
		}
		same, err := names(name, f)
		if same {
			return f, made, nil
		}
		f.Close() // the lock is on a file that was removed between opening and locking
		if err != nil {
			return nil, false, err
		}
	}
	return nil, false, fmt.Errorf("%s: %w", name, ErrLocked)
}

func (osFS) Publish(f File, from, to string, o PublishOptions) error {
	there, err := names(to, f)
	if err != nil {
		return err
	}
	here, err := names(from, f)
	if err != nil {
		return err
	}
	switch {
	case there && here: // an attempt before this one came to the second link
		err = os.Remove(from)
	case there: // or further
	case !here:
		err = &fs.PathError{Op: "rename", Path: from, Err: ErrChanged}
	case o.Replace:
		err = os.Rename(from, to)
	default:
		err = renameNew(from, to)
	}
	if err != nil {
		return err
	}
	if o.Fsync {
		return atomicfile.SyncFolder(filepath.Dir(to))
	}
	return nil
}

func (osFS) Remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// names reports whether a path names that very file. A path that names nothing does not.
func names(path string, f File) (bool, error) {
	fi, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return os.SameFile(fi, now), nil
}

// renameLinked is a rename that replaces nothing, by a second link; where there are no links, by looking first, which
// another process may outrun.
func renameLinked(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, statErr := os.Lstat(to); statErr == nil {
		return &fs.PathError{Op: "rename", Path: to, Err: ErrExists}
	} else if !errors.Is(statErr, fs.ErrNotExist) {
		return statErr
	}
	return os.Rename(from, to)
}
