package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sharer/chunk"
	"sharer/control"
	"sharer/folder"
)

// Remove ends items: what is seeded is not offered any more, a download stops. With DeleteData what a download made is deleted
// as well, unless it was changed since or is seeded for itself. What is seeded is never deleted.
func (d *Daemon) Remove(ctx context.Context, c control.Change) (control.Changed, error) {
	items, err := find(d.own(), c.What, string(c.Abs))
	if err != nil {
		return control.Changed{}, err
	}
	done := control.Changed{}
	for _, it := range items {
		if it.Pinned {
			return done, fmt.Errorf("%s is pinned: %w; sharer unpin %s first", it.Name, control.ErrRefused, it.ID)
		}
	}
	for _, it := range items {
		switch it.Kind {
		case "seed":
			if err = d.removeSeed(string(it.Path)); c.DeleteData {
				done.Kept = append(done.Kept, it.Path)
			}
		case "get":
			err = d.removeJob(ctx, it.Job, c.DeleteData, &done)
		case "kept":
			err = d.Discard(contentID(it.ID))
		}
		if err != nil {
			return done, err
		}
		d.log.Info("removed", "kind", it.Kind, "name", it.Name)
		done.Items = append(done.Items, it)
	}
	return done, nil
}

func (d *Daemon) removeSeed(root string) error {
	d.seeding.Lock()
	defer d.seeding.Unlock()
	d.mu.Lock()
	d.dropSeedsLocked(func(s string) bool { return s == root })
	d.mu.Unlock()
	d.watcher.Remove(root)
	err := errors.Join(d.WithdrawRoot(root), d.DropFolder(root))
	d.offerAgain(root)
	return err
}

// offerAgain looks again at what is seeded or was fetched below or above a root that was withdrawn.
func (d *Daemon) offerAgain(root string) {
	sep := string(filepath.Separator)
	near := func(path string) bool {
		return strings.HasPrefix(path+sep, root+sep) || strings.HasPrefix(root+sep, path+sep)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return
	}
	for _, s := range d.seeds {
		if near(string(s.Path)) && !s.fresh { // else it is being scanned
			o := s.options()
			d.hashing[string(s.Path)]++
			d.wg.Go(func() { d.rescan(o) })
		}
	}
	for _, j := range d.saved.Jobs {
		if j.State == JobDone && j.keeps() && near(string(j.Fetch.Path)) {
			job := *j
			d.wg.Go(func() { d.offerDone(job) })
		}
	}
}

// removeJob stops a job and takes it off the list.
func (d *Daemon) removeJob(ctx context.Context, id string, data bool, done *control.Changed) error {
	d.mu.Lock()
	for r := d.running[id]; r != nil; r = d.running[id] {
		r.leaving = true
		d.mu.Unlock()
		r.stop(errPaused)
		select {
		case <-r.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		d.mu.Lock()
	}
	j := d.jobLocked(id)
	if j == nil {
		d.mu.Unlock()
		return nil // it ended by itself
	}
	if j.State == JobWaiting {
		j.State = JobPaused // or it would go on when what is deleted makes room
	}
	job := *j
	var seeded []string
	for _, s := range d.seeds {
		seeded = append(seeded, string(s.Path))
	}
	d.mu.Unlock()
	var err error
	if data {
		err = d.deleteData(&job, seeded, done)
	}
	d.mu.Lock()
	if d.running[id] == nil { // else somebody has given the get again
		d.forgetJobLocked(j)
		err = errors.Join(err, d.saveLocked())
	}
	d.mu.Unlock()
	return errors.Join(err, d.withdrawJob(id, string(job.Fetch.Path)))
}

// deleteData deletes what a job has made and nobody has touched since.
func (d *Daemon) deleteData(j *Job, seeded []string, done *control.Changed) error {
	path := string(j.Fetch.Path)
	stamps := map[string]chunk.Stamp{}
	var made []string
	partials := []string{chunk.PartName(path), chunk.PartName(path) + ".sharer"}
	if j.Fetch.Folder != nil {
		list, err := d.readMade(j.ID)
		if err != nil {
			return err
		}
		for _, m := range list {
			name := filepath.Join(path, filepath.FromSlash(m.Path))
			if _, twice := stamps[name]; !twice {
				made = append(made, name)
			}
			stamps[name] = m.Stamp
		}
		partials = []string{filepath.Join(path, folder.Stage)}
	} else if j.Made != nil {
		made, stamps[path] = []string{path}, *j.Made
	}
	var errs error
	for _, name := range made {
		now := stampOf(name)
		switch {
		case now == nil:
		case seededBy(name, seeded), stamps[name] != *now:
			done.Kept = append(done.Kept, control.Path(name))
		default:
			if err := os.Remove(name); err != nil {
				errs = errors.Join(errs, err)
				continue
			}
			done.Deleted = append(done.Deleted, control.Path(name))
		}
	}
	if j.State != JobDone || j.Fetch.Folder != nil {
		for _, name := range partials {
			if !seededBy(name, seeded) {
				errs = errors.Join(errs, os.RemoveAll(name))
			}
		}
	}
	if j.Fetch.Folder != nil {
		removeEmpty(path, made)
	}
	return errs
}

// seededBy says whether a path is one that is seeded for itself, or lies below one.
func seededBy(path string, roots []string) bool {
	for _, root := range roots {
		for _, r := range []string{root, resolved(root)} {
			if rel, err := filepath.Rel(r, resolved(path)); err == nil && filepath.IsLocal(rel) {
				return true
			}
		}
	}
	return false
}

// resolved is a path without links on the way; the last part may be missing.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

// removeEmpty removes the folders of a download that hold nothing any more, the deepest first. One that is not empty stays.
func removeEmpty(root string, files []string) {
	dirs := map[string]bool{root: true}
	for _, f := range files {
		for dir := filepath.Dir(f); len(dir) > len(root); dir = filepath.Dir(dir) {
			dirs[dir] = true
		}
	}
	order := make([]string, 0, len(dirs))
	for dir := range dirs {
		order = append(order, dir)
	}
	slices.SortFunc(order, func(a, b string) int { return len(b) - len(a) })
	for _, dir := range order {
		_ = os.Remove(dir)
	}
}
