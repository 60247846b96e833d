// Package watch keeps what is shared true to what is on disk: new files are offered once they are quiet, changed ones
// withdrawn and offered anew, files that are gone withdrawn, renamed folders offered without being read again.
//
// What it promises:
//   - A walk of stats is the truth, hints of the system (inotify and its kin) only say where to look earlier. With hints a
//     change is noticed within a quarter of a second, without them after one interval of the walk.
//   - A file is offered when it has been the same for [Options].Settle. One that grows is not.
//   - A folder is said to have settled when no file that was offered is being rewritten, and none has gone within Settle;
//     after ten minutes of unrest in any case.
//   - What cannot be watched (the system's limit is reached, a network drive, a queue that overflowed) is walked instead, and
//     that is said once.
//   - The walks take at most one part in 300 of one core's time each: with many files they are farther apart.
//   - Memory is some 70 bytes a file and its name; at most [maxHints] hints are held for each path that is shared, then
//     all of it is walked.
//
// What it does not: it opens no file (package seed does, with all its care), and it forgives no lie of a clock: who sets
// the times of a file back, all three of them, is not seen, and no system lets a program do that.
//
// A renamed file, unlike a renamed folder, is read again: the rename itself changes its ctime, and so it cannot be
// told from a file that was written to and had its mtime set back.
package watch

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sharer/chunk"
	"sharer/index"
	"sharer/seed"
)

// Library is where files are offered.
type Library interface {
	// Seed hashes what is new and offers what is there.
	Seed(ctx context.Context, o seed.Options, emit func(seed.Event)) (seed.Report, error)
	// Withdraw stops offering paths, at once.
	Withdraw(paths ...string)
	// Uphold offers a file that Seed has told of, if it was withdrawn meanwhile.
	Uphold(f seed.File)
	// Adopt offers under their new paths the files of moves whose old path is known with the very stamp, and returns them.
	Adopt(moves []seed.Move) ([]seed.File, error)
	// Forget removes what is known of paths that are gone.
	Forget(paths ...string) error
	// Recorded returns what is known of a path.
	Recorded(path string) (index.Content, chunk.Stamp, bool)
}

// Options of a Watcher. The zero value works.
type Options struct {
	Settle  time.Duration // how long a file has to be the same before it is hashed; 0: 2 s
	Rescan  time.Duration // between two walks of what is not watched; 0: 60 s; what is watched is walked ten times as seldom
	NoHints bool          // walk only
	Off     bool          // do neither: what is offered is only remembered
	Event   func(Event)   // told what happens, one event after the other; it must not call the Watcher; nil: nobody

	hints hints // tests only: instead of those of the system
}

// Kind says what an event tells.
type Kind uint8

const (
	Offered   Kind = 1 + iota // File: it is offered now, or again
	Moved                     // File, From: the same under another path
	Withdrawn                 // Path: it changed or is gone
	Failed                    // Path, Err: it should be offered and is not; it will be tried again
	Settled                   // what had changed at Root is offered, and what was in it is quiet: whoever lists the folder may do so now
	Note                      // Text: what a person should know, each once
)

// Event is one thing that happened at a path that is shared.
type Event struct {
	Kind Kind
	Root string // absolute, as it was given
	File seed.File
	From string
	Path string
	Err  error
	Text string
}

const (
	defaultSettle = 2 * time.Second
	defaultRescan = time.Minute
	watchedTimes  = 10                     // what is watched is walked that much more seldom
	share         = 300                    // the part of a core that walks take is 1/share at most
	absentEvery   = 2 * time.Second        // between two looks for a path that is not there: one stat
	gather        = 100 * time.Millisecond // hints are gathered before they are followed
	costTimes     = 5                      // or as many times as long as following the last ones took: a sixth of a core at most
	maxHints      = 4096                   // of one root, some 100 bytes each
)

// Watcher watches any number of paths. Its methods are safe for concurrent use.
type Watcher struct {
	lib   Library
	o     Options
	hints hints // nil: none
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
	wake  chan struct{}
	said  map[string]bool // by the loop only: notes

	events sync.Mutex // one at a time

	mu    sync.Mutex
	roots []*root
}

// root is one path that is shared.
type root struct {
	path string // absolute, as given
	file bool   // it is no folder

	// Guarded by the Watcher's mutex.
	adding int  // scans of it that somebody waits for
	ready  bool // one of them has ended well

	mu      sync.Mutex // its book; taken before the Watcher's
	book    *Book
	opts    seed.Options
	removed bool
	changed bool // since the last Settled

	hintMu sync.Mutex // what the hints have told since they were followed last
	base   string     // the folder without links, or that of the file
	dirty  []string   // paths
	moved  []string   // of them those that were renamed or removed
	all    bool       // too many
	at     time.Time  // of the first

	// Of the loop alone.
	next      time.Time // of the next walk
	cost      time.Duration
	partCost  time.Duration
	hash      []string // to be hashed next
	hashing   bool
	seen      bool // a walk of it has ended
	unwatched bool // some of it
	alone     bool // it cannot be watched at all
	absent    bool // it was not there when all of it was looked at last
}

// New starts a watcher, which ends with Close.
func New(lib Library, o Options) *Watcher {
	if o.Settle <= 0 {
		o.Settle = defaultSettle
	}
	if o.Rescan <= 0 {
		o.Rescan = defaultRescan
	}
	w := &Watcher{lib: lib, o: o, hints: o.hints, wake: make(chan struct{}, 1), said: map[string]bool{}}
	w.ctx, w.stop = context.WithCancel(context.Background())
	if w.hints == nil && !o.NoHints && !o.Off {
		h, err := systemHints()
		if err != nil {
			w.note("cannot watch folders for changes: %v; they are looked at every %s", err, o.Rescan)
		} else {
			w.hints = h
		}
	}
	if w.hints != nil {
		w.wg.Go(func() { w.hints.run(w.hint, w.overflow) })
	}
	if !o.Off {
		w.wg.Go(w.loop)
	}
	return w
}

// Close ends all watching, and waits for it. What is offered stays so.
func (w *Watcher) Close() error {
	w.stop()
	var err error
	if w.hints != nil {
		err = w.hints.close()
	}
	w.wg.Wait()
	return err
}

// Add scans paths and watches them from then on; for one that is watched already o counts from now on. It returns when the scan
// has ended, with what that returned; after an error the paths that are new are not watched, and when it was the end of ctx not offered
// either, unless another Add has them. What was offered before a disk failed stays so.
func (w *Watcher) Add(ctx context.Context, o seed.Options, emit func(seed.Event)) (seed.Report, error) {
	o.Only = nil
	roots := map[string]*root{}
	for _, p := range o.Paths {
		path, err := filepath.Abs(p)
		if err != nil {
			return seed.Report{}, err
		}
		if roots[path] == nil {
			roots[path] = w.enter(path)
		}
	}
	changing := false // a file, while it was hashed
	report, err := w.lib.Seed(ctx, o, func(e seed.Event) {
		changing = changing || e.Kind == seed.Failed && errors.Is(e.Err, seed.ErrChanging)
		if r := roots[e.File.Root]; e.Kind == seed.FileDone && r != nil {
			r.mu.Lock()
			w.offered(r, e.File)
			r.mu.Unlock()
		}
		if emit != nil {
			emit(e)
		}
	})
	for path, r := range roots {
		if err != nil {
			w.giveUp(r, ctx.Err() != nil && w.ctx.Err() == nil)
			continue
		}
		own := o
		own.Paths, own.Rehash = []string{path}, false
		r.mu.Lock()
		r.opts = own
		r.changed = r.changed || changing // it is listed again when that is quiet
		removed := r.removed
		r.mu.Unlock()
		if removed { // while it was hashed
			w.withdraw(r)
		}
		r.hintMu.Lock()
		r.all = true // also what the new options leave out is withdrawn
		r.hintMu.Unlock()
		w.mu.Lock()
		r.adding--
		r.ready = true
		w.mu.Unlock()
	}
	w.poke()
	return report, err
}

// giveUp ends the Add of a root that came to nothing; withdraw: what it has offered is taken back.
func (w *Watcher) giveUp(r *root, withdraw bool) {
	w.mu.Lock()
	r.adding--
	nobodys := r.adding == 0 && !r.ready
	if nobodys {
		w.leaveLocked(r)
	}
	w.mu.Unlock()
	r.mu.Lock()
	r.removed = r.removed || nobodys && withdraw
	removed := r.removed
	r.mu.Unlock()
	if removed {
		w.withdraw(r)
	}
}

// enter returns the root of a path, for one more Add.
func (w *Watcher) enter(path string) *root {
	r := &root{path: path, adding: 1}
	base := path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		base = real
	}
	if fi, err := os.Stat(base); err == nil && !fi.IsDir() {
		base, r.file = filepath.Dir(base), true
	}
	r.book, r.base = NewBook(base, w.o.Settle), base
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, other := range w.roots {
		if other.path == path {
			other.adding++
			return other
		}
	}
	w.roots = append(w.roots, r)
	return r
}

func (w *Watcher) leaveLocked(r *root) {
	w.roots = slices.DeleteFunc(w.roots, func(o *root) bool { return o == r })
}

// Remove ends the watching of a path and withdraws its files, but for those that another watched path has too. It returns
// false if the path is not watched.
func (w *Watcher) Remove(path string) bool {
	r := w.root(path)
	if r == nil {
		return false
	}
	w.mu.Lock()
	w.leaveLocked(r)
	w.mu.Unlock()
	r.mu.Lock()
	r.removed = true
	r.mu.Unlock()
	w.withdraw(r)
	w.poke()
	return true
}

// withdraw withdraws what a root that has left had, and no other has.
func (w *Watcher) withdraw(r *root) {
	var paths []string
	r.mu.Lock()
	r.book.Each(func(_, path string, _ bool) { paths = append(paths, path) })
	r.book = NewBook(r.book.top.path, w.o.Settle) // none twice
	r.mu.Unlock()
	for _, other := range w.all() {
		kept := map[string]bool{}
		other.mu.Lock()
		other.book.Each(func(_, path string, _ bool) { kept[path] = true })
		other.mu.Unlock()
		paths = slices.DeleteFunc(paths, func(p string) bool { return kept[p] })
	}
	w.lib.Withdraw(paths...)
	gone := make(map[string]bool, len(paths))
	for _, path := range paths {
		gone[path] = true
	}
	for _, other := range w.all() { // whose scan has offered some of them just now
		other.mu.Lock()
		other.book.Each(func(rel, path string, executable bool) {
			if !gone[path] {
				return
			}
			if c, stamp, ok := w.lib.Recorded(path); ok {
				w.lib.Uphold(seed.File{Path: path, Rel: rel, Root: other.path, Content: c, Stamp: stamp, Executable: executable})
			}
		})
		other.mu.Unlock()
	}
}

// all are the roots at this moment.
func (w *Watcher) all() []*root {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.roots)
}

// ErrUnsettled is that of Files for a folder that has changed and will be said to have settled.
var ErrUnsettled = errors.New("files are being rewritten")

// Files calls f for every file that is offered below a watched path, in no order. The error is f's, fs.ErrNotExist
// for a path that is not watched, or ErrUnsettled.
func (w *Watcher) Files(path string, f func(seed.File) error) error {
	r := w.root(path)
	if r == nil {
		return &fs.PathError{Op: "watch", Path: path, Err: fs.ErrNotExist}
	}
	var files []seed.File
	r.mu.Lock()
	if r.changed && !r.book.Quiet(time.Now()).IsZero() {
		r.mu.Unlock()
		return ErrUnsettled
	}
	r.book.Each(func(rel, path string, executable bool) {
		files = append(files, seed.File{Path: path, Rel: rel, Root: r.path, Executable: executable})
	})
	r.mu.Unlock()
	for _, file := range files {
		c, stamp, ok := w.lib.Recorded(file.Path)
		if !ok {
			continue // somebody else has withdrawn it
		}
		file.Content, file.Stamp = c, stamp
		if err := f(file); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watcher) root(path string) *root {
	for _, r := range w.all() {
		if r.path == path {
			return r
		}
	}
	return nil
}

// Unsettle has a folder be said to have settled once it has been quiet from now on, whether or not something changes: who has listed
// it may have come in the middle of a change.
func (w *Watcher) Unsettle(path string) {
	r := w.root(path)
	if r == nil {
		return
	}
	r.mu.Lock()
	r.changed = true
	r.book.left = time.Now()
	r.mu.Unlock()
	w.poke()
}

// Look has all of a path looked at now, or with "" of every one, as after the interval.
func (w *Watcher) Look(path string) {
	for _, r := range w.all() {
		if path == "" || r.path == path {
			r.hintMu.Lock()
			r.all = true
			r.hintMu.Unlock()
		}
	}
	w.poke()
}

func (w *Watcher) poke() {
	select {
	case w.wake <- struct{}{}:
	default: // it is awake
	}
}

func (w *Watcher) emit(e Event) {
	if w.o.Event == nil {
		return
	}
	w.events.Lock()
	defer w.events.Unlock()
	w.o.Event(e)
}
