// Package store keeps contents by their hash in a folder of its own: what browsers
// fetched, what was uploaded, what mirrors carry.
//
// What it promises:
//   - What stands under the name of a hash was verified to be that content, by whoever
//     adds it or by Put; what was changed behind its back is verified again at the next Open, and
//     removed if it is something else.
//   - It never grows over its quota, nor eats what is to stay free on the disk; room is made by
//     removing what was used longest ago, and neither pinned nor in use.
//   - Names of files are hashes that the store prints itself. No text of anybody else is part of a path.
//   - After a crash no file is under a name that it does not deserve, and what was being uploaded is gone.
//
// What it does not: it does not fetch and does not serve, and it does not look for damage on the disk by itself.
//
// The folder:
//
//	<2 hex>/<62 hex>              a content, by its BLAKE3; beside it
//	<2 hex>/<62 hex>.json         what is known about it
//	<2 hex>/<62 hex>.part…        one that arrives (package chunk)
//	sha256/<64 hex>.part…         one that arrives whose BLAKE3 is not known
//	temp/                         uploads that are under way
package store

import (
	"context"

	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"sync"
	"time"

	"sharer/chunk"
)

var (
	// ErrQuota is returned for what would not fit the quota though all was removed that may be.
	ErrQuota = errors.New("the quota of the store is used up")
	// ErrDiskFull is returned where less than the least would stay free on the disk.
	ErrDiskFull = errors.New("the disk is full")
	// ErrNotFound is returned for what the store has not.
	ErrNotFound = errors.New("not in the store")
	// ErrMismatch is returned by Add for a file that is not of the size that was said.
	ErrMismatch = errors.New("the file is not that content")
)

// Options of Open. The zero value has no quota.
type Options struct {
	Quota   int64                                           // bytes, 0: none
	MinFree int64                                           // bytes that stay free on the disk; 0: 1 GiB or 1 % of it, whichever is less; below zero: none
	Space   func(dir string) (free, total int64, err error) // of the disk; nil: asked of the system
	Gone    func(Entry)                                     // told of each content that leaves, after it left; must not call the store; may be nil

	clock func() time.Time // tests only; nil: the system's
}

// Entry is one content.
type Entry struct {
	Sums  chunk.Sums
	Name  string // as it was called; a stranger's text
	Path  string // where it lies
	Stamp chunk.Stamp
	Added time.Time
	Used  time.Time
	Pins  []string // who wants it to stay
}

// entry is what the store itself knows. Guarded by Disk.mu.
type entry struct {
	Entry
	held int // readers: it is not removed meanwhile to make room
}

// Disk is an open store. Safe for concurrent use; one process has it open at a time, which is the caller's to see to.
type Disk struct {
	dir string
	o   Options
	min int64
	now func() time.Time

	files sync.Mutex // taken before mu by whoever gives a file its name, or takes it away

	mu       sync.Mutex
	byBLAKE3 map[chunk.Hash]*entry
	bySHA256 map[chunk.Hash]*entry // two contents with one SHA-256 are beyond what is cared for
	bytes    int64                 // of all entries and parts
	parts    map[string]part       // by target: what downloads that have ended left, which makes room first
	reserved int64                 // of what is on its way
}

// Open opens or makes the store in dir. Files that have changed since are hashed again, so it may take as long as that.
func Open(dir string, o Options) (*Disk, error) {
	if o.Space == nil {
		o.Space = diskSpace
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	d := &Disk{dir: abs, o: o, min: max(o.MinFree, 0), now: time.Now, byBLAKE3: map[chunk.Hash]*entry{}, bySHA256: map[chunk.Hash]*entry{}, parts: map[string]part{}}
	if o.clock != nil {
		d.now = o.clock
	}
	for _, sub := range []string{"temp", "sha256"} {
		if err := os.MkdirAll(filepath.Join(abs, sub), 0o700); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	if o.MinFree == 0 {
		if _, total, err := o.Space(abs); err == nil {
			d.min = min(1<<30, total/100)
		}
	}
	if err := d.clearTemp(); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := d.load(); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return d, nil
}

// clearTemp removes what an earlier process was about to take in.
func (d *Disk) clearTemp() error {
	left, err := os.ReadDir(filepath.Join(d.dir, "temp"))
	for _, e := range left {
		err = errors.Join(err, os.Remove(filepath.Join(d.dir, "temp", e.Name())))
	}
	return err
}

// path is where a content lies.
func (d *Disk) path(blake3 chunk.Hash) string {
	hex := blake3.String()
	return filepath.Join(d.dir, hex[:2], hex[2:])
}

// Target is where a content is to be downloaded to: the path without .part. Of a BLAKE3 it is the final place. What an
// earlier download left there stays until Leave.
func (d *Disk) Target(id chunk.ID) (string, error) {
	path := filepath.Join(d.dir, "sha256", id.Hash.String())
	switch id.Kind {
	case chunk.BLAKE3:
		path = d.path(id.Hash)
	case chunk.SHA256:
	default:
		return "", chunk.ErrBadID
	}
	d.mu.Lock()
	d.takePartLocked(path)
	d.mu.Unlock()
	return path, os.MkdirAll(filepath.Dir(path), 0o700)
}

// findLocked returns the entry of an id; nil: there is none. A tree is not kept.
func (d *Disk) findLocked(id chunk.ID) *entry {
	switch id.Kind {
	case chunk.BLAKE3:
		return d.byBLAKE3[id.Hash]
	case chunk.SHA256:
		return d.bySHA256[id.Hash]
	}
	return nil
}

// Find returns what is known of a content.
func (d *Disk) Find(id chunk.ID) (Entry, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.findLocked(id); e != nil {
		return e.copy(), true
	}
	return Entry{}, false
}

func (e *entry) copy() Entry {
	c := e.Entry
	c.Pins = slices.Clone(e.Pins)
	return c
}

// Has says whether the store has a content.
func (d *Disk) Has(id chunk.ID) bool {
	_, ok := d.Find(id)
	return ok
}

// PathOf is where a content lies.
func (d *Disk) PathOf(id chunk.ID) (string, bool) {
	e, ok := d.Find(id)
	return e.Path, ok
}

// List returns all contents, the last used first.
func (d *Disk) List() []Entry {
	d.mu.Lock()
	list := make([]Entry, 0, len(d.byBLAKE3))
	for _, e := range d.byBLAKE3 {
		list = append(list, e.copy())
	}
	d.mu.Unlock()
	slices.SortFunc(list, func(a, b Entry) int { return b.Used.Compare(a.Used) })
	return list
}

// Usage is how many bytes the contents have, with what is on its way, and the quota, 0: none.
func (d *Disk) Usage() (bytes, quota int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes + d.reserved, d.o.Quota
}

// Free is how many bytes are free on the disk.
func (d *Disk) Free() (int64, error) {
	free, _, err := d.o.Space(d.dir)
	return free, err
}

// SetQuota changes the quota, 0: none; room is made at the next addition.
func (d *Disk) SetQuota(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.o.Quota = bytes
}

// Hold returns a content that is to be read: until release is called it does not have to make room. That counts as a use.
func (d *Disk) Hold(id chunk.ID) (e Entry, release func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := d.findLocked(id)
	if found == nil {
		return Entry{}, nil, ErrNotFound
	}
	found.held++
	d.usedLocked(found)
	var once sync.Once
	return found.copy(), func() {
		once.Do(func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			found.held--
		})
	}, nil
}

// usedNoted is how exact the last use is on disk.
const usedNoted = time.Hour

// usedLocked notes a use; on disk not more often than needed.
func (d *Disk) usedLocked(e *entry) {
	now := d.now()
	note := now.Sub(e.Used) >= usedNoted
	e.Used = now
	if note {
		_ = e.write() // a worse order of removal, no more
	}
}

// Add takes a file in that was verified to be that content: it is moved to its place, unless it lies there. Room for it must
// have been made by the caller (see Room). What is there already stays, and the file is removed.
func (d *Disk) Add(path string, sums chunk.Sums, name string) (Entry, error) {
	to := d.path(sums.BLAKE3)
	d.files.Lock()
	defer d.files.Unlock()
	if old, there := d.Find(chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}); there {
		var err error
		if path != to {
			err = os.Remove(path)
		}
		return old, err
	}
	if path != to {
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return Entry{}, fmt.Errorf("store: %w", err)
		}
		if err := os.Rename(path, to); err != nil {
			return Entry{}, fmt.Errorf("store: %w", err)
		}
	}
	e, err := d.enter(to, sums, name)
	if err != nil {
		return Entry{}, errors.Join(fmt.Errorf("store: %w", err), os.Remove(to))
	}
	return e, nil
}

// enter makes the entry of a file that is in its place.
func (d *Disk) enter(path string, sums chunk.Sums, name string) (Entry, error) {
	f, stamp, err := chunk.OpenRegular(path)
	if err != nil {
		return Entry{}, err
	}
	if err := f.Close(); err != nil {
		return Entry{}, err
	}
	if stamp.Size != sums.Size {
		return Entry{}, ErrMismatch
	}
	now := d.now()
	e := &entry{Entry: Entry{Sums: sums, Name: name, Path: path, Stamp: stamp, Added: now, Used: now}}
	if err := e.write(); err != nil {
		return Entry{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.putLocked(e)
	return e.copy(), nil
}

func (d *Disk) putLocked(e *entry) {
	if d.byBLAKE3[e.Sums.BLAKE3] != nil {
		return // two came at the same time
	}
	d.byBLAKE3[e.Sums.BLAKE3] = e
	if e.Sums.SHA256 != (chunk.Hash{}) {
		d.bySHA256[e.Sums.SHA256] = e
	}
	d.bytes += e.Sums.Size
}

// Put takes a content in from a reader, which it reads to the end. The error is ErrQuota, ErrDiskFull, that of r or the disk;
// then nothing is left of it.
func (d *Disk) Put(ctx context.Context, name string, r io.Reader) (sums chunk.Sums, err error) {
	room := d.Room()
	defer room.Release()
	f, err := os.CreateTemp(filepath.Join(d.dir, "temp"), "upload-")
	if err != nil {
		return chunk.Sums{}, fmt.Errorf("store: %w", err)
	}
	defer func() {
		f.Close() // a second time after success
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	size, err := copyInto(ctx, f, r, room)
	if err != nil {
		return chunk.Sums{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return chunk.Sums{}, fmt.Errorf("store: %w", err)
	}
	if sums, err = chunk.Sum(ctx, f, size, nil, nil); err != nil {
		return chunk.Sums{}, err
	}
	if err := f.Close(); err != nil {
		return chunk.Sums{}, fmt.Errorf("store: %w", err)
	}
	_, err = d.Add(f.Name(), sums, name)
	return sums, err
}

const putStep = 256 << 10 // bytes that are written at a time, and for which room is made

// copyInto writes r to f, and makes room before each step.
func copyInto(ctx context.Context, f *os.File, r io.Reader, room *Room) (size int64, err error) {
	buf := make([]byte, putStep)
	for {
		n, rerr := io.ReadFull(r, buf)
		if n > 0 {
			if err := room.Grow(size + int64(n)); err != nil {
				return size, err
			}
			if _, err := f.Write(buf[:n]); err != nil {
				return size, fmt.Errorf("store: %w", err)
			}
			size += int64(n)
		}
		switch {
		case rerr == io.EOF, rerr == io.ErrUnexpectedEOF:
			return size, ctx.Err()
		case rerr != nil:
			return size, rerr
		case ctx.Err() != nil:
			return size, ctx.Err()
		}
	}
}

// Remove takes a content out, pinned or not. What is being read stays readable to those who have it open.
func (d *Disk) Remove(id chunk.ID) error {
	d.files.Lock()
	d.mu.Lock()
	e := d.findLocked(id)
	if e != nil {
		d.dropLocked(e)
	}
	d.mu.Unlock()
	if e == nil {
		d.files.Unlock()
		return ErrNotFound
	}
	err := e.remove()
	d.files.Unlock()
	d.tell(e)
	return err
}

func (d *Disk) dropLocked(e *entry) {
	delete(d.byBLAKE3, e.Sums.BLAKE3)
	if d.bySHA256[e.Sums.SHA256] == e {
		delete(d.bySHA256, e.Sums.SHA256)
	}
	d.bytes -= e.Sums.Size
}

// remove removes the files of an entry that was dropped: the content first, or a crash would leave one that has to be hashed.
func (e *entry) remove() error {
	if err := errors.Join(ignoreMissing(os.Remove(e.Path)), ignoreMissing(os.Remove(e.Path+metaSuffix))); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// ignoreMissing is err, unless it says that a file is not there.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *Disk) tell(e *entry) {
	if d.o.Gone != nil {
		d.o.Gone(e.copy())
	}
}

// Pin has a content stay for as long as somebody wants it to; who is the name of that somebody. Unpin is its reverse.
func (d *Disk) Pin(id chunk.ID, who string) error {
	return d.change(id, func(e *entry) {
		if !slices.Contains(e.Pins, who) {
			e.Pins = append(slices.Clone(e.Pins), who)
		}
	})
}

// Unpin lets a content go, as far as who is concerned.
func (d *Disk) Unpin(id chunk.ID, who string) error {
	return d.change(id, func(e *entry) {
		e.Pins = slices.DeleteFunc(slices.Clone(e.Pins), func(p string) bool { return p == who })
	})
}

// change changes what is known of a content, on disk first.
func (d *Disk) change(id chunk.ID, f func(*entry)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.findLocked(id)
	if e == nil {
		return ErrNotFound
	}
	next := entry{Entry: e.Entry}
	f(&next)
	if err := next.write(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	e.Pins = next.Pins
	return nil
}
