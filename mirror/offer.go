package mirror

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"sharer/chunk"
	"sharer/folder"
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

// offerBatch is how many contents are offered with one call: 1 MiB.
const offerBatch = 4000

// Reoffer has all contents served again when fewer are than there are: who keeps account of what is served may have lost it. What the
// manifests say of a content is what was verified; of those that say no SHA-256 it is read once more.
func (s *Set) Reoffer(ctx context.Context, offered int) error {
	there := 0
	if err := s.contents.Each(func(chunk.Hash, int64) error { there++; return ctx.Err() }); err != nil || there <= offered {
		return err
	}
	s.cfg.Log.Info("contents of mirrors are offered again", "there", there, "known", offered)
	var batch []Kept
	flush := func() error {
		err := s.cfg.Shelf.Offer(batch)
		batch = batch[:0]
		return err
	}
	for _, m := range s.Mirrors() {
		vs, err := m.tree.Versions()
		if err != nil {
			return err
		}
		for _, v := range vs {
			err := m.pages.known(ctx, v.Head)(func(f folder.File) error {
				k, there, err := s.keptNow(ctx, f)
				if err != nil || !there {
					return err
				}
				if batch = append(batch, k); len(batch) < offerBatch {
					return nil
				}
				return flush()
			})
			if err != nil {
				return err
			}
		}
	}
	return flush()
}

// keptNow is a content of a version as it lies there, if it does.
func (s *Set) keptNow(ctx context.Context, f folder.File) (k Kept, there bool, err error) {
	if !s.contents.Has(f.BLAKE3) {
		return Kept{}, false, ctx.Err()
	}
	sums := chunk.Sums{BLAKE3: f.BLAKE3, SHA256: f.SHA256, Size: f.Size}
	if f.SHA256 == (chunk.Hash{}) {
		in, err := s.contents.Open(ctx, f.BLAKE3, f.Size)
		if err != nil {
			return Kept{}, false, nil // damaged: the scrub will find it
		}
		defer in.Close()
		if sums, err = chunk.Sum(ctx, in, f.Size, nil, nil); err != nil || sums.BLAKE3 != f.BLAKE3 {
			return Kept{}, false, ctx.Err()
		}
	}
	k, err = keptAt(s.contents.Path(f.BLAKE3), sums)
	if errors.Is(err, fs.ErrNotExist) {
		return Kept{}, false, nil // it was collected meanwhile
	}
	return k, err == nil, err
}
