package mirror

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// offerPages serves the manifests of the versions that are there.
func (m *Mirror) offerPages(ctx context.Context) error {
	vs, err := m.tree.Versions()
	if err != nil {
		return err
	}
	for _, v := range vs {
		// Of a tree that another node has left there may be none: it will be fetched.
		if err := m.offerHead(ctx, v.Head); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return m.offerPage(ctx)
}

func (m *Mirror) offerHead(ctx context.Context, h Head) error {
	paths, err := m.pages.kept(ctx, []Head{h})
	if err != nil {
		return err
	}
	var kept []Kept
	for _, path := range paths {
		fi, err := os.Lstat(path)
		if err != nil {
			return err
		}
		sums, err := sumFile(ctx, path, fi.Size())
		if err != nil {
			return err
		}
		k, err := keptAt(path, sums)
		if err != nil {
			return err
		}
		kept = append(kept, k)
	}
	return m.set.cfg.Shelf.Offer(kept)
}
