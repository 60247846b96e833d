//go:build unix

package daemon

import (
	"errors"
	"os"
)

// syncDir puts the names of a folder on the medium.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
