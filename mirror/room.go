package mirror

import (
	"context"
	"os"
	"path/filepath"

	"sharer/folder"
)

// makeRoom lets earlier versions go before their time, the oldest first, when their contents would be more than the quota beside
// the current version and the one that comes. Else a flood of versions that change everything filled as many quotas as
// versions stay for their grace. The caller has the turn.
func (m *Mirror) makeRoom(ctx context.Context, comes Files) error {
	m.mu.Lock()
	quota, current := m.spec.Rules.Quota, m.current
	m.mu.Unlock()
	if quota == 0 || current.Zero() {
		return nil
	}
	vs, err := m.tree.Versions()
	if err != nil {
		return err
	}
	var all []want
	add := func(f folder.File) error {
		all = append(all, want{keyOf(f.BLAKE3), f.Size})
		return nil
	}
	if err := comes(add); err != nil {
		return err
	}
	stay := 0
	for _, v := range vs {
		if current.after(v.Head) || v.Head == current.Head {
			err := m.pages.known(ctx, v.Head)(func(f folder.File) error {
				if !m.carries(v.Head, f) {
					return nil
				}
				return add(f)
			})
			if err != nil {
				return err
			}
			if all = unique(all); stay > 0 && sum(all) > quota {
				break
			}
			stay++
		}
	}
	gone, err := m.tree.Retire(stay, 0, m.set.now())
	if err != nil || len(gone) == 0 {
		return err
	}
	m.set.garbage.Store(true)
	if err := m.tidy(ctx); err != nil {
		return err
	}
	return m.set.collectDue()
}

// carries says whether a file of a version that is there is carried.
func (m *Mirror) carries(h Head, f folder.File) bool {
	if m.set.cfg.Remote != nil {
		return m.set.contents.Has(f.BLAKE3)
	}
	_, err := os.Lstat(filepath.Join(m.tree.Dir(h), filepath.FromSlash(f.Path)))
	return err == nil
}
