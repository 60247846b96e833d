package watch

import (
	"context"
	"errors"
	"testing"
	"time"

	"sharer/seed"
)

// TestTwoAtOnce: of two that add the same path one may give up: it is watched and offered as long as the other has it.
func TestTwoAtOnce(t *testing.T) {
	gaveUp := errors.New("gave up")
	for _, c := range []struct {
		name          string
		first, second error
		want          []string
	}{
		{"both stay", nil, nil, []string{"a", "sub/b"}}, {"the first gives up", gaveUp, nil, []string{"a", "sub/b"}},
		{"the second gives up", nil, gaveUp, []string{"a", "sub/b"}}, {"both give up", gaveUp, gaveUp, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, map[string]string{"a": "a"}, func(dir folder, l *library, w *Watcher) {
				w.Remove(dir.dir)
				dir.expect(l.wants(dir.dir))
				add := func(why error, meanwhile func()) {
					ctx, cancel := context.WithCancelCause(dir.Context())
					defer cancel(nil)
					_, err := w.Add(ctx, seed.Options{Paths: []string{dir.dir}}, func(e seed.Event) {
						if e.Kind != seed.FileDone {
							return
						}
						meanwhile()
						if why != nil {
							cancel(why)
						}
					})
					if !errors.Is(err, why) {
						t.Errorf("%v, want %v", err, why)
					}
				}
				add(c.first, func() { add(c.second, func() {}) })
				dir.write("sub/b", "b")
				w.Look(dir.dir)
				pause(5 * time.Second)
				dir.expect(l.wants(dir.dir, c.want...))
			})
		})
	}
}

// TestOfferedThoughTheDiskFails: what a scan has offered stays so when it ends with an error that nobody meant, as of a full disk at a start:
// it is true, and is looked for at no other place.
func TestOfferedThoughTheDiskFails(t *testing.T) {
	full := errors.New("no room")
	inBubble(t, nil, map[string]string{"a": "a"}, func(dir folder, l *library, w *Watcher) {
		w.Remove(dir.dir)
		l.fails = full
		if _, err := w.Add(dir.Context(), seed.Options{Paths: []string{dir.dir}}, nil); !errors.Is(err, full) {
			t.Error(err)
		}
		dir.expect(l.wants(dir.dir, "a"))
	})
}

// TestRemovedWhileRenamed: what a removed path had is not offered under its new names.
func TestRemovedWhileRenamed(t *testing.T) {
	h := newTold()
	inBubble(t, h, map[string]string{"old/a": "a"}, func(dir folder, l *library, w *Watcher) {
		l.mu.Lock()
		l.before = func() { // the look withdraws the old names
			l.mu.Lock()
			l.before = func() { w.Remove(dir.dir) } // and adopts the new ones
			l.mu.Unlock()
		}
		l.mu.Unlock()
		dir.rename("old", "new")
		h.say(dir.path("old"), dir.path("new"))
		pause(time.Second)
		if l.before != nil {
			t.Fatal("nothing was adopted")
		}
		dir.expect(l.wants(dir.dir))
	})
}

// TestAddedWhileRemoved: what somebody adds while it is withdrawn with a path that had it is offered.
func TestAddedWhileRemoved(t *testing.T) {
	inBubble(t, nil, map[string]string{"a": "a", "sub/b": "b"}, func(dir folder, l *library, w *Watcher) {
		l.mu.Lock()
		l.before = func() {
			_, err := w.Add(dir.Context(), seed.Options{Paths: []string{dir.path("sub")}}, nil)
			dir.expect(err)
		}
		l.mu.Unlock()
		w.Remove(dir.dir)
		dir.expect(l.wants(dir.dir, "sub/b"))
	})
}
