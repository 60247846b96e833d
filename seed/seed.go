// Package seed walks folders, hashes what is new in them where it lies, and records
// it in the index.
//
// What it promises:
//   - Files are opened for reading, and nothing else is done to them.
//   - No file outside a given folder is read, whatever is swapped for whatever while
//     the walk is under way: folders and files are opened relative to their parent
//     ([os.Root]), and what was opened must be the thing that was looked at.
//   - Symbolic links are skipped, or with [Options].FollowLinks followed as far as they
//     stay inside. Pipes, sockets and devices are not opened.
//   - A file is recorded only if its stamp was the same before and after it was read.
//   - One bad file is one [Failed] event; the others go on.
//   - Nothing is recorded twice: a file whose stamp is the one in the index is not read.
//   - Memory does not depend on the number of files, but for the names of one folder,
//     nor on their sizes.
//
// What it does not: it does not watch for later changes (room watch does, with [Look]), it forgets no file that is
// gone (who reads it will notice), and it follows nothing over the network.
package seed

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"sharer/chunk"
	"sharer/index"
)

// ErrChanging is wrapped by the error of a file that changed while it was read, twice.
var ErrChanging = errors.New("file is still changing")

const (
	batchFiles = 1000                   // entries that are recorded in one transaction at most
	batchTime  = time.Second            // and the longest wait of a hashed file for it
	tick       = 200 * time.Millisecond // between two events of progress: five a second for a bar
	queueJobs  = 32                     // files waiting for a hasher: each may hold a folder open
	queueDone  = 256                    // files hashed while a batch is being recorded, 15 ms
)

// Options of a scan. Only Paths is needed.
type Options struct {
	Paths       []string // files and folders; one that is named here is taken even if it is hidden
	Exclude     []string // patterns of path.Match, against the path below the folder (with slashes) and the base name
	FollowLinks bool     // take what symbolic links lead to, inside the folder
	Workers     int      // hashing goroutines, default GOMAXPROCS
	Rehash      bool     // read every file again
	Only        Part     // with one path that is a folder: no more than this of it; empty: all of it
	Private     string   // a folder of which nothing is taken, wherever it turns up: where the secret key lies; folders in it can be named

	hook func(stage, path string) // tests only: called at the moments where a race could be lost
}

func (o *Options) validate() error {
	if len(o.Only) > 0 && len(o.Paths) != 1 {
		return errors.New("seed: a part of several paths")
	}
	for _, glob := range o.Exclude {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("exclude %q: %w", glob, err)
		}
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.hook == nil {
		o.hook = func(string, string) {}
	}
	return nil
}

// File is a file that is recorded in the index.
type File struct {
	Path    string // absolute, as recorded
	Rel     string // below the folder, with slashes; of a file named itself its base name
	Content index.Content
	Stamp   chunk.Stamp
	Reused  bool // it was known, and was not read

	Root       string // which of Options.Paths it was found by, absolute
	Executable bool   // its owner may execute it, as it was looked at
}

// Move is a file whose path may have changed, and nothing else: not a time of it, not its number.
type Move struct {
	From, To string // absolute
	Rel      string // of To, below the folder
	Stamp    chunk.Stamp

	Executable bool // its owner may execute it
}

// Kind says what an event tells.
type Kind uint8

const (
	Found      Kind = 1 + iota // Files, Bytes: what the walk has found so far; Walked: that was all
	Hashing                    // Bytes: read so far, in all
	FileDone                   // File: it is in the index
	Skipped                    // Path, Reason: left out by a rule
	Failed                     // Path, Err: should be there, and is not
	LeftOut                    // Path, Err: seeded, and no part of the folder as one id; not of a Scan
	FolderDone                 // Folder: it is offered as one id; not of a Scan
)

// Folder is a folder that is offered as one id.
type Folder struct {
	Root  string // of Options.Paths, absolute
	Name  string // "": its own is none that a manifest may hold
	Sums  chunk.Sums
	Files int
	Bytes int64 // of the files
	Left  int   // files that no manifest can hold
}

// Event is one step of a scan.
type Event struct {
	Kind   Kind
	Files  int
	Bytes  int64
	Walked bool
	File   File
	Path   string
	Reason string
	Err    error
	Folder Folder
}

// Report sums up a scan. Files and Bytes are of what is in the index now.
type Report struct {
	Files  int
	Reused int // of them not read
	Bytes  int64
	Read   int64          // bytes hashed
	Failed int            // files and folders
	Skips  map[string]int // by reason
}

// Skipped is the number of files and folders left out.
func (r Report) Skipped() int {
	n := 0
	for _, k := range r.Skips {
		n += k
	}
	return n
}

// scan is the state that walker, hashers and collector share.
type scan struct {
	Options
	ix    *index.Index
	trees *Trees
	jobs  chan job
	done  chan Event // FileDone, Skipped, Failed on their way to the collector

	see    func(Sight)                  // of Look, instead of hashing; nil: a Scan
	unseen func(path string, err error) // of Look

	foundFiles, foundBytes, read atomic.Int64
	walked                       atomic.Bool
}

// Scan walks o.Paths and returns when all that can be is recorded in ix. emit, if
// not nil, is called in the caller's goroutine, one event after the other; a file is
// announced when a Lookup finds it. trees may be nil: then no tree files are made.
//
// The error is the cause of ctx, an error of the index, or one of Options; what was
// hashed until then is recorded if the index takes it. Files that fail are
// in the Report and the events.
func Scan(ctx context.Context, ix *index.Index, o Options, trees *Trees, emit func(Event)) (Report, error) {
	if err := o.validate(); err != nil {
		return Report{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &scan{Options: o, ix: ix, trees: trees, jobs: make(chan job, queueJobs), done: make(chan Event, queueDone)}

	// Walker and hashers always find a taker for what they send: the collector reads
	// until they have all ended, and only the walker has to look at ctx.
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(s.jobs)
		if err := s.walk(ctx); err != nil {
			cancel(err)
		}
		s.walked.Store(true)
	})
	for range s.Workers {
		wg.Go(func() { s.hash(ctx) })
	}
	go func() {
		wg.Wait()
		close(s.done)
	}()

	c := collector{scan: s, emit: emit, report: Report{Skips: map[string]int{}}}
	if c.emit == nil {
		c.emit = func(Event) {}
	}
	c.run(ctx, cancel)
	return c.report, context.Cause(ctx)
}

// collector records what was hashed, in batches, and tells what happens.
type collector struct {
	*scan
	emit   func(Event)
	report Report

	batch   []index.Entry
	files   []File // of the batch
	flushed time.Time
}

// run ends when done is closed. cancel is called when the index fails.
func (c *collector) run(ctx context.Context, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	c.flushed = time.Now()
	for {
		select {
		case e, ok := <-c.done:
			if !ok {
				c.flush(cancel)
				c.progress()
				return
			}
			c.take(ctx, e, cancel)
		case now := <-ticker.C:
			if ctx.Err() == nil {
				c.progress()
			}
			if now.Sub(c.flushed) >= batchTime {
				c.flush(cancel)
			}
		}
	}
}

func (c *collector) take(ctx context.Context, e Event, cancel context.CancelCauseFunc) {
	switch {
	case e.Kind == FileDone && e.File.Reused:
		c.report.Reused++
		c.tell(e.File)
	case e.Kind == FileDone:
		c.files = append(c.files, e.File)
		c.batch = append(c.batch, index.Entry{Content: e.File.Content, Place: index.Place{Path: e.File.Path, Stamp: e.File.Stamp}})
		if len(c.batch) >= batchFiles {
			c.flush(cancel)
		}
	case ctx.Err() != nil:
		// What fails now fails because of that.
	case e.Kind == Skipped:
		c.report.Skips[e.Reason]++
		c.emit(e)
	default:
		c.report.Failed++
		c.emit(e)
	}
}

// flush records the batch and announces its files.
func (c *collector) flush(cancel context.CancelCauseFunc) {
	c.flushed = time.Now()
	if len(c.batch) == 0 {
		return
	}
	if err := c.ix.Put(c.batch); err != nil {
		cancel(fmt.Errorf("record files: %w", err))
	} else {
		for _, f := range c.files {
			c.tell(f)
		}
	}
	clear(c.batch)
	clear(c.files)
	c.batch, c.files = c.batch[:0], c.files[:0]
}

func (c *collector) tell(f File) {
	c.report.Files++
	c.report.Bytes += f.Content.Size
	c.emit(Event{Kind: FileDone, File: f})
}

func (c *collector) progress() {
	walked := c.walked.Load() // before the totals, so that they are the last ones
	c.emit(Event{Kind: Found, Files: int(c.foundFiles.Load()), Bytes: c.foundBytes.Load(), Walked: walked})
	if c.report.Read = c.read.Load(); c.report.Read > 0 {
		c.emit(Event{Kind: Hashing, Bytes: c.report.Read})
	}
}
