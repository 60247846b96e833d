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
	denied := map[chunk.Hash]int64{} // sizes
	for _, m := range s.Mirrors() {
		vs, err := m.tree.Versions()
		if err != nil {
			return 0, 0, err
		}
		for _, v := range vs {
			err := m.pages.known(ctx, v.Head)(func(f folder.File) error {
				if !s.cfg.Deny.DeniesContent(f.IDs()...) {
					return nil
				}
				denied[f.BLAKE3] = f.Size
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
	for h, size := range denied {
		path := s.contents.Path(h)
		if !s.contents.Has(h) {
			continue
		}
		err := s.cfg.Shelf.Withdraw([]string{path})
		if err == nil {
			err = s.contents.Remove(ctx, h)
		}
		if err != nil {
			return contents, bytes, err
		}
		contents++
		bytes += size
	}
	return contents, bytes, nil
}
