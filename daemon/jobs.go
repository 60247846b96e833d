package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"sharer/chunk"
	"sharer/control"
	"sharer/folder"
	"sharer/node"
)

// JobState is what becomes of a job.
type JobState string

// The states of a job.
const (
	JobRunning JobState = "running"
	JobWaiting JobState = "waiting" // for room on the disk: it goes on by itself
	JobPaused  JobState = "paused"  // until somebody gives the same command again
	JobFailed  JobState = "failed"  // the same
	JobDone    JobState = "done"
)

// Job is a download that is kept. Its partial file says how far it is.
type Job struct {
	ID    string        `json:"id"` // g1, g2, …
	Fetch control.Fetch `json:"fetch"`
	Added time.Time     `json:"added"`
	Ended time.Time     `json:"ended,omitzero"` // well
	State JobState      `json:"state"`
	Error string        `json:"error,omitempty"` // why it failed, or waits
	Size  int64         `json:"size"`            // of what is there, or will be; -1: not known
	Have  int64         `json:"have"`            // as it was last noted
	Made  *chunk.Stamp  `json:"made,omitempty"`  // the file was not there before, and had this stamp then: it may be deleted with the job
}

// keeps says whether the job's files are offered when it is done.
func (j *Job) keeps() bool { return j.Fetch.Keep == nil || *j.Fetch.Keep != 0 }

// maxEnded is how many jobs are kept that ended, or were paused; then the oldest goes. What it fetched stays, and is not offered after a restart.
const maxEnded = 10_000

var errPaused = fmt.Errorf("paused: %w", context.Canceled)

// Fetch makes a job and follows it, or follows the one that is there already for the same path. When ctx ends the job is
// paused, unless somebody else follows it.
func (d *Daemon) Fetch(ctx context.Context, f control.Fetch, follow control.Follower) (node.Got, error) {
	r, err := d.begin(ctx, f, &follow)
	if err != nil {
		return node.Got{}, err
	}
	select {
	case <-r.done:
		r.leave(&follow)
		return r.got, r.err
	case <-ctx.Done():
	}
	d.mu.Lock()
	last := r.leave(&follow) == 0 && !r.detached && d.ctx.Err() == nil
	r.leaving = r.leaving || last
	d.mu.Unlock()
	if last {
		r.stop(errPaused)
	}
	if last || r.out != nil { // to whose bytes nobody listens any more
		<-r.done
	}
	return node.Got{}, context.Cause(ctx)
}

// Detach makes a job that nobody follows.
func (d *Daemon) Detach(f control.Fetch) (control.Item, error) {
	r, err := d.begin(d.ctx, f, nil)
	if err != nil {
		return control.Item{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return r.job.item(), nil
}

// begin starts a job, or finds it running. One that was stopped just now ends first.
func (d *Daemon) begin(ctx context.Context, f control.Fetch, follow *control.Follower) (*run, error) {
	for {
		r, err := d.tryBegin(f, follow)
		if !errors.Is(err, errLeaving) {
			return r, err
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// errLeaving comes with the run that was stopped.
var errLeaving = errors.New("daemon: the job is being stopped")

func (d *Daemon) tryBegin(f control.Fetch, follow *control.Follower) (*run, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return nil, node.ErrClosed
	}
	if f.Out {
		return d.beginStreamLocked(f, follow)
	}
	j := d.sameLocked(f.Path, f.ID)
	if j != nil {
		if r := d.running[j.ID]; r != nil {
			if r.leaving {
				return r, errLeaving
			}
			if j.Fetch.ID != f.ID || j.Fetch.Named != f.Named {
				return nil, &node.LockedError{Path: chunk.PartName(string(f.Path)), PID: os.Getpid()}
			}
			if r.detached = r.detached || follow == nil; follow != nil {
				r.join(follow)
			}
			return r, nil
		}
	} else {
		d.saved.LastJob++
		j = &Job{ID: fmt.Sprintf("g%d", d.saved.LastJob), Added: time.Now().UTC().Truncate(time.Second), Size: -1}
	}
	if f.Folder != nil && len(f.Folder.Files) > 0 {
		if err := d.writeList(j.ID, folder.Folder{Name: f.Folder.Name, Files: f.Folder.Files}); err != nil {
			return nil, err
		}
		stripped := *f.Folder
		stripped.Files = nil
		f.Folder = &stripped
	}
	before := *j
	if j.Fetch, j.State, j.Error = f, JobRunning, ""; f.Folder == nil {
		j.Size = f.Size
	}
	fresh := d.jobLocked(j.ID) == nil
	if fresh {
		d.saved.Jobs = append(d.saved.Jobs, j)
	}
	if err := d.saveLocked(); err != nil {
		if *j = before; fresh {
			d.saved.Jobs = d.saved.Jobs[:len(d.saved.Jobs)-1]
		}
		return nil, err
	}
	d.log.Info("get", "job", j.ID, "id", f.ID, "path", f.Path)
	return d.startLocked(j, follow), nil
}

// beginStreamLocked starts a download of which nothing is kept: its bytes go to the follower.
func (d *Daemon) beginStreamLocked(f control.Fetch, follow *control.Follower) (*run, error) {
	dir, err := os.MkdirTemp(d.spool(), "get-")
	if err != nil {
		return nil, err
	}
	f.Path = control.Path(filepath.Join(dir, "content"))
	return d.startLocked(&Job{ID: filepath.Base(dir), Fetch: f, State: JobRunning, Size: f.Size}, follow), nil
}

// spool is where downloads lie whose bytes go to somebody: emptied at each start.
func (d *Daemon) spool() string { return filepath.Join(d.cfg.Node.StateDir, "spool") }

func (d *Daemon) jobLocked(id string) *Job {
	for _, j := range d.saved.Jobs {
		if j.ID == id {
			return j
		}
	}
	return nil
}

// sameLocked is the job that writes to a path, or has written the same content to it.
func (d *Daemon) sameLocked(path control.Path, id chunk.ID) *Job {
	for _, j := range d.saved.Jobs {
		if j.Fetch.Path != path || j.State == JobDone && j.Fetch.ID != id {
			continue
		}
		// Two folders that take their names from their manifests go into the same folder.
		if j.Fetch.Folder == nil || !j.Fetch.Folder.Into || j.Fetch.ID == id {
			return j
		}
	}
	return nil
}

// replacedLocked takes jobs off the list whose file another one has replaced.
func (d *Daemon) replacedLocked(by *Job) {
	for _, j := range slices.Clone(d.saved.Jobs) {
		if j != by && j.State == JobDone && j.Fetch.Path == by.Fetch.Path {
			d.forgetJobLocked(j)
		}
	}
}

// startLocked runs a job; follow may be nil.
func (d *Daemon) startLocked(j *Job, follow *control.Follower) *run {
	ctx, stop := context.WithCancelCause(d.ctx)
	r := newRun(j, stop, follow)
	d.running[j.ID] = r
	f := j.Fetch // the job may be looked at, and its path found out, meanwhile
	d.wg.Go(func() {
		defer stop(nil)
		got, err := d.work(ctx, r, f)
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		d.ended(r, got, err)
	})
	return r
}

// ended notes what became of a job, and tells those who follow it.
func (d *Daemon) ended(r *run, got node.Got, err error) {
	d.mu.Lock()
	j := r.job
	delete(d.running, j.ID)
	if p := r.look(); p != nil {
		j.Have, j.Size = p.Done, p.Total
	}
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	switch {
	case j.Fetch.Out:
	case errors.Is(err, errPaused):
		j.State = JobPaused
	case err != nil && d.closing: // goes on after the restart
	case full:
		j.State, j.Error = JobWaiting, err.Error()
	case err != nil && r.followed() && !r.detached:
		// Who waits for it sees the error, and may give the command again.
		d.forgetJobLocked(j)
	case err != nil:
		j.State, j.Error = JobFailed, err.Error()
	case r.failed > 0:
		j.State, j.Error = JobFailed, fmt.Sprintf("%d files failed", r.failed)
	default:
		j.State, j.Error, j.Have, j.Size, j.Ended = JobDone, "", got.Size, got.Size, time.Now().UTC().Truncate(time.Second)
		j.Fetch.Path = control.Path(got.Path)
		if !got.Existed && j.Fetch.Folder == nil {
			j.Made = stampOf(got.Path)
		}
		d.replacedLocked(j)
	}
	d.dropEndedLocked()
	switch {
	case j.Fetch.Out:
	case d.closing: // of many jobs each would sync the same document
		d.unsaved = true
	default:
		if serr := d.saveLocked(); serr != nil {
			d.log.Warn("daemon.json could not be kept", "err", serr)
		}
	}
	done := j.State == JobDone && !j.Fetch.Out && !d.closing
	path := string(j.Fetch.Path)
	if done {
		job := *j
		d.wg.Go(func() { d.landed(job) })
	}
	d.mu.Unlock()
	if !errors.Is(err, context.Canceled) {
		how := []any{"job", j.ID, "path", path}
		if err != nil {
			how = append(how, "err", err)
		}
		d.log.Info("get ended", how...)
	}
	r.end(got, err)
}

// landed has what a job has fetched offered from its place, as what is seeded is, known by both ids from then on; or not at all.
func (d *Daemon) landed(j Job) {
	if j.keeps() {
		d.offerDone(j)
	}
	if err := d.LetGo(string(j.Fetch.Path)); err != nil {
		d.log.Warn("what was fetched stays open", "path", j.Fetch.Path, "err", err)
	}
}

// stampOf is the stamp of a file, nil if there is none.
func stampOf(path string) *chunk.Stamp {
	fi, err := os.Lstat(path)
	if err != nil || !fi.Mode().IsRegular() {
		return nil
	}
	s := chunk.StampOf(fi)
	return &s
}

// forgetJobLocked takes a job off the list; the caller saves.
func (d *Daemon) forgetJobLocked(j *Job) {
	d.saved.Jobs = slices.DeleteFunc(d.saved.Jobs, func(o *Job) bool { return o == j })
	for _, name := range []string{d.listName(j.ID), d.madeName(j.ID)} {
		if err := removeIfThere(name); err != nil {
			d.log.Warn("a job's list stays", "err", err)
		}
	}
}

// dropEndedLocked keeps the list of jobs bounded.
func (d *Daemon) dropEndedLocked() {
	ended := 0
	for _, j := range slices.Backward(d.saved.Jobs) {
		if j.State == JobRunning || j.State == JobWaiting {
			continue
		}
		if ended++; ended > maxEnded {
			d.forgetJobLocked(j)
		}
	}
}

// restoreJobs goes on with what was running.
func (d *Daemon) restoreJobs() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range d.saved.Jobs {
		if j.State == JobRunning {
			d.startLocked(j, nil).detached = true
		}
	}
}

// retryEvery is how often jobs that wait for room are looked at.
const retryEvery = 5 * time.Second

// retryJobs goes on with jobs that waited for room on the disk.
func (d *Daemon) retryJobs() {
	d.mu.Lock()
	over := d.overLocked(time.Now())
	for _, j := range d.saved.Jobs {
		if j.State != JobWaiting || d.closing || d.running[j.ID] != nil || d.room(string(j.Fetch.Path), j.Size-j.Have) != nil {
			continue
		}
		j.State, j.Error = JobRunning, ""
		d.startLocked(j, nil).detached = true
	}
	d.mu.Unlock()
	for _, j := range over {
		path := string(j.Fetch.Path)
		if err := d.withdrawJob(j.ID, path); err != nil {
			d.log.Warn("what was fetched is still offered", "path", path, "err", err)
		}
	}
}

// overLocked ends the offering of what was to be offered for a time only, and returns its jobs.
func (d *Daemon) overLocked(now time.Time) (over []Job) {
	for _, j := range d.saved.Jobs {
		if keep := j.Fetch.Keep; j.State == JobDone && keep != nil && *keep > 0 && now.Sub(j.Ended) > timeout(*keep) {
			none := 0.0
			j.Fetch.Keep = &none
			over = append(over, *j)
		}
	}
	if len(over) > 0 {
		if err := d.saveLocked(); err != nil {
			d.log.Warn("daemon.json could not be kept", "err", err)
		}
	}
	return over
}
