// Package index remembers, in one bbolt file, which contents are known, by which
// two hashes, and at which places of the disk their bytes lie.
//
// What it promises:
//   - It is never the only copy of anything: whatever it holds can be made again by
//     reading the files. So a damaged index is a small event: it is moved aside as
//     NAME.bad-1, NAME.bad-2, … and an empty one takes its place ([Index.Recovered]).
//   - [Open] reads the whole file once, page by page, with bounds on everything,
//     before it lets bbolt map it: bbolt trusts its pages, and a wrong one makes it
//     panic, partly in goroutines of its own, or go round in circles.
//   - Each record carries a checksum over its key and its value. A flipped bit is an
//     error, never another hash.
//   - Damage that comes later, while the file is open, ends in [ErrCorrupt]; the file
//     is moved aside by [Index.Close], or found out by the next Open.
//   - One process at a time: [ErrLocked] after [Options].Timeout.
//
// What it does not promise: that a place still has the bytes. The stamp of a place
// says which state of the file was hashed; whoever reads the file compares it.
//
// Sync policy: every commit is flushed (bbolt's default, two fdatasync). Seeding
// commits once a second or once in 1000 files, so the price is under 1 % of hashing,
// and a power cut costs the last batch. Without flushes it could cost the whole
// index, that is, reading every file again.
//
// Methods may be called from several goroutines; reads do not wait for writes.
package index

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"sharer/chunk"
)

var (
	// ErrLocked is returned by Open when another process, or another Index of this
	// one, has the file open.
	ErrLocked = errors.New("index is in use by another process")
	// ErrNotFound is returned for an id or a path that the index does not know.
	ErrNotFound = errors.New("not in the index")
	// ErrCorrupt is returned when the file turned out to be damaged while open. The
	// next Open starts with an empty index.
	ErrCorrupt = errors.New("index is damaged")
)

// MaxPlaces is the most places that Lookup returns: enough to find one that is
// still good; an empty file alone may have a hundred thousand.
const MaxPlaces = 64

// maxBad is how many damaged files are kept beside the index; then the last one is
// overwritten, so that a failing disk is not filled as well.
const maxBad = 9

// Content is a content by both of its names.
type Content struct {
	SHA256, BLAKE3 chunk.Hash
	Size           int64 // bytes
}

// Place is a file that held a content when it had that stamp.
type Place struct {
	Path  string // absolute; raw bytes, perhaps not UTF-8
	Stamp chunk.Stamp
}

// Entry is a content at a place.
type Entry struct {
	Content Content
	Place   Place
}

// Options of Open. The zero value works.
type Options struct {
	Timeout time.Duration // how long Open waits for another process to let go; 0: 1 s

	noSync bool // tests only: hundreds of files are made and thrown away
}

// Index is an open index.
type Index struct {
	path      string
	file      *os.File // db's own, kept to let go of the lock when db cannot
	recovered string
	db        *bbolt.DB

	bad    atomic.Bool // damage was met: nothing is asked of db any more
	closed sync.Once
}

// Open opens or creates the index at path, whose folder must exist. The error is
// ErrLocked, or that of the system: a full disk or a missing permission does not
// make an index damaged.
func Open(path string, o Options) (*Index, error) {
	if o.Timeout <= 0 {
		o.Timeout = time.Second
	}
	ix, err := open(path, o)
	if !errors.Is(err, ErrCorrupt) {
		return ix, err
	}
	// The file is moved by now. A second failure in a row is not the file's fault.
	aside := ix.recovered
	ix, err = open(path, o)
	if err != nil {
		return nil, err
	}
	if ix.recovered == "" {
		ix.recovered = aside
	}
	return ix, nil
}

// open makes one attempt. With ErrCorrupt the file was moved aside, and the Index
// returned is good for its recovered field only.
func open(path string, o Options) (*Index, error) {
	f, err := openLocked(path, o.Timeout)
	if err != nil {
		return nil, err
	}
	ix := &Index{path: path, file: f}
	if err := check(f); err != nil {
		return ix, ix.giveUp(err)
	}
	err = guard(func() error {
		ix.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:      o.Timeout,
			FreelistType: bbolt.FreelistMapType,
			// The freelist is written: without it bbolt looks for free pages in a
			// goroutine whose panic nobody can catch.
			NoFreelistSync: false,
			NoStatistics:   true,
			PageSize:       pageSize,
			// Room to grow: for a new map a transaction copies all that it has in hand.
			// Address space only.
			InitialMmapSize: 64 << 20,
			NoSync:          o.noSync,
			NoGrowSync:      o.noSync,
			// The very file that was locked and checked; bbolt locks it once more.
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		if err != nil {
			return err
		}
		return ix.db.Update(makeBuckets)
	})
	if err != nil {
		return ix, ix.giveUp(err)
	}
	return ix, nil
}

// giveUp closes a file that could not be opened, and moves it aside if it is
// damaged; then the error is ErrCorrupt.
func (ix *Index) giveUp(why error) error {
	defer ix.file.Close() // keeps the lock until the file is moved
	if errors.Is(why, bolterrors.ErrTimeout) {
		return fmt.Errorf("%s: %w", ix.path, ErrLocked)
	}
	var errno syscall.Errno
	if !errors.Is(why, ErrCorrupt) && errors.As(why, &errno) {
		return fmt.Errorf("open index: %w", why)
	}
	if err := ix.moveAside(); err != nil {
		return err
	}
	return fmt.Errorf("%w: %v", ErrCorrupt, why)
}

func (ix *Index) moveAside() error {
	for n := 1; ; n++ {
		to := fmt.Sprintf("%s.bad-%d", ix.path, n)
		if _, err := os.Lstat(to); err == nil && n < maxBad {
			continue
		}
		if err := os.Rename(ix.path, to); err != nil {
			return fmt.Errorf("move damaged index aside: %w", err)
		}
		ix.recovered = to
		return nil
	}
}

// openLocked opens the file and waits at most timeout for its lock.
func openLocked(path string, timeout time.Duration) (*os.File, error) {
	deadline := time.Now().Add(timeout)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open index: %w", err)
		}
		fi, err := f.Stat()
		if err == nil && !fi.Mode().IsRegular() {
			err = &fs.PathError{Op: "open", Path: path, Err: chunk.ErrNotRegular}
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("open index: %w", err)
		}
		if err = tryLock(f); err == nil {
			// Who had it before may have moved it aside: then this is the bad one.
			if now, err := os.Stat(path); err == nil && os.SameFile(fi, now) {
				return f, nil
			}
		}
		f.Close()
		if err != nil && !errors.Is(err, ErrLocked) {
			return nil, fmt.Errorf("lock index: %w", err)
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil, fmt.Errorf("%s: %w", path, ErrLocked)
		}
		time.Sleep(min(left, 25*time.Millisecond))
	}
}

// Recovered says where a damaged index was moved to when this one was opened, or
// "" if it was sound.
func (ix *Index) Recovered() string { return ix.recovered }

// Close lets go of the file. It waits for the calls that are under way, unless the
// file is damaged: then the file is moved aside.
func (ix *Index) Close() (err error) {
	ix.closed.Do(func() {
		if !ix.bad.Load() {
			err = guard(ix.db.Close)
			if !errors.Is(err, ErrCorrupt) {
				return
			}
		}
		// bbolt may have left its own locks taken when it panicked, and would wait for
		// ever. Its memory map stays until the process ends; the lock is freed.
		ix.bad.Store(true)
		err = errors.Join(ix.moveAside(), ix.file.Close())
	})
	return err
}

// view and update run fn in a transaction.
func (ix *Index) view(fn func(tables) error) error {
	return ix.run(func() error {
		return ix.db.View(func(tx *bbolt.Tx) error { return withTables(tx, fn) })
	})
}

func (ix *Index) update(fn func(tables) error) error {
	return ix.run(func() error {
		return ix.db.Update(func(tx *bbolt.Tx) error { return withTables(tx, fn) })
	})
}

func (ix *Index) run(fn func() error) error {
	if ix.bad.Load() {
		return ErrCorrupt
	}
	err := guard(fn)
	if errors.Is(err, ErrCorrupt) {
		ix.bad.Store(true)
	}
	return err
}

// guard turns a panic of bbolt, and a fault in its memory map (the file is shorter
// than it says), into ErrCorrupt.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, r)
		}
	}()
	return fn()
}

// Lookup finds a content by either hash (the id of a tree is that of its content),
// and at most MaxPlaces of its places, by path. The error is ErrNotFound or ErrCorrupt.
func (ix *Index) Lookup(id chunk.ID) (c Content, places []Place, err error) {
	if !id.Valid() {
		return Content{}, nil, ErrNotFound
	}
	err = ix.view(func(t tables) error {
		hash := id.Hash
		if id.Kind == chunk.SHA256 {
			var err error
			if hash, err = hashRef(t.sha256, tableSHA256, id.Hash[:]); err != nil {
				return err
			}
		}
		es, err := t.holders(hash, MaxPlaces)
		if err != nil {
			return err
		}
		c = es[0].Content
		for _, e := range es {
			places = append(places, e.Place)
		}
		return nil
	})
	if err == nil && id.Kind == chunk.SHA256 && c.SHA256 != id.Hash {
		err = ErrNotFound
	}
	if err != nil {
		return Content{}, nil, err
	}
	return c, places, nil
}

// ByPath finds what was last seen at a path. The error is ErrNotFound or ErrCorrupt.
func (ix *Index) ByPath(path string) (Content, Place, error) {
	var e Entry
	err := ix.view(func(t tables) (err error) {
		e, err = t.entry(path)
		return err
	})
	return e.Content, e.Place, err
}

// Under calls fn for each place at or below a path, in the order of the bytes of the
// paths ("/a" is over "/a" and "/a/b", not over "/ab"). fn may call any
// method; what changes meanwhile may be seen or not. An error of fn ends it.
func (ix *Index) Under(path string, fn func(Entry) error) error {
	sep := string(filepath.Separator)
	path = strings.TrimRight(path, sep)
	if path != "" {
		c, p, err := ix.ByPath(path)
		if err == nil {
			err = fn(Entry{c, p})
		}
		if err != nil && err != ErrNotFound {
			return err
		}
	}
	return ix.scan(path+sep, fn)
}

// Each is Under for all places.
func (ix *Index) Each(fn func(Entry) error) error { return ix.scan("", fn) }

// scan reads a few hundred entries in a transaction and hands them out behind it: a
// slow fn must not keep bbolt from reusing pages, nor wait for itself when it writes.
func (ix *Index) scan(prefix string, fn func(Entry) error) error {
	from := []byte(prefix)
	for {
		var batch []Entry
		err := ix.view(func(t tables) (err error) {
			batch, err = t.entries(from, prefix, 256)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range batch {
			if err := fn(e); err != nil {
				return err
			}
		}
		if len(batch) == 0 {
			return nil
		}
		from = append([]byte(batch[len(batch)-1].Place.Path), 0)
	}
}

// Count returns how many contents and places are known. It reads all contents.
func (ix *Index) Count() (contents, places int, err error) {
	err = ix.view(func(t tables) error {
		contents, places = t.countContents(), int(t.places.Sequence())
		return nil
	})
	return contents, places, err
}

// Put records entries in one transaction. A path that held another content leaves
// it; of two entries for one path the later one counts.
func (ix *Index) Put(entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	for i := range entries {
		if err := entries[i].validate(); err != nil {
			return err
		}
	}
	return ix.update(func(t tables) error { return t.put(entries) })
}

// Forget removes a place, and its content if that was the last one. An unknown path
// is no error.
func (ix *Index) Forget(path string) error {
	if path == "" || len(path) > maxPath {
		return nil
	}
	return ix.update(func(t tables) error { return t.forget(path) })
}

// ForgetPlace is Forget for what was found to be at a path no more. It does nothing, and returns false, when the path has been recorded
// with another stamp since.
func (ix *Index) ForgetPlace(p Place) (ok bool, err error) {
	err = ix.update(func(t tables) error {
		e, err := t.entry(p.Path)
		switch {
		case err == ErrNotFound:
			ok = true
			return nil
		case err != nil || e.Place.Stamp != p.Stamp:
			return err
		}
		ok = true
		return t.forget(p.Path)
	})
	return ok, err
}

// ForgetAll is Forget for many paths, in one transaction.
func (ix *Index) ForgetAll(paths []string) error {
	return ix.update(func(t tables) error {
		for _, path := range paths {
			if path == "" || len(path) > maxPath {
				continue
			}
			if err := t.forget(path); err != nil {
				return err
			}
		}
		return nil
	})
}

var _ io.Closer = (*Index)(nil)
