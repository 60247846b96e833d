package mirror

import (
	"iter"

	"sharer/folder"
)

// pull turns files that are pushed into files that are asked for. stop must be called.
func pull(files Files) (next func() (folder.File, bool, error), stop func()) {
	var failed error
	one, end := iter.Pull(func(yield func(folder.File) bool) {
		err := files(func(f folder.File) error {
			if !yield(f) {
				return errStopped
			}
			return nil
		})
		if err != errStopped {
			failed = err
		}
	})
	return func() (folder.File, bool, error) {
		f, ok := one()
		if !ok && failed != nil {
			return folder.File{}, false, failed
		}
		return f, ok, nil
	}, end
}
