package daemon

import (
	"context"
	"errors"
	"io/fs"
	"runtime/debug"
	"slices"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/seed"
	"sharer/watch"
)

const (
	relistPause = time.Second // between two lists of folders that change all the time
	relistTimes = 20          // or as many times as long as making the last one took: a twentieth of a core at most
)

// openWatcher starts what keeps the seeds true to the disk.
func (d *Daemon) openWatcher() {
	o := d.cfg.Watch
	o.Event = d.watched
	d.relist = make(chan struct{}, 1)
	d.watcher = watch.New(d.Node, o)
	d.wg.Go(func() { d.relists(d.ctx) })
}

// changeWords are the labels of what the watcher tells.
var changeWords = map[watch.Kind]string{watch.Offered: "offered", watch.Moved: "moved", watch.Withdrawn: "withdrawn", watch.Failed: "failed"}

// watched takes what the watcher tells.
func (d *Daemon) watched(e watch.Event) {
	if word, ok := changeWords[e.Kind]; ok {
		d.seedChanges.Add(1, word)
	}
	switch e.Kind {
	case watch.Note:
		d.log.Warn(e.Text)
	case watch.Failed:
		d.log.Warn("not seeded", "path", e.Path, "err", e.Err)
	case watch.Offered:
		d.log.Info("seeded", "path", e.File.Path, "id", e.File.Content.BLAKE3)
	case watch.Moved:
		d.log.Info("renamed", "path", e.File.Path, "from", e.From)
	case watch.Withdrawn:
		d.log.Info("not seeded any more", "path", e.Path)
	case watch.Settled:
		d.mu.Lock()
		if !slices.Contains(d.changed, e.Root) {
			d.changed = append(d.changed, e.Root)
		}
		d.mu.Unlock()
		select {
		case d.relist <- struct{}{}:
		default:
		}
		return
	}
	d.tell(e, nil)
}

func (d *Daemon) tell(e watch.Event, f *seed.Folder) {
	if d.cfg.Changed != nil {
		d.cfg.Changed(e, f)
	}
}

// relists makes new manifests of folders that have changed.
func (d *Daemon) relists(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.relist:
		}
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		d.mu.Lock()
		roots := d.changed
		d.changed = nil
		d.mu.Unlock()
		begun := time.Now()
		for _, root := range roots {
			if err := d.list(root); err != nil && ctx.Err() == nil {
				d.log.Warn("the folder's new list", "path", root, "err", err)
			}
		}
		_, files, _ := d.seeded()
		d.giveBack(files)
		pause.Reset(max(relistPause, relistTimes*time.Since(begun)))
	}
}

// sweepEvery is how often trees are looked for whose files have changed or are gone: with 100,000 trees one time takes about a second.
const sweepEvery = time.Hour

// sweep removes such trees, once the seeds of earlier runs have been looked at.
func (d *Daemon) sweep() {
	if !d.restored.Load() {
		return
	}
	removed, err := d.SweepTrees(d.ctx)
	if err != nil && d.ctx.Err() == nil {
		d.log.Warn("trees of files that are gone stay", "err", err)
	}
	if removed > 0 {
		d.log.Info("trees of files that are gone or have changed are removed", "trees", removed)
	}
}

// manyFiles is from how many files on what making their list took of memory, some 500 bytes each, is given back at once.
const manyFiles = 20_000

// giveBack gives memory back to the system after work on so many files: else a daemon at rest keeps it for long.
func (d *Daemon) giveBack(files int) {
	if files >= manyFiles && d.ctx.Err() == nil {
		debug.FreeOSMemory()
	}
}

// list notes what a seed holds now, and offers its manifest if it is a folder.
func (d *Daemon) list(root string) error {
	d.listing.Lock()
	defer d.listing.Unlock()
	m := manifestsOf([]string{root})
	s := &Seed{}
	var last seed.File
	err := d.watcher.Files(root, func(f seed.File) error {
		s.Files++
		s.Bytes += f.Content.Size
		last = f
		_ = m.take(f) // what no manifest can hold was told when it was seeded
		return d.ctx.Err()
	})
	switch {
	case errors.Is(err, watch.ErrUnsettled):
		return nil // the list that was made before holds until then
	case errors.Is(err, fs.ErrNotExist):
		return nil // it was removed meanwhile
	}
	if err != nil {
		return err
	}
	var made *seed.Folder
	if m.byRoot[root] == nil && s.Files == 1 {
		c := last.Content
		s.ID = chunk.ID{Kind: chunk.BLAKE3, Hash: c.BLAKE3}
		if err := d.publishFile(d.ctx, root, chunk.Sums{SHA256: c.SHA256, BLAKE3: c.BLAKE3, Size: c.Size}); err != nil {
			return err
		}
	}
	err = m.offer(d.ctx, d.Node, func(f seed.Folder, all folder.Folder) error {
		made = &f
		return d.publishFolder(d.ctx, f, all)
	})
	if err = errors.Join(err, d.takeBack([]string{root})); err != nil {
		return err
	}
	if made != nil {
		s.Folder, s.Listed = made.Sums.BLAKE3.String(), made.Bytes
	}
	if err := d.noteSeeds(map[string]*Seed{root: s}); err != nil {
		return err
	}
	d.log.Info("listed anew", "path", root, "files", s.Files)
	d.tell(watch.Event{Kind: watch.Settled, Root: root}, made)
	return nil
}

// Doubt stops offering files that somebody has read again and found to be not what they were. What has changed is hashed
// anew by the watch; what is damaged, under the stamp that it had, stays withdrawn until the next start.
func (d *Daemon) Doubt(paths []string) {
	d.Withdraw(paths...)
	d.watcher.Look("")
}
