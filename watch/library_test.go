package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"sharer/chunk"
	"sharer/index"
	"sharer/seed"
)

// library offers what a real index holds, and keeps count.
type library struct {
	testing.TB
	ix *index.Index

	mu      sync.Mutex
	offered map[string]chunk.Hash // BLAKE3 by path
	read    []string              // paths that were hashed, in order
	events  []Event
	told    chan Event // nil: nobody waits for them

	fails   error             // what Seed ends with, though all went well
	between func(path string) // a file is offered, and nobody was told yet; nil: nothing happens then
	before  func()            // something is withdrawn, or adopted, and is not yet; once; nil: nothing happens then
}

var _ Library = (*library)(nil)

func newLibrary(t testing.TB) *library {
	ix, err := index.Open(filepath.Join(t.TempDir(), "index"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ix.Close(); err != nil {
			t.Error(err)
		}
	})
	return &library{TB: t, ix: ix, offered: map[string]chunk.Hash{}}
}

func (l *library) Seed(ctx context.Context, o seed.Options, emit func(seed.Event)) (seed.Report, error) {
	report, err := seed.Scan(ctx, l.ix, o, nil, func(e seed.Event) {
		if e.Kind == seed.FileDone {
			l.mu.Lock()
			l.offered[e.File.Path] = e.File.Content.BLAKE3
			if !e.File.Reused {
				l.read = append(l.read, e.File.Path)
			}
			between := l.between
			l.mu.Unlock()
			if between != nil {
				between(e.File.Path)
			}
		}
		emit(e)
	})
	return report, errors.Join(err, l.fails)
}

// pass lets a test do what comes before the next change of what is offered.
func (l *library) pass() {
	l.mu.Lock()
	before := l.before
	l.before = nil
	l.mu.Unlock()
	if before != nil {
		before()
	}
}

func (l *library) Withdraw(paths ...string) {
	l.pass()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range paths {
		if _, ok := l.offered[p]; !ok {
			l.Errorf("%s is withdrawn, and was not offered", p)
		}
		delete(l.offered, p)
	}
}

func (l *library) Uphold(f seed.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offered[f.Path] = f.Content.BLAKE3
}

func (l *library) Adopt(moves []seed.Move) (files []seed.File, err error) {
	l.pass()
	for _, m := range moves {
		c, place, err := l.ix.ByPath(m.From)
		if err != nil || place.Stamp != m.Stamp {
			continue
		}
		if err := l.ix.Put([]index.Entry{{Content: c, Place: index.Place{Path: m.To, Stamp: m.Stamp}}}); err != nil {
			return nil, err
		}
		l.mu.Lock()
		l.offered[m.To] = c.BLAKE3
		l.mu.Unlock()
		files = append(files, seed.File{Path: m.To, Rel: m.Rel, Content: c, Stamp: m.Stamp, Executable: m.Executable})
	}
	return files, nil
}

func (l *library) Forget(paths ...string) error { return l.ix.ForgetAll(paths) }

func (l *library) Recorded(path string) (index.Content, chunk.Stamp, bool) {
	c, p, err := l.ix.ByPath(path)
	return c, p.Stamp, err == nil
}

func (l *library) event(e Event) {
	l.mu.Lock()
	l.events = append(l.events, e)
	l.mu.Unlock()
	if l.told != nil {
		l.told <- e
	}
}

// wants compares what is offered with what is on disk below dir.
func (l *library) wants(dir string, rels ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var got []string
	for path, hash := range l.offered {
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s is offered: %w", path, err)
		}
		if sums := sum(l, data); sums.BLAKE3 != hash {
			return fmt.Errorf("%s is offered as what it was", path)
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		got = append(got, filepath.ToSlash(rel))
	}
	slices.Sort(got)
	slices.Sort(rels)
	if !slices.Equal(got, rels) {
		return fmt.Errorf("offered %q, want %q", got, rels)
	}
	return nil
}

// count is the number of events of a kind.
func (l *library) count(k Kind) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

// reads are the base names of what was hashed since the last call.
func (l *library) reads() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, p := range l.read {
		names = append(names, filepath.Base(p))
	}
	l.read = nil
	slices.Sort(names)
	return names
}

// folder is a folder that a test writes to.
type folder struct {
	testing.TB
	dir string
}

func (f folder) write(rel, text string) {
	f.Helper()
	path := filepath.Join(f.dir, rel)
	f.must(errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)))
}

func (f folder) rename(from, to string) {
	f.Helper()
	f.must(os.Rename(filepath.Join(f.dir, from), filepath.Join(f.dir, to)))
}

func (f folder) remove(rel string) {
	f.Helper()
	f.must(os.RemoveAll(filepath.Join(f.dir, rel)))
}

func (f folder) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}
