package watch

import (
	"testing"
	"time"

	"sharer/seed"
)

// TestSettledIsWhole: when a folder is said to have settled, it holds what it held before, but for what has gone for good.
func TestSettledIsWhole(t *testing.T) {
	h := newTold()
	inBubble(t, h, map[string]string{"a": "a", "b": "b", "c": "c", "log": "0"}, func(dir folder, l *library, w *Watcher) {
		settled := func(want int) {
			t.Helper()
			if n := l.count(Settled); n != want {
				t.Errorf("settled %d times, want %d", n, want)
			}
		}
		// One is gone, others are written to for longer than a file has to be quiet.
		dir.remove("c")
		h.say(dir.path("c"))
		for i := range 5 {
			dir.write("a", "changed"+string(rune('0'+i)))
			dir.write("b", "changed"+string(rune('0'+i)))
			h.say(dir.path("a"), dir.path("b"))
			pause(time.Second)
			settled(0)
		}
		if err := w.Files(dir.dir, func(seed.File) error { return nil }); err != ErrUnsettled {
			t.Errorf("a list while files are rewritten: %v", err)
		}
		pause(3 * time.Second)
		dir.expect(l.wants(dir.dir, "a", "b", "log"))
		settled(1)
		n := 0
		if err := w.Files(dir.dir, func(seed.File) error { n++; return nil }); err != nil || n != 3 {
			t.Errorf("%d files, %v", n, err)
		}
		// Removed, and made anew a second later.
		dir.remove("a")
		h.say(dir.path("a"))
		pause(time.Second)
		dir.write("a", "anew")
		h.say(dir.path("a"))
		pause(1500 * time.Millisecond)
		settled(1)
		pause(3 * time.Second)
		dir.expect(l.wants(dir.dir, "a", "b", "log"))
		settled(2)
		// New files wait for nobody and hold up nobody.
		dir.write("new", "n")
		h.say(dir.path("new"))
		pause(2500 * time.Millisecond)
		settled(3)
		// A file that is written to all the time holds up a list for ten minutes, once.
		write := func(d time.Duration) {
			for range d / time.Second {
				dir.write("log", time.Now().String())
				h.say(dir.path("log"))
				pause(time.Second)
			}
		}
		write(maxWait - 2*time.Second)
		settled(3)
		write(5 * time.Second)
		settled(4)
		dir.write("a", "again")
		h.say(dir.path("a"))
		write(5 * time.Second)
		settled(5)
	})
}

// TestQuietAfterStart: what the first look finds and the first scan did not offer may have been offered by an earlier run.
func TestQuietAfterStart(t *testing.T) {
	now := time.Now()
	b := NewBook("/r", time.Second)
	see := func(rel string) {
		b.Begin(nil)
		b.See(seed.Sight{Path: "/r", Folder: true}, now)
		w := world{now: now}
		b.See(seed.Sight{Path: "/r/" + rel, Rel: rel, Stamp: w.stamp()}, now)
		b.End(now)
	}
	see("a")
	if b.Quiet(now).IsZero() {
		t.Error("a file that was being written when the watch began holds up nothing")
	}
	// It cannot be read: tried twice, it holds up nothing any more.
	for range 2 {
		now = now.Add(time.Minute)
		b.Begin(nil)
		b.See(seed.Sight{Path: "/r", Folder: true}, now)
		b.See(seed.Sight{Path: "/r/a", Rel: "a", Stamp: b.waiting["a"].stamp}, now)
		b.End(now)
		b.Hashed(now)
	}
	if at := b.Quiet(now); !at.IsZero() {
		t.Error("a file that cannot be read holds up the list until", at)
	}
}
