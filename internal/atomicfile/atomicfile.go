// Package atomicfile writes small files whole or not at all: whoever reads the name, also after a crash, finds the old
// text or the new one. It is not for contents, which are written where they stay and verified ([sharer/chunk]).
package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Suffix is what the name of a text has at its end until it is whole. What a killed process left under it is overwritten by
// the next [Write] of that file, so that leftovers do not pile up.
const Suffix = ".new"

// Sync says what a power cut may take. That a process is killed takes nothing in any of them.
type Sync int

const (
	Durable Sync = iota // once Write has returned, the new text is there after a power cut
	Ordered             // after a power cut the old text is there or the new one; for what can be asked for again
	Lazy                // after a power cut the file may also be empty; for what is made anew in that case
)

// How is what a file needs besides being whole. The zero value is the careful one.
type How struct {
	// Mode are the rights of the file, for whom the umask does not matter; 0 means 0600 less the umask.
	Mode fs.FileMode
	Sync Sync
	// Shared: other processes may write the same file at the same time, and each needs a name of its own until it is whole.
	// What a killed process leaves then stays, under a hidden name.
	Shared bool
}

// Write replaces the file at path by data. On an error the old file is untouched and nothing is left beside it, but for an error
// of the folder's sync, which comes when the new one is in place. The error names a path.
func Write(path string, data []byte, how How) error {
	return system.write(path, data, how)
}

// SyncFolder brings the names in a folder to the disk, where the system can; elsewhere the file system orders a rename
// behind what it renames.
func SyncFolder(dir string) error { return syncFolder(dir) }

// file is what Write needs of a file.
type file interface {
	io.Writer
	Name() string
	Chmod(fs.FileMode) error
	Sync() error
	Close() error
}

// calls are those of the system; tests have their own, that fail.
type calls struct {
	create  func(path string) (file, error)         // empty, whether it was there or not
	another func(dir, pattern string) (file, error) // of a name that nobody has
	rename  func(from, to string) error
	remove  func(path string) error
	sync    func(dir string) error
}

var system = calls{
	create: func(path string) (file, error) {
		return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	},
	another: func(dir, pattern string) (file, error) { return os.CreateTemp(dir, pattern) },
	rename:  os.Rename, // replaces a file on Windows too
	remove:  os.Remove,
	sync:    syncFolder,
}

func (c calls) write(path string, data []byte, how How) error {
	var f file
	var err error
	if how.Shared {
		f, err = c.another(filepath.Dir(path), "."+filepath.Base(path)+".*"+Suffix)
	} else {
		f, err = c.create(path + Suffix)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && how.Mode != 0 {
		err = f.Chmod(how.Mode)
	}
	if err == nil && how.Sync != Lazy {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil { // closed first: Windows renames no open file
		err = c.rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, c.remove(f.Name()))
	}
	if how.Sync == Durable {
		return c.sync(filepath.Dir(path))
	}
	return nil
}
