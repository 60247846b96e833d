package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"sharer/chunk"
	"sharer/control"
	"sharer/folder"
	"sharer/identity"
	"sharer/seed"
)

// Published is a name of ours that stands for what is at a path: whenever a scan finds that changed, the name is signed anew.
type Published struct {
	Name string       `json:"name"`
	Path control.Path `json:"path"` // absolute, of a seed
}

// PublishPath seeds the one path of o and publishes it under a name, now and, while this daemon runs and after its restarts,
// whenever it is found changed. It returns the records: one of a file, three of a folder.
func (d *Daemon) PublishPath(ctx context.Context, name string, o seed.Options, emit func(seed.Event)) ([]identity.Record, error) {
	if len(o.Paths) != 1 {
		return nil, errors.New("daemon: one path is published under a name")
	}
	if err := identity.CheckName(name + identity.ManifestName); err != nil {
		return nil, err
	}
	root, err := filepath.Abs(o.Paths[0])
	if err != nil {
		return nil, err
	}
	undo, err := d.notePublished(Published{name, control.Path(root)})
	if err != nil {
		return nil, err
	}
	report, err := d.Seed(ctx, o, emit)
	if err == nil && report.Files == 0 {
		err = fmt.Errorf("there is nothing to publish in %s", root)
	}
	if err != nil {
		return nil, errors.Join(err, undo())
	}
	rs := slices.DeleteFunc(d.Records(), func(r identity.Record) bool {
		return r.Key != d.Key() || r.Path != name && r.Path != name+identity.ManifestName && r.Path != name+identity.ListingName
	})
	slices.SortFunc(rs, func(a, b identity.Record) int { return len(a.Path) - len(b.Path) })
	return rs, nil
}

// notePublished remembers that a name stands for a path, and for no other any more. undo makes that as it was.
func (d *Daemon) notePublished(p Published) (undo func() error, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.saved.Published
	same := func(o *Published) bool { return o.Name == p.Name }
	d.saved.Published = append(slices.DeleteFunc(slices.Clone(before), same), &p)
	if err := d.saveLocked(); err != nil {
		d.saved.Published = before
		return nil, err
	}
	return func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		i := slices.Index(d.saved.Published, &p)
		if i < 0 {
			return nil // somebody has said something else since
		}
		next := slices.Delete(slices.Clone(d.saved.Published), i, i+1)
		if was := slices.IndexFunc(before, same); was >= 0 {
			next = append(next, before[was])
		}
		d.saved.Published = next // the other names are as they are by now
		return d.saveLocked()
	}, nil
}

// namesOf are the names that stand for a path.
func (d *Daemon) namesOf(root string) (names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.saved.Published {
		if string(p.Path) == root {
			names = append(names, p.Name)
		}
	}
	return names
}

// publishedBefore says whether all names that stand for a path have a version already.
func (d *Daemon) publishedBefore(root string) bool {
	names := d.namesOf(root)
	rs := d.Records()
	for _, name := range names {
		if !slices.ContainsFunc(rs, func(r identity.Record) bool { return r.Key == d.Key() && r.Path == name }) {
			return false
		}
	}
	return len(names) > 0
}

// signed says whether the names that stand for a folder lead to just this list of it.
func (d *Daemon) signed(f seed.Folder) bool {
	rs := d.Records()
	for _, name := range d.namesOf(f.Root) {
		if !slices.ContainsFunc(rs, func(r identity.Record) bool {
			return r.Key == d.Key() && r.Path == name && r.SHA256 == f.Sums.SHA256
		}) {
			return false
		}
	}
	return true
}

// publishFile signs what a scan has found at a path that is a file.
func (d *Daemon) publishFile(ctx context.Context, root string, sums chunk.Sums) error {
	for _, name := range d.namesOf(root) {
		if _, err := d.Publish(ctx, name, sums); err != nil {
			return err
		}
	}
	return nil
}

// publishFolder signs what a scan has found in a folder: first what the name will lead to.
func (d *Daemon) publishFolder(ctx context.Context, f seed.Folder, all folder.Folder) error {
	names := d.namesOf(f.Root)
	if len(names) == 0 {
		return nil
	}
	listing, err := d.OfferPage(ctx, f.Root, all.Listing())
	if err != nil {
		return err
	}
	for _, name := range names {
		for _, p := range []struct {
			name string
			sums chunk.Sums
		}{{name + identity.ListingName, listing}, {name + identity.ManifestName, f.Sums}, {name, f.Sums}} {
			if _, err := d.Publish(ctx, p.name, p.sums); err != nil {
				return err
			}
		}
	}
	return nil
}
