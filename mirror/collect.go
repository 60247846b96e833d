package mirror

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"

	"sharer/chunk"
	"sharer/folder"
)

// turn waits until no other mirror brings contents.
func (s *Set) turn(ctx context.Context) (end func(), err error) {
	select {
	case <-s.turns:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.endTurn, nil
}

// endTurn removes what no version has, and lets the next one work.
func (s *Set) endTurn() {
	if err := s.collectDue(); err != nil && s.ctx.Err() == nil {
		s.cfg.Log.Warn("contents that no mirror has any more could not be removed", "err", err)
	}
	s.turns <- struct{}{}
}

func (s *Set) collectDue() error {
	if !s.garbage.Load() {
		return nil
	}
	return s.collect(s.ctx)
}

// collectSoon removes what no version has, now, or at the end of the turn of who works.
func (s *Set) collectSoon() error {
	s.garbage.Store(true)
	select {
	case <-s.turns:
	default:
		return nil
	}
	err := s.collectDue()
	s.turns <- struct{}{}
	return err
}

// collect removes the contents that no version of any mirror has, nor one that comes, and what began to arrive for one that nobody wants any
// more. The caller has the turn. It takes 8 bytes a file of all versions.
func (s *Set) collect(ctx context.Context) error {
	s.garbage.Store(false)
	if s.lacking {
		return nil
	}
	var used []uint64
	for _, m := range s.Mirrors() {
		vs, err := m.tree.Versions()
		if err != nil {
			return err
		}
		m.mu.Lock()
		heads := []Head{m.state.Latest()} // what has come of it stays for the next attempt
		m.mu.Unlock()
		for _, v := range vs {
			heads = append(heads, v.Head)
		}
		for _, h := range heads {
			err := m.pages.known(ctx, h)(func(f folder.File) error {
				used = append(used, keyOf(f.BLAKE3))
				return nil
			})
			if err != nil {
				return err // a manifest that cannot be read: nothing is removed
			}
		}
	}
	slices.Sort(used)
	var gone []chunk.Hash
	var paths []string
	err := s.contents.Each(func(h chunk.Hash, _ int64) error {
		if _, wanted := slices.BinarySearch(used, keyOf(h)); !wanted {
			gone, paths = append(gone, h), append(paths, s.contents.Path(h))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.cfg.Shelf.Withdraw(paths); err != nil {
		return err
	}
	for _, h := range gone { // all that was withdrawn: what stayed would be there, and not offered
		if err := s.contents.Remove(ctx, h); err != nil {
			return err
		}
	}
	for _, m := range s.Mirrors() {
		m.mu.Lock()
		comes := m.state.Wants(m.current.Head)
		m.mu.Unlock()
		if comes {
			return nil // what has begun to arrive may be for it
		}
	}
	return s.cfg.Blobs.Clear()
}

// room is that of the disk which contents are to fill. One elsewhere has no end that is known here: the quota holds.
func (s *Set) room() (Disk, error) {
	if s.cfg.Remote != nil {
		return Disk{Free: math.MaxInt64 / 2, Total: math.MaxInt64 / 2, Inodes: -1}, nil
	}
	return s.cfg.Disk(s.cfg.Blobs.dir)
}

// links says whether contents can be linked into a folder, so that a tree costs no bytes.
func (s *Set) links(dir string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	can, known := s.linked[dir]
	if s.cfg.Remote != nil {
		return true // it has no files
	}
	if known {
		return can
	}
	probe, to := filepath.Join(s.cfg.Blobs.New(), ".probe"), filepath.Join(dir, ".sharer-probe")
	_ = os.Remove(to) // of a run that was killed here
	if os.WriteFile(probe, nil, 0o600) == nil {
		can = os.Link(probe, to) == nil
	}
	_, _ = os.Remove(probe), os.Remove(to)
	s.linked[dir] = can
	return can
}
