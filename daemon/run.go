package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	pathpkg "path"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"sharer/control"
	"sharer/folder"
	"sharer/node"
	"sharer/store"
)

// run is a job at work.
type run struct {
	job      *Job
	stop     context.CancelCauseFunc
	done     chan struct{}
	out      *control.Follower // who gets the bytes; nil: they go to a file only
	detached bool              // it goes on though nobody follows it; guarded by Daemon.mu
	leaving  bool              // it has been stopped, and nobody joins it any more; likewise

	// Set before done is closed.
	got    node.Got
	err    error
	failed int // files of a folder

	mu        sync.Mutex
	last      *node.FolderProgress
	looked    time.Time // at the disk
	followers map[*control.Follower]bool
}

func newRun(j *Job, stop context.CancelCauseFunc, follow *control.Follower) *run {
	r := &run{job: j, stop: stop, done: make(chan struct{}), followers: map[*control.Follower]bool{}, detached: follow == nil}
	if follow != nil {
		r.join(follow)
		if follow.Out != nil {
			r.out = follow
		}
	}
	return r
}

func (r *run) join(f *control.Follower) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.followers[f] = true
	if r.last != nil && f.Progress != nil {
		f.Progress(*r.last)
	}
}

// leave returns how many are left.
func (r *run) leave(f *control.Follower) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.followers, f)
	return len(r.followers)
}

func (r *run) followed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.followers) > 0
}

func (r *run) look() *node.FolderProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *run) end(got node.Got, err error) {
	r.got, r.err = got, err
	close(r.done)
}

func (r *run) file(file node.FolderFile) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for f := range r.followers {
		if f.Done != nil {
			f.Done(file)
		}
	}
}

// progress tells the followers, and once a second looks whether there is room for the rest.
func (d *Daemon) progress(r *run, path string, p node.FolderProgress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.last == nil || r.last.Total < 0
	r.last = &p
	for f := range r.followers {
		if f.Progress != nil {
			f.Progress(p)
		}
	}
	now := time.Now()
	if p.Total < 0 || !first && now.Sub(r.looked) < time.Second {
		return
	}
	r.looked = now
	if err := d.room(path, p.Total-p.Done); err != nil {
		r.stop(err)
	}
}

// room says whether so many bytes more may be written at path: what Config.MinFree says stays free.
func (d *Daemon) room(path string, more int64) error {
	return store.LeavesFree(path, more, d.cfg.MinFree)
}

// work does the work of a job.
func (d *Daemon) work(ctx context.Context, r *run, f control.Fetch) (node.Got, error) {
	path := string(f.Path)
	if err := d.room(path, max(r.job.Size-r.job.Have, 0)); err != nil {
		return node.Got{}, err
	}
	g := node.Get{
		ID: f.ID, Also: f.Also, Size: f.Size, Peers: f.Peers, Path: path, Force: f.Force, FindTimeout: timeout(f.Find), StallTimeout: timeout(f.Stall),
		Progress: func(p node.Progress) { d.progress(r, path, node.FolderProgress{Progress: p}) },
	}
	if r.out != nil {
		g.Out = r.out.Out
		defer os.RemoveAll(filepath.Dir(path)) // the folder that begin made; what stays of it goes with the next start
		defer d.LetGo(path)                    // it was read only
	}
	switch {
	case f.Named != "":
		return d.Node.GetNamed(ctx, f.Named, g)
	case f.Folder != nil:
		return d.workFolder(ctx, r, f, g)
	}
	return d.Node.Get(ctx, g)
}

func timeout(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// workFolder does the work of the job of a folder.
func (d *Daemon) workFolder(ctx context.Context, r *run, f control.Fetch, g node.Get) (node.Got, error) {
	list, err := d.readList(r.job.ID)
	if err != nil {
		return node.Got{}, err
	}
	files := list.Files
	if len(files) == 0 {
		var alone bool
		if files, alone, err = d.chooseFiles(ctx, r, f, &g); err != nil {
			return node.Got{}, err
		}
		if alone {
			return d.Node.Get(ctx, g)
		}
	}
	made, err := d.openMade(r.job.ID)
	if err != nil {
		return node.Got{}, err
	}
	defer made.Close() // each line is written at once
	got := node.Got{Path: g.Path}
	failed, begun := 0, time.Now()
	var first error
	err = d.Node.GetFolder(ctx, node.GetFolder{
		ID: f.ID, Files: files, Dir: g.Path, Peers: f.Peers, Force: f.Force, Jobs: f.Folder.Jobs, FindTimeout: g.FindTimeout, StallTimeout: g.StallTimeout,
		Progress: func(p node.FolderProgress) { d.progress(r, filepath.Join(g.Path, folder.Stage), p) },
		Done: func(file node.FolderFile) {
			if file.Err == nil {
				got.Size += file.File.Size
				got.Fetched += file.Fetched
				got.Resumed += file.Resumed
				if !file.Existed {
					made.note(file.File.Path, file.Path)
				}
			} else if failed++; first == nil || errors.Is(file.Err, syscall.ENOSPC) { // the job waits for room, whatever else there is
				first = file.Err
			}
			r.file(file)
		},
	})
	got.Duration = time.Since(begun)
	if r.failed = failed; err == nil && failed > 0 && !r.followed() { // who follows it is told of each
		err = fmt.Errorf("%d of %d files: %w", failed, len(files), first)
	}
	return got, err
}

// chooseFiles fetches the manifest of a folder and says which of its files are meant, and where they are put. alone: it is one file,
// and g says which.
func (d *Daemon) chooseFiles(ctx context.Context, r *run, f control.Fetch, g *node.Get) (files []folder.File, alone bool, err error) {
	whole, err := d.Node.ReadFolder(ctx, *g)
	if err != nil {
		return nil, false, err
	}
	if files, alone, err = f.Folder.Choice.Files(whole); err != nil {
		return nil, false, err
	}
	if len(files) == 0 {
		return nil, false, fmt.Errorf("none of the %d files of the folder is meant", len(whole.Files))
	}
	name := whole.Name
	if under := f.Folder.Choice.Under; under != "" {
		name = pathpkg.Base(under)
	}
	if alone {
		name = files[0].Path
		g.ID, g.Also, g.Size = files[0].ID(), files[0].Also(), files[0].Size
	}
	if f.Folder.Into {
		if name == "" {
			name = f.ID.Hash.String()
		}
		g.Path = filepath.Join(g.Path, name)
	}
	if !alone {
		if err := d.writeList(r.job.ID, folder.Folder{Name: whole.Name, Files: files}); err != nil {
			return nil, false, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	j := r.job
	j.Fetch.Path = control.Path(g.Path)
	if alone {
		j.Fetch.ID, j.Fetch.Also, j.Fetch.Size, j.Fetch.Folder = g.ID, g.Also, g.Size, nil
	} else {
		into := *j.Fetch.Folder
		into.Into = false
		j.Fetch.Folder = &into
	}
	return files, alone, d.saveLocked()
}

// every does something at each tick until the daemon ends. It does not wait.
func (d *Daemon) every(span time.Duration, do func()) {
	d.wg.Go(func() {
		tick := time.NewTicker(span)
		defer tick.Stop()
		for {
			select {
			case <-d.ctx.Done():
				return
			case <-tick.C:
			}
			do()
		}
	})
}
