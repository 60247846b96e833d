package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"sharer/control"
)

// jobEvent is a download that was handed to the daemon.
type jobEvent struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "job"
	Job  string `json:"job"`
	ID   string `json:"id,omitempty"`
	Path string `json:"path"`
}

// detach hands the items to the daemon, and prints the numbers of their jobs.
func (o *getOptions) detachAll(ctx context.Context, scr *screen, c *control.Client, items []*item) error {
	switch {
	case o.output == "-":
		return usagef("-d and -o - contradict each other: nobody would be there for the bytes")
	case o.rename && o.said("rename"):
		return usagef("-d and --rename contradict each other: nobody would be there to be told the name")
	}
	g := &getting{o: o, scr: scr, peer: c, alone: len(items) == 1, byDaemon: true}
	g.resolveNames(ctx, items) // what it stands for now is what is fetched
	if err := g.result(ctx, items); err != nil && (g.alone || ctx.Err() != nil) {
		return err
	}
	for _, it := range items {
		it.tree = it.link.Folder
	}
	t, err := chooseTargets(items, o.output)
	if err != nil {
		return err
	}
	defer t.cleanUp()
	for _, it := range items {
		if it.err != nil {
			continue // it was told
		}
		f, err := o.fetchOf(it)
		if err != nil {
			return err
		}
		job, err := c.Detach(ctx, f)
		if err != nil {
			return err
		}
		if o.json {
			scr.event(jobEvent{1, "job", job.Job, job.ID, string(job.Path)})
		} else {
			scr.result(job.Job)
		}
	}
	if err := g.result(ctx, items); err != nil {
		return err
	}
	if o.json {
		scr.event(endEvent{V: 1, Type: "summary", Code: exitDone.String()})
	}
	scr.note("the daemon (pid %d) fetches it; sharer ls shows how far it is", c.About().PID)
	return nil
}

// fetchOf is an item as the daemon is asked for it.
func (o *getOptions) fetchOf(it *item) (control.Fetch, error) {
	abs, err := filepath.Abs(it.path)
	if err != nil {
		return control.Fetch{}, err
	}
	l := it.link
	f := control.Fetch{
		ID: l.ID, Also: l.Also, Named: it.named, Size: l.Size, Peers: l.Peers, Path: control.Path(abs), Force: o.force, Title: l.Name,
		Find: o.findTimeout.Seconds(), Stall: o.stallTimeout.Seconds(), Keep: o.keep(),
	}
	if !l.Folder {
		return f, nil
	}
	f.Folder = &control.FetchFolder{Choice: o.choose.selection(it), Jobs: o.jobs}
	// A folder whose name only its manifest tells, and one file of a folder, go under their names into a folder that is there.
	switch fi, err := os.Stat(abs); {
	case o.output == "" && (l.Name == "" || l.Path != ""), o.output != "" && it.path != o.output && l.Name == "":
		f.Path, f.Folder.Into = control.Path(filepath.Dir(abs)), true
	case l.Path != "" && err == nil && fi.IsDir():
		f.Folder.Into = true
	}
	return f, nil
}

// keep is how long the daemon offers what it has fetched, in seconds; nil: as long as it has it.
func (o *getOptions) keep() *float64 {
	if !o.seedSet {
		return nil
	}
	seconds := -1.0
	if o.seed >= 0 {
		seconds = float64(o.seed) / 1e9
	}
	return &seconds
}

// resumeHint tells how a download that the daemon has paused goes on.
func resumeHint(c *control.Client, line string) string {
	return fmt.Sprintf("paused in %s; %s", serving(c.About()), line)
}
