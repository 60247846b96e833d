//go:build !linux

package mirror

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sharer/internal/atomicfile"
)

// clone: not used here; the content is linked or copied.
func clone(string, *os.Root, string) (bool, error) { return false, nil }

// syncTree brings a folder and all in it to the disk.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return atomicfile.SyncFolder(path)
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(flush(f), f.Close())
	})
}
