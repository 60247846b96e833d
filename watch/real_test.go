package watch

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sharer/seed"
)

// TestRealHints: the hints of this system are followed, on real files, in real time.
func TestRealHints(t *testing.T) {
	h, err := systemHints()
	if err != nil {
		t.Skip("this system gives no hints:", err)
	}
	dir, l := folder{t, t.TempDir()}, newLibrary(t)
	if real, err := filepath.EvalSymlinks(dir.dir); err == nil {
		dir.dir = real
	}
	dir.write("a", "a")
	dir.write("old/b", "b")
	l.told = make(chan Event, 100)
	w := New(l, Options{Settle: time.Millisecond, Rescan: time.Hour, Event: l.event, hints: h})
	defer w.Close()
	if _, err := w.Add(t.Context(), seed.Options{Paths: []string{dir.dir}}, nil); err != nil {
		t.Fatal(err)
	}
	late := time.After(20 * time.Second)
	await := func(k Kind, path string) {
		t.Helper()
		for {
			select {
			case e := <-l.told:
				if e.Kind == k && (path == "" || e.Path == dir.path(path) || e.File.Path == dir.path(path)) {
					return
				}
			case <-late:
				t.Fatalf("no event %d of %s; %v", k, path, l.events)
			}
		}
	}
	// The first walk has ended, and so all is watched, when a change that only it can see is followed.
	dir.write("first", "1")
	await(Offered, "first")
	dir.write("a", "changed")
	await(Withdrawn, "a")
	await(Offered, "a")
	dir.rename("old", "new")
	await(Moved, "new/b")
	dir.write("new/b", "changed")
	await(Offered, "new/b")
	dir.write("x/y/z", "z")
	await(Offered, "x/y/z")
	dir.remove("x")
	await(Withdrawn, "x/y/z")
	later := time.Now().Add(-time.Hour) // touched, nothing else
	dir.must(os.Chtimes(dir.path("a"), later, later))
	await(Withdrawn, "a")
	await(Offered, "a")
	await(Settled, "")
	dir.expect(l.wants(dir.dir, "a", "first", "new/b"))
	if n := l.count(Failed) + l.count(Note); n != 0 {
		t.Errorf("events %v", l.events)
	}
}
