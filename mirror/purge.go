package mirror

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sharer/chunk"
	"sharer/folder"
)

// Purge removes the contents that are denied, and their names in all versions: the one case in which a version changes
// while it is read. Their next build leaves them out.
func (s *Set) Purge(ctx context.Context) (contents int, bytes int64, err error) {
	if s.cfg.Deny == nil {
		return 0, 0, nil
	}
	end, err := s.turn(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer end()
	denied := map[chunk.Hash]bool{}
	for _, m := range s.Mirrors() {
		vs, err := m.tree.Versions()
		if err != nil {
			return 0, 0, err
		}
		for _, v := range vs {
			err := m.pages.known(ctx, v.Head)(func(f folder.File) error {
				if !s.cfg.Deny.DeniesContent(ids(f)...) {
					return nil
				}
				denied[f.BLAKE3] = true
				err := os.Remove(filepath.Join(m.tree.Dir(v.Head), filepath.FromSlash(f.Path)))
				if errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				return err
			})
			if err != nil {
				return 0, 0, err
			}
		}
	}
	for h := range denied {
		path := s.cfg.Blobs.Path(h)
		fi, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = s.cfg.Shelf.Withdraw([]string{path})
		}
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil {
			return contents, bytes, err
		}
		contents++
		bytes += fi.Size()
	}
	return contents, bytes, nil
}
