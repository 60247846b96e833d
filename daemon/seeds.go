package daemon

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/control"
	"sharer/folder"
	"sharer/seed"
)

// Seed is a file or a folder that is seeded where it is.
type Seed struct {
	Path        control.Path `json:"path"` // absolute
	Exclude     []string     `json:"exclude,omitempty"`
	FollowLinks bool         `json:"follow_links,omitempty"`
	Added       time.Time    `json:"added"`

	// Of the last scan.
	ID     chunk.ID `json:"id"`               // of a file
	Folder string   `json:"folder,omitempty"` // hex of a folder's id
	Files  int      `json:"files"`
	Bytes  int64    `json:"bytes"`
	Listed int64    `json:"listed,omitempty"` // of a folder, those that its list names: some files none can hold

	fresh bool // no scan of it has ended well yet
}

func (s *Seed) options() seed.Options {
	return seed.Options{Paths: []string{string(s.Path)}, Exclude: s.Exclude, FollowLinks: s.FollowLinks}
}

// offerDone offers what a job has fetched, unless it is removed, or its time is over, meanwhile.
func (d *Daemon) offerDone(j Job) {
	if d.ctx.Err() != nil {
		return // there may be thousands of jobs, and their lists are long
	}
	d.offerFetched(j)
	d.mu.Lock()
	now := d.jobLocked(j.ID)
	gone := now == nil || !now.keeps()
	d.mu.Unlock()
	if !gone {
		return
	}
	if err := d.withdrawJob(j.ID, string(j.Fetch.Path)); err != nil {
		d.log.Warn("what was fetched is still offered", "path", j.Fetch.Path, "err", err)
	}
}

// withdrawJob is the end of offerDone. The job is not one that is offered any more.
func (d *Daemon) withdrawJob(id, path string) error {
	err := errors.Join(d.WithdrawRoot(path), d.DropFolder(id))
	d.offerAgain(path)
	return err
}

// offerFetched offers of a folder the files that were meant, and nothing else that lies there; and its manifest, if all of it was
// meant.
func (d *Daemon) offerFetched(j Job) {
	path := string(j.Fetch.Path)
	if j.Fetch.Folder == nil {
		d.offerFiles(path)
		return
	}
	list, err := d.readList(j.ID)
	if err != nil {
		d.log.Warn("a folder that was fetched is not offered", "job", j.ID, "err", err)
		return
	}
	d.OfferRoot(path) // or each of its files were a root
	var paths []string
	for _, f := range list.Files {
		paths = append(paths, filepath.Join(path, filepath.FromSlash(f.Path)))
	}
	d.offerFiles(paths...)
	pages, err := list.Pages(d.ctx)
	if err == nil && len(pages) > 0 && pages[0].Sums.BLAKE3 == j.Fetch.ID.Hash {
		_, err = d.ReplaceFolder(d.ctx, j.ID, list) // no root is called as a job is
	}
	if err != nil && d.ctx.Err() == nil {
		d.log.Warn("the list of a folder that was fetched is not offered", "job", j.ID, "err", err)
	}
}

// offerFiles offers files that were fetched. They are not watched: one that changes is not served from then on.
func (d *Daemon) offerFiles(paths ...string) {
	_, err := d.Node.Seed(d.ctx, seed.Options{Paths: paths}, func(e seed.Event) {
		if e.Kind == seed.Failed {
			d.log.Warn("not offered", "path", e.Path, "err", e.Err)
		}
	})
	if err != nil && d.ctx.Err() == nil {
		d.log.Warn("what was fetched is not offered", "err", err)
	}
}

// Seed hashes what is new at the paths, offers it, and goes on offering it after a restart. Besides the events of a scan
// there are those of folders as one id. When ctx ends before all is hashed, paths that were not seeded before are not kept.
func (d *Daemon) Seed(ctx context.Context, o seed.Options, emit func(seed.Event)) (seed.Report, error) {
	roots := make([]string, 0, len(o.Paths))
	for _, p := range o.Paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return seed.Report{}, err
		}
		if !slices.Contains(roots, abs) {
			roots = append(roots, abs)
		}
	}
	o.Paths = roots
	if err := d.mirrorsBelow(o); err != nil {
		return seed.Report{}, err
	}
	if err := d.addSeeds(o); err != nil {
		return seed.Report{}, err
	}
	report, found, err := d.scan(ctx, o, false, emit)
	if err == nil {
		err = d.noteSeeds(found)
	}
	if gone := d.scanned(roots); gone != nil {
		err = errors.Join(err, gone)
	}
	return report, err
}

// scanned counts scans of roots as ended. What nobody has found anything of is no seed any more.
func (d *Daemon) scanned(roots []string) error {
	gone := map[string]bool{}
	d.mu.Lock()
	for _, root := range roots {
		if d.hashing[root]--; d.hashing[root] == 0 {
			delete(d.hashing, root)
			if s := d.seedLocked(root); s != nil && s.fresh {
				gone[root] = true
			}
		}
	}
	if len(gone) > 0 {
		d.dropSeedsLocked(func(root string) bool { return gone[root] })
	}
	d.mu.Unlock()
	return d.takeBack(roots)
}

// takeBack ends the offering of roots that are no seeds any more, as such: they may have been removed while they were scanned or listed. Their
// files are the watcher's, which knows what others have too.
func (d *Daemon) takeBack(roots []string) (err error) {
	if d.ctx.Err() != nil {
		return nil // nothing is offered any more
	}
	d.seeding.Lock()
	defer d.seeding.Unlock()
	for _, root := range roots {
		d.mu.Lock()
		s := d.seedLocked(root)
		d.mu.Unlock()
		if s == nil {
			d.ForgetRoot(root)
			err = errors.Join(err, d.DropFolder(root))
		}
	}
	return err
}

func (d *Daemon) seedLocked(root string) *Seed {
	for _, s := range d.seeds {
		if string(s.Path) == root {
			return s
		}
	}
	return nil
}

// scan seeds and makes manifests. found says what each path holds. again: nobody has said that the folders are whole now, they may be in the
// middle of a change; what was published of them and is another now is signed when it has been quiet, by the watch.
func (d *Daemon) scan(ctx context.Context, o seed.Options, again bool, emit func(seed.Event)) (report seed.Report, found map[string]*Seed, err error) {
	if emit == nil {
		emit = func(seed.Event) {}
	}
	o.Private = d.cfg.Node.StateDir // the watcher looks by the same rules
	m := manifestsOf(o.Paths)
	found = map[string]*Seed{}
	alone := map[string]chunk.Sums{} // of the paths that are files
	changing := false                // a file, while it was hashed
	report, err = d.watcher.Add(ctx, o, func(e seed.Event) {
		emit(e)
		changing = changing || e.Kind == seed.Failed && errors.Is(e.Err, seed.ErrChanging)
		if e.Kind != seed.FileDone {
			return
		}
		root := e.File.Root
		s := found[root]
		if s == nil {
			s = &Seed{}
			found[root] = s
		}
		s.Files++
		s.Bytes += e.File.Content.Size
		if m.byRoot[root] == nil {
			c := e.File.Content
			s.ID, alone[root] = chunk.ID{Kind: chunk.BLAKE3, Hash: c.BLAKE3}, chunk.Sums{SHA256: c.SHA256, BLAKE3: c.BLAKE3, Size: c.Size}
		}
		if err := m.take(e.File); err != nil {
			emit(seed.Event{Kind: seed.LeftOut, Path: e.File.Path, Err: err})
		}
	})
	if err != nil {
		return report, found, err
	}
	d.listing.Lock()
	defer d.listing.Unlock()
	err = m.offer(ctx, d.Node, func(f seed.Folder, all folder.Folder) error {
		found[f.Root].Folder, found[f.Root].Listed = f.Sums.BLAKE3.String(), f.Bytes
		emit(seed.Event{Kind: seed.FolderDone, Folder: f})
		if changing && d.publishedBefore(f.Root) {
			return nil // the watch says when all of it is there again
		}
		if again && !d.cfg.Watch.Off && d.publishedBefore(f.Root) && !d.signed(f) {
			d.watcher.Unsettle(f.Root)
			return nil
		}
		return d.publishFolder(ctx, f, all)
	})
	for root, sums := range alone {
		err = errors.Join(err, d.publishFile(ctx, root, sums))
	}
	d.giveBack(report.Files)
	return report, found, err
}

// addSeeds notes paths before they are hashed: a daemon that is killed in the middle goes on. A scan of them begins, see scanned.
func (d *Daemon) addSeeds(o seed.Options) error {
	d.seeding.Lock()
	defer d.seeding.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	at := make(map[control.Path]*Seed, len(d.seeds))
	for _, s := range d.seeds {
		at[s.Path] = s
	}
	for _, root := range o.Paths {
		s := at[control.Path(root)]
		if s == nil {
			s = &Seed{Path: control.Path(root), Added: time.Now().UTC().Truncate(time.Second), fresh: true}
			d.seeds = append(d.seeds, s)
		}
		s.Exclude, s.FollowLinks = o.Exclude, o.FollowLinks
	}
	if err := d.saveLocked(); err != nil {
		return err
	}
	for _, root := range o.Paths {
		d.hashing[root]++
	}
	return nil
}

func (d *Daemon) dropSeedsLocked(which func(root string) bool) {
	d.seeds = slices.DeleteFunc(d.seeds, func(s *Seed) bool { return which(string(s.Path)) })
	if err := d.saveLocked(); err != nil {
		d.log.Warn("daemon.json could not be kept", "err", err)
	}
}

// noteSeeds notes what a scan has found.
func (d *Daemon) noteSeeds(found map[string]*Seed) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.seeds {
		if f := found[string(s.Path)]; f != nil {
			s.ID, s.Folder, s.Files, s.Bytes, s.Listed, s.fresh = f.ID, f.Folder, f.Files, f.Bytes, f.Listed, false
		}
	}
	return d.saveLocked()
}

// restoreSeeds hashes what has changed meanwhile, and offers everything, beside the rest of the start.
func (d *Daemon) restoreSeeds() {
	type options struct {
		exclude string
		follow  bool
	}
	var order []*seed.Options
	groups := map[options]*seed.Options{} // what was seeded alike is scanned in one go
	for _, s := range d.seeds {
		key := options{strings.Join(s.Exclude, "\x00"), s.FollowLinks}
		if groups[key] == nil {
			groups[key] = &seed.Options{Exclude: s.Exclude, FollowLinks: s.FollowLinks}
			order = append(order, groups[key])
		}
		groups[key].Paths = append(groups[key].Paths, string(s.Path))
		d.hashing[string(s.Path)]++
	}
	var done []Job
	for _, j := range d.saved.Jobs {
		if j.State == JobDone && j.keeps() {
			done = append(done, *j)
		}
	}
	d.wg.Go(func() {
		for _, o := range order {
			d.rescan(*o)
		}
		for _, j := range done {
			d.offerDone(j)
		}
		d.restored.Store(true)
	})
}

// rescan scans what is seeded already, and was counted in hashing; what goes wrong is in the log.
func (d *Daemon) rescan(o seed.Options) {
	roots := o.Paths
	d.mu.Lock()
	o.Paths = slices.DeleteFunc(slices.Clone(roots), func(root string) bool { return d.seedLocked(root) == nil })
	d.mu.Unlock()
	var err error
	if len(o.Paths) > 0 {
		var found map[string]*Seed
		_, found, err = d.scan(d.ctx, o, true, func(e seed.Event) {
			if e.Kind == seed.Failed {
				d.log.Warn("not seeded", "path", e.Path, "err", e.Err)
			}
		})
		if err == nil {
			err = d.noteSeeds(found)
		}
	}
	if err = errors.Join(err, d.scanned(roots)); err != nil && d.ctx.Err() == nil {
		d.log.Warn("looking at what is seeded", "err", err)
	}
}

// MaySeed says whether path lies in a folder that other users may have seeded. Links on the way do not lead out.
func (d *Daemon) MaySeed(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	for _, root := range d.cfg.SeedRoots {
		if root, err = filepath.EvalSymlinks(root); err != nil {
			continue
		}
		if rel, err := filepath.Rel(root, real); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}
