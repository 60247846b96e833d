package watch

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sharer/chunk"
	"sharer/seed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sum(t testing.TB, data []byte) chunk.Sums {
	sums, err := chunk.Sum(context.Background(), bytes.NewReader(data), int64(len(data)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// told are hints that a test gives, and limits that it sets.
type told struct {
	mu      sync.Mutex
	watched map[string]bool
	limit   int // folders; 0: none
	why     string
	first   func() // what happens just before the first folder is watched; nil: nothing
	ctl     chan func(hint func(string, bool), overflow func())
}

var _ hints = (*told)(nil)

func newTold() *told {
	return &told{watched: map[string]bool{}}
}

func (h *told) add(folder string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.first != nil {
		h.first()
		h.first = nil
	}
	if h.limit > 0 && len(h.watched) >= h.limit && !h.watched[folder] {
		return &os.PathError{Op: "inotify_add_watch", Path: folder, Err: syscall.ENOSPC}
	}
	h.watched[folder] = true
	return nil
}

func (h *told) remove(folder string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watched, folder)
}

func (h *told) unfit(string, int) string { return h.why }

func (h *told) run(hint func(string, bool), overflow func()) {
	for f := range h.ctl {
		f(hint, overflow)
	}
}

func (h *told) close() error {
	close(h.ctl)
	return nil
}

// say gives hints of paths, of which those that are watched arrive.
func (h *told) say(paths ...string) {
	h.ctl <- func(hint func(string, bool), _ func()) {
		for _, p := range paths {
			h.mu.Lock()
			arrives := h.watched[filepath.Dir(p)]
			h.mu.Unlock()
			if arrives {
				_, err := os.Lstat(p)
				hint(p, err != nil)
			}
		}
	}
}

// inBubble runs a watcher over a folder in virtual time.
func inBubble(t *testing.T, h *told, files map[string]string, f func(dir folder, l *library, w *Watcher)) {
	dir := folder{t, t.TempDir()}
	for rel, text := range files {
		dir.write(rel, text)
	}
	l := newLibrary(t)
	synctest.Test(t, func(t *testing.T) {
		dir.TB, l.TB = t, t
		o := Options{Event: l.event, NoHints: h == nil}
		if h != nil {
			h.ctl = make(chan func(func(string, bool), func())) // of this bubble
			o.hints = h
		}
		w := New(l, o)
		if _, err := w.Add(t.Context(), seed.Options{Paths: []string{dir.dir}, Exclude: []string{"*.tmp"}}, nil); err != nil {
			t.Fatal(err)
		}
		pause(time.Second)
		l.reads()
		f(dir, l, w)
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

// pause lets virtual time pass.
func pause(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (f folder) path(rel string) string { return filepath.Join(f.dir, rel) }

func (f folder) expect(err error) {
	f.Helper()
	if err != nil {
		f.Error(err)
	}
}

func TestHintsAreFollowed(t *testing.T) {
	h := newTold()
	inBubble(t, h, map[string]string{"a": "a", "sub/b": "b", "sub/deep/c": "c", "other/d": "d"}, func(dir folder, l *library, w *Watcher) {
		// A change is withdrawn at once, and offered when it has been quiet.
		dir.write("a", "changed")
		h.say(dir.path("a"))
		pause(200 * time.Millisecond)
		dir.expect(l.wants(dir.dir, "sub/b", "sub/deep/c", "other/d"))
		pause(2 * time.Second)
		dir.expect(l.wants(dir.dir, "a", "sub/b", "sub/deep/c", "other/d"))
		if got := l.reads(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("read %q", got)
		}
		if n := l.count(Settled); n != 1 { // not when it was withdrawn
			t.Errorf("settled %d times", n)
		}
		// A new folder is watched from the moment that it is seen.
		dir.write("new/x", "x")
		h.say(dir.path("new"))
		pause(3 * time.Second)
		dir.write("new/y", "y")
		h.say(dir.path("new/y"))
		pause(3 * time.Second)
		dir.expect(l.wants(dir.dir, "a", "sub/b", "sub/deep/c", "other/d", "new/x", "new/y"))
		// What is gone is withdrawn.
		dir.remove("other")
		h.say(dir.path("other"))
		pause(200 * time.Millisecond)
		dir.expect(l.wants(dir.dir, "a", "sub/b", "sub/deep/c", "new/x", "new/y"))
		// What is excluded, hidden or unfinished is not looked into.
		l.reads()
		dir.write("x.tmp", "t")
		dir.write(".hidden", "t")
		dir.write("x.part", "t")
		h.say(dir.path("x.tmp"), dir.path(".hidden"), dir.path("x.part"))
		pause(5 * time.Second)
		if got := l.reads(); len(got) != 0 {
			t.Errorf("read %q", got)
		}
		if l.count(Failed) != 0 || l.count(Note) != 0 {
			t.Errorf("events %v", l.events)
		}
	})
}

// TestRenamedFolder: files of a folder that is renamed are offered under their new paths at once, and not read again; the
// watches are of the new paths.
func TestRenamedFolder(t *testing.T) {
	h := newTold()
	inBubble(t, h, map[string]string{"a": "a", "old/b": "b", "old/deep/c": "c"}, func(dir folder, l *library, w *Watcher) {
		dir.rename("old", "new")
		h.say(dir.path("old"), dir.path("new"))
		pause(200 * time.Millisecond)
		dir.expect(l.wants(dir.dir, "a", "new/b", "new/deep/c"))
		if got := l.reads(); len(got) != 0 || l.count(Moved) != 2 || l.count(Withdrawn) != 0 {
			t.Errorf("read %q, events %v", got, l.events)
		}
		dir.write("new/deep/c", "changed")
		h.say(dir.path("new/deep/c"))
		pause(200 * time.Millisecond)
		dir.expect(l.wants(dir.dir, "a", "new/b"))
		// A renamed file is read again: its ctime changed.
		pause(5 * time.Second)
		l.reads()
		dir.rename("a", "z")
		h.say(dir.path("a"), dir.path("z"))
		pause(5 * time.Second)
		dir.expect(l.wants(dir.dir, "new/b", "new/deep/c", "z"))
		if got := l.reads(); !slices.Equal(got, []string{"z"}) && runtime.GOOS == "linux" {
			t.Errorf("read %q", got)
		}
		// After a while what is gone is forgotten by the index too; what took its place is not.
		dir.write("old/b", "again")
		h.say(dir.path("old"))
		pause(time.Minute)
		if _, _, ok := l.Recorded(dir.path("a")); ok {
			t.Error("a is remembered")
		}
		if _, _, ok := l.Recorded(dir.path("old/deep/c")); ok {
			t.Error("old/deep/c is remembered")
		}
		if _, _, ok := l.Recorded(dir.path("old/b")); !ok {
			t.Error("old/b is forgotten")
		}
	})
}

// TestGrowing: a file that is written to for a minute is hashed once, when it is quiet; so are files that are written
// to at a thousand times a second.
// A shared folder that goes and comes back, or is made anew, is shared again soon: the system tells nothing of what is not there.
func TestFolderComesBack(t *testing.T) {
	for _, h := range []*told{newTold(), nil} {
		inBubble(t, h, map[string]string{"a": "a", "b": "b"}, func(dir folder, l *library, w *Watcher) {
			away := dir.dir + ".away"
			dir.expect(os.Rename(dir.dir, away))
			if h != nil {
				h.ctl <- func(hint func(string, bool), _ func()) { hint(dir.dir, true) }
			}
			pause(time.Minute + time.Second)
			dir.expect(l.wants(dir.dir))
			dir.expect(os.Rename(away, dir.dir))
			dir.write("c", "c")
			pause(6 * time.Second)
			dir.expect(l.wants(dir.dir, "a", "b", "c"))
			if h != nil && !h.watched[dir.dir] {
				t.Error("it is not watched any more")
			}
		})
	}
}

func TestGrowing(t *testing.T) {
	h := newTold()
	inBubble(t, h, nil, func(dir folder, l *library, w *Watcher) {
		for i := range 60 {
			dir.write("log", fmt.Sprint(i, bytes.Repeat([]byte("x"), i)))
			h.say(dir.path("log"))
			pause(time.Second)
		}
		dir.expect(l.wants(dir.dir))
		pause(5 * time.Second) // the times of the file lie ahead of the virtual clock: what counts is when its change was seen
		dir.expect(l.wants(dir.dir, "log"))
		if got := l.reads(); !slices.Equal(got, []string{"log"}) {
			t.Errorf("read %q", got)
		}
		for i := range 3000 {
			if i%100 == 0 { // the others would be the same to a virtual clock
				dir.write("log", fmt.Sprint(i))
			}
			h.say(dir.path("log"))
			pause(time.Millisecond)
		}
		dir.expect(l.wants(dir.dir))
		pause(5 * time.Second) // the times of the file lie ahead of the virtual clock: what counts is when its change was seen
		dir.expect(l.wants(dir.dir, "log"))
		if got := l.reads(); !slices.Equal(got, []string{"log"}) {
			t.Errorf("read %q", got)
		}
	})
}

// TestWithoutHints: the walk finds everything within one interval, and an interval later it is offered.
func TestWithoutHints(t *testing.T) {
	inBubble(t, nil, map[string]string{"a": "a", "sub/b": "b"}, func(dir folder, l *library, w *Watcher) {
		dir.write("a", "changed")
		dir.write("new", "n")
		dir.remove("sub")
		pause(61 * time.Second)
		pause(3 * time.Second)
		dir.expect(l.wants(dir.dir, "a", "new"))
		// The folder goes, as a drive that is pulled out, and comes back.
		dir.must(os.Rename(dir.dir, dir.dir+".away"))
		pause(61 * time.Second)
		dir.expect(l.wants(dir.dir))
		dir.must(os.Rename(dir.dir+".away", dir.dir))
		pause(64 * time.Second)
		dir.expect(l.wants(dir.dir, "a", "new"))
	})
}

// TestLimits: folders that cannot be watched are walked, which is said once; nothing is missed after an interval (D12).
func TestLimits(t *testing.T) {
	h := newTold()
	h.limit = 2
	files := map[string]string{}
	var want []string
	for i := range 20 {
		files[fmt.Sprintf("d%d/f", i)] = fmt.Sprint(i)
		want = append(want, fmt.Sprintf("d%d/f", i))
	}
	inBubble(t, h, files, func(dir folder, l *library, w *Watcher) {
		for i := range 20 {
			dir.write(fmt.Sprintf("d%d/f", i), "changed")
			h.say(dir.path(fmt.Sprintf("d%d/f", i)))
		}
		pause(64 * time.Second)
		dir.expect(l.wants(dir.dir, want...))
		pause(10 * time.Minute)
		if n := l.count(Note); n != 1 {
			t.Errorf("%d notes: %v", n, l.events)
		}
	})
	h = newTold()
	h.why = "others may change it"
	inBubble(t, h, map[string]string{"a": "a"}, func(dir folder, l *library, w *Watcher) {
		dir.write("a", "changed")
		pause(64 * time.Second)
		dir.expect(l.wants(dir.dir, "a"))
		pause(10 * time.Minute)
		if n := l.count(Note); n != 1 || len(h.watched) != 0 {
			t.Errorf("%d notes, %v watched", n, h.watched)
		}
	})
}

// TestOverflow: lost hints, and more hints than are held, lead to a walk.
func TestOverflow(t *testing.T) {
	h := newTold()
	inBubble(t, h, map[string]string{"a": "a"}, func(dir folder, l *library, w *Watcher) {
		dir.write("a", "changed")
		h.ctl <- func(_ func(string, bool), overflow func()) { overflow() }
		pause(5 * time.Second)
		dir.expect(l.wants(dir.dir, "a"))
		dir.write("b", "b")
		var many []string
		for i := range 2 * maxHints {
			many = append(many, dir.path(fmt.Sprint("no", i)))
		}
		h.say(many...)
		h.say(dir.path("b"))
		pause(5 * time.Second)
		dir.expect(l.wants(dir.dir, "a", "b"))
	})
}

// TestRemove: what only a removed path had is withdrawn, also when it is removed while it is hashed.
func TestRemove(t *testing.T) {
	inBubble(t, nil, map[string]string{"a": "a", "sub/b": "b"}, func(dir folder, l *library, w *Watcher) {
		sub := seed.Options{Paths: []string{dir.path("sub")}}
		if _, err := w.Add(dir.Context(), sub, nil); err != nil {
			dir.Fatal(err)
		}
		if _, err := w.Add(dir.Context(), sub, nil); err != nil || len(w.all()) != 2 {
			t.Errorf("twice: %v", err)
		}
		n := 0
		if err := w.Files(dir.dir, func(f seed.File) error { n += len(f.Rel); return nil }); err != nil || n != len("a")+len("sub/b") {
			t.Error(n, err)
		}
		if !w.Remove(dir.dir) || w.Remove(dir.dir) {
			t.Error("not removed once")
		}
		dir.expect(l.wants(dir.dir, "sub/b"))
		if err := w.Files(dir.dir, nil); err == nil {
			t.Error("files of what is not watched")
		}
		one := seed.Options{Paths: []string{dir.path("a")}}
		if _, err := w.Add(dir.Context(), one, func(e seed.Event) {
			if e.Kind == seed.FileDone {
				w.Remove(dir.path("a"))
			}
		}); err != nil {
			t.Error(err)
		}
		dir.expect(l.wants(dir.dir, "sub/b"))
	})
}

// TestOfferedMeanwhile: a file that has changed, and is offered anew by somebody's scan while the watch withdraws what it was, is offered.
func TestOfferedMeanwhile(t *testing.T) {
	h := newTold()
	inBubble(t, h, map[string]string{"a": "a", "b": "b"}, func(dir folder, l *library, w *Watcher) {
		dir.write("a", "changed")
		reached, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error)
		once := sync.OnceFunc(func() { close(reached); <-goOn })
		l.mu.Lock()
		l.between = func(path string) {
			if path == dir.path("a") {
				once()
			}
		}
		l.mu.Unlock()
		go func() {
			_, err := w.Add(dir.Context(), seed.Options{Paths: []string{dir.dir}, Exclude: []string{"*.tmp"}}, nil)
			done <- err
		}()
		<-reached
		h.say(dir.path("a"))
		pause(time.Second)
		dir.expect(l.wants(dir.dir, "b"))
		close(goOn)
		dir.must(<-done)
		pause(10 * time.Second)
		dir.expect(l.wants(dir.dir, "a", "b"))
	})
}

// TestOneFile: a file that is shared itself is watched without its neighbours.
func TestOneFile(t *testing.T) {
	h := newTold()
	inBubble(t, h, map[string]string{"sub/x": "x"}, func(dir folder, l *library, w *Watcher) {
		w.Remove(dir.dir)
		dir.write("one", "1")
		dir.write("two", "2")
		if _, err := w.Add(dir.Context(), seed.Options{Paths: []string{dir.path("one")}}, nil); err != nil {
			dir.Fatal(err)
		}
		pause(time.Second)
		dir.write("one", "changed")
		dir.write("two", "changed")
		h.say(dir.path("one"), dir.path("two"))
		pause(200 * time.Millisecond)
		dir.expect(l.wants(dir.dir))
		pause(3 * time.Second)
		dir.expect(l.wants(dir.dir, "one"))
		dir.remove("one")
		h.say(dir.path("one"))
		pause(time.Second)
		dir.expect(l.wants(dir.dir))
		dir.write("one", "back")
		h.say(dir.path("one"))
		pause(4 * time.Second)
		dir.expect(l.wants(dir.dir, "one"))
	})
}

// TestChangedBeforeWatched: a change that comes just before the watch of a file, or of a folder, is seen by the look.
func TestChangedBeforeWatched(t *testing.T) {
	for _, path := range []string{"sub", "sub/a"} {
		h := newTold()
		inBubble(t, h, map[string]string{"sub/a": "a"}, func(dir folder, l *library, w *Watcher) {
			w.Remove(dir.dir)
			h.mu.Lock()
			h.first = func() { dir.write("sub/a", "changed") }
			h.mu.Unlock()
			if _, err := w.Add(dir.Context(), seed.Options{Paths: []string{dir.path(path)}}, nil); err != nil {
				t.Fatal(err)
			}
			pause(10 * time.Second)
			dir.expect(l.wants(dir.dir, "sub/a"))
		})
	}
}

// TestUnreadable: a file that cannot be read is tried again, ever more seldom, and offered when it can.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	h := newTold()
	inBubble(t, h, nil, func(dir folder, l *library, w *Watcher) {
		dir.write("a", "a")
		dir.must(os.Chmod(dir.path("a"), 0))
		h.say(dir.path("a"))
		pause(time.Hour)
		if n := l.count(Failed); n < 5 || n > 20 {
			t.Errorf("failed %d times", n)
		}
		dir.must(os.Chmod(dir.path("a"), 0o644))
		h.say(dir.path("a"))
		pause(11 * time.Minute)
		dir.expect(l.wants(dir.dir, "a"))
	})
}

// TestOtherOptions: a path that is added again has the new options; what they leave out is withdrawn.
func TestOtherOptions(t *testing.T) {
	inBubble(t, nil, map[string]string{"a": "a", "b.iso": "b"}, func(dir folder, l *library, w *Watcher) {
		if _, err := w.Add(dir.Context(), seed.Options{Paths: []string{dir.dir}, Exclude: []string{"*.iso"}}, nil); err != nil {
			dir.Fatal(err)
		}
		pause(time.Second)
		dir.expect(l.wants(dir.dir, "a"))
	})
}

// TestOff: without walks and hints there is still Files and Remove.
func TestOff(t *testing.T) {
	dir, l := folder{t, t.TempDir()}, newLibrary(t)
	dir.write("a", "a")
	dir.write("b", "b")
	w := New(l, Options{Off: true})
	if _, err := w.Add(t.Context(), seed.Options{Paths: []string{dir.path("a"), dir.path("b")}}, nil); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := w.Files(dir.path("a"), func(seed.File) error { n++; return nil }); err != nil || n != 1 {
		t.Error(n, err)
	}
	w.Remove(dir.path("a"))
	dir.expect(l.wants(dir.dir, "b"))
	dir.expect(w.Close())
}
