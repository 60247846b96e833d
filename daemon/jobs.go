package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sharer/chunk"
	"sharer/control"
	"sharer/node"
)

// JobState is what becomes of a job.
type JobState string

// The states of a job.
const (
	JobRunning JobState = "running"
	JobPaused  JobState = "paused"
	JobFailed  JobState = "failed"
	JobDone    JobState = "done"
)

// Job is a download that is kept.
type Job struct {
	ID    string        `json:"id"` // g1, g2, …
	Fetch control.Fetch `json:"fetch"`
	Added time.Time     `json:"added"`
	State JobState      `json:"state"`
	Error string        `json:"error,omitempty"` // of a failed one
	Got   *control.Got  `json:"got,omitempty"`   // of a done one
}

// run is a job at work.
type run struct {
	job  *Job
	stop context.CancelCauseFunc
	done chan struct{}

	// Set before done is closed.
	got node.Got
	err error

	mu        sync.Mutex
	last      *node.FolderProgress
	followers map[*control.Follower]bool
	own       *control.Follower // who gets the bytes; nil: they go to a file only
}

var errPaused = fmt.Errorf("paused: %w", context.Canceled)

// Fetch makes a job and follows it, or follows the one that is there already for the same path. When ctx ends the job is
// paused, unless somebody else follows it.
func (d *Daemon) Fetch(ctx context.Context, f control.Fetch, follow control.Follower) (node.Got, error) {
	r, err := d.begin(f, &follow)
	if err != nil {
		return node.Got{}, err
	}
	select {
	case <-r.done:
		r.leave(&follow)
		return r.got, r.err
	case <-ctx.Done():
	}
	if r.leave(&follow) == 0 && d.ctx.Err() == nil {
		r.stop(errPaused)
		<-r.done
		return r.got, context.Cause(ctx)
	}
	return node.Got{}, context.Cause(ctx)
}

// begin starts a job, or finds it running.
func (d *Daemon) begin(f control.Fetch, follow *control.Follower) (*run, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return nil, node.ErrClosed
	}
	if f.Out { // nothing of it is kept
		job := &Job{Fetch: f, State: JobRunning, ID: fmt.Sprintf("o%d", time.Now().UnixNano())}
		spool := filepath.Join(d.cfg.Node.StateDir, "spool")
		if err := os.MkdirAll(spool, 0o700); err != nil {
			return nil, err
		}
		dir, err := os.MkdirTemp(spool, "get-")
		if err != nil {
			return nil, err
		}
		job.Fetch.Path = control.Path(filepath.Join(dir, "content"))
		return d.startLocked(job, follow), nil
	}
	for _, j := range d.saved.Jobs {
		if j.Fetch.Path != f.Path || j.State == JobDone {
			continue
		}
		if r := d.running[j.ID]; r != nil {
			if j.Fetch.ID != f.ID || j.Fetch.Named != f.Named {
				return nil, &node.LockedError{Path: chunk.PartName(string(f.Path)), PID: os.Getpid()}
			}
			r.join(follow)
			return r, nil
		}
		j.Fetch, j.State, j.Error = f, JobRunning, ""
		if err := d.saveLocked(); err != nil {
			return nil, err
		}
		return d.startLocked(j, follow), nil
	}
	d.saved.LastJob++
	j := &Job{ID: fmt.Sprintf("g%d", d.saved.LastJob), Fetch: f, Added: time.Now().UTC().Truncate(time.Second), State: JobRunning}
	d.saved.Jobs = append(d.saved.Jobs, j)
	if err := d.saveLocked(); err != nil {
		d.saved.Jobs = d.saved.Jobs[:len(d.saved.Jobs)-1]
		return nil, err
	}
	return d.startLocked(j, follow), nil
}

// startLocked runs a job; follow may be nil.
func (d *Daemon) startLocked(j *Job, follow *control.Follower) *run {
	ctx, stop := context.WithCancelCause(d.ctx)
	r := &run{job: j, stop: stop, done: make(chan struct{}), followers: map[*control.Follower]bool{}}
	if follow != nil {
		r.join(follow)
		if follow.Out != nil {
			r.own = follow
		}
	}
	d.running[j.ID] = r
	f := j.Fetch // the job may be looked at meanwhile
	d.wg.Go(func() {
		defer stop(nil)
		got, err := d.fetch(ctx, r, f)
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		d.ended(r, got, err)
	})
	return r
}

// fetch does the work of a job.
func (d *Daemon) fetch(ctx context.Context, r *run, f control.Fetch) (node.Got, error) {
	g := node.Get{
		ID: f.ID, Also: f.Also, Size: f.Size, Peers: f.Peers, Path: string(f.Path), Force: f.Force, FindTimeout: timeout(f.Find), StallTimeout: timeout(f.Stall),
		Progress: func(p node.Progress) { r.progress(node.FolderProgress{Progress: p}) },
	}
	if r.own != nil {
		g.Out = r.own.Out
		defer os.RemoveAll(filepath.Dir(g.Path)) // the folder that begin made; what stays of it is in our own state folder
	}
	switch {
	case f.Named != "":
		return d.Node.GetNamed(ctx, f.Named, g)
	case f.Folder != nil:
		return d.fetchFolder(ctx, r, f, g)
	}
	return d.Node.Get(ctx, g)
}

// fetchFolder does the work of the job of a folder.
func (d *Daemon) fetchFolder(ctx context.Context, r *run, f control.Fetch, g node.Get) (node.Got, error) {
	if len(f.Folder.Files) == 0 {
		return node.Got{}, errors.New("the job has no list of files")
	}
	got := node.Got{Path: g.Path}
	begun := time.Now()
	err := d.Node.GetFolder(ctx, node.GetFolder{
		ID: f.ID, Files: f.Folder.Files, Dir: g.Path, Peers: f.Peers, Force: f.Force, Jobs: f.Folder.Jobs, FindTimeout: g.FindTimeout, StallTimeout: g.StallTimeout,
		Progress: r.progress,
		Done: func(file node.FolderFile) {
			if file.Err == nil {
				got.Size += file.File.Size
				got.Fetched += file.Fetched
				got.Resumed += file.Resumed
			}
			r.file(file)
		},
	})
	got.Duration = time.Since(begun)
	return got, err
}

func timeout(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// ended notes what became of a job, and tells those who follow it.
func (d *Daemon) ended(r *run, got node.Got, err error) {
	d.mu.Lock()
	j := r.job
	delete(d.running, j.ID)
	switch {
	case errors.Is(err, errPaused):
		j.State = JobPaused
	case err != nil && d.closing: // goes on after the restart
	case err != nil:
		j.State, j.Error = JobFailed, err.Error()
		if r.followed() { // who waits for it sees the error, and gives the command again
			d.saved.Jobs = slices.DeleteFunc(d.saved.Jobs, func(o *Job) bool { return o == j })
		}
	default:
		j.State = JobDone
		g := control.GotOf(got)
		j.Got = &g
	}
	if !j.Fetch.Out {
		if serr := d.saveLocked(); serr != nil {
			d.log.Warn("daemon.json could not be kept", "err", serr)
		}
	}
	d.mu.Unlock()
	r.got, r.err = got, err
	close(r.done)
}

// restoreJobs goes on with what was running.
func (d *Daemon) restoreJobs() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range d.saved.Jobs {
		if j.State == JobRunning {
			d.startLocked(j, nil)
		}
	}
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

func (r *run) progress(p node.FolderProgress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = &p
	for f := range r.followers {
		if f.Progress != nil {
			f.Progress(p)
		}
	}
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
