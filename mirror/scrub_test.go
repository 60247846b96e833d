package mirror

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
)

// TestScrub flips a byte of a content: it is found in one round, put aside, brought again, and the tree has the right one. What
// nobody gives again goes, and comes back when somebody does.
func TestScrub(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(4, "one"))
	hooked := filepath.Join(dir, "hooked")
	set, m := open(t, s, dir, func(spec *Spec) { spec.Hooks.Scrub = "echo $SHARER_REASON >> " + hooked })
	ownLook(m)
	mustSync(t, m)
	sums, err := chunk.Sum(t.Context(), strings.NewReader("file 1"), 6, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	damage := func() {
		t.Helper()
		path := set.cfg.Blobs.Path(sums.BLAKE3)
		fi, err := os.Stat(path)
		if err == nil {
			err = errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("file 7"), 0o600), os.Chmod(path, 0o444), os.Chtimes(path, fi.ModTime(), fi.ModTime()))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	pace := ScrubPace{Every: time.Hour, Rate: 1 << 30}
	round1, err := set.loadRound()
	if err == nil {
		err = set.scrubRound(t.Context(), &round1, pace)
	}
	if l := m.Look(); err != nil || l.Scrub.Damaged != 0 || l.Scrub.Ended.IsZero() || l.Scrub.Read == 0 {
		t.Fatalf("a sound round: %+v %v", l.Scrub, err)
	}
	damage()
	if err := set.scrubRound(t.Context(), &round1, pace); err != nil {
		t.Fatal(err)
	}
	if l := m.Look(); l.Scrub.Damaged != 1 || l.Scrub.Healed != 1 || !same(tree(t, m), texts(4, "one")) {
		t.Errorf("healed: %+v %v", l.Scrub, tree(t, m))
	}
	endHooks(m)
	if text, err := os.ReadFile(hooked); err != nil || !strings.HasPrefix(string(text), "d1/f1: damaged: its hash is ") {
		t.Errorf("the hook says %q %v", text, err)
	}
	aside, err := filepath.Glob(filepath.Join(set.cfg.Blobs.dir, quarantine, "*"))
	if err != nil || len(aside) != 1 {
		t.Errorf("put aside: %v %v", aside, err)
	}
	damage()
	s.lose("file 1")
	if err := set.scrubRound(t.Context(), &round1, pace); err != nil {
		t.Fatal(err)
	}
	if l := m.Look(); l.Scrub.Damaged != 2 || l.Scrub.Healed != 1 {
		t.Errorf("not healed: %+v", l.Scrub)
	}
	if _, err := os.Lstat(filepath.Join(m.tree.Dir(m.Look().Current), "d1", "f1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is damaged is still in the tree: %v", err)
	}
	s.lose("")
	for range 2 {
		if _, err := m.Sync(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	if !same(tree(t, m), texts(4, "one")) {
		t.Errorf("after somebody gave it: %v", tree(t, m))
	}
}

// TestAside: what was put aside last stays, within its bounds; what is too large by itself does not.
func TestAside(t *testing.T) {
	blobs, err := OpenBlobs(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1700000000, 0)
	put := func(size int64) (name string) {
		t.Helper()
		now = now.Add(time.Second)
		h := chunk.RootOfBlock([]byte(now.String()))
		err := os.MkdirAll(filepath.Dir(blobs.Path(h)), 0o700)
		if err == nil {
			err = os.WriteFile(blobs.Path(h), nil, 0o600)
		}
		if err == nil {
			err = os.Truncate(blobs.Path(h), size) // a hole: nothing is written
		}
		if err == nil {
			_, err = blobs.aside(h, now)
		}
		if err != nil {
			t.Fatal(err)
		}
		return h.String()
	}
	var names []string
	check := func(want []string, why string) {
		t.Helper()
		entries, err := os.ReadDir(filepath.Join(blobs.Dir(), quarantine))
		var got []string
		for _, e := range entries {
			_, h, _ := strings.Cut(e.Name(), "-")
			got = append(got, h)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %d are there, want the last %d; %v", why, len(got), len(want), err)
		}
	}
	for range maxAside + 5 {
		names = append(names, put(1))
	}
	check(names[5:], "many")
	names = append(names[5:], put(maxAsideBytes-10))
	check(names[len(names)-11:], "a large one")
	put(maxAsideBytes + 1)
	check(names[len(names)-11:], "one that is too large")
}

// TestScrubAfterWrongClock: a round that ended in the future, by a clock that was set back since, does not put off the next one.
func TestScrubAfterWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		blobs, err := OpenBlobs(filepath.Join(dir, "blobs"))
		if err != nil {
			t.Fatal(err)
		}
		set, _, err := OpenSet(Config{Dir: filepath.Join(dir, "mirrors"), Blobs: blobs})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		if err := set.saveRound(round{Ended: time.Now().AddDate(1, 0, 0)}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { set.RunScrub(ctx, ScrubPace{Every: time.Hour, Rate: 1 << 20}); close(done) }()
		time.Sleep(90 * time.Minute)
		stop()
		<-done
		if r, err := set.loadRound(); err != nil || r.Ended.After(time.Now()) {
			t.Errorf("%+v %v", r, err)
		}
	})
}

// TestScrubPace: a round takes as long as its rate says, goes on where it was stopped, and the next one waits.
func TestScrubPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		blobs, err := OpenBlobs(filepath.Join(dir, "blobs"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			text := strings.Repeat(string(rune('a'+i)), 1<<20)
			sums, err := chunk.Sum(t.Context(), strings.NewReader(text), 1<<20, nil, nil)
			if err == nil {
				err = errors.Join(os.MkdirAll(filepath.Dir(blobs.Path(sums.BLAKE3)), 0o700), os.WriteFile(blobs.Path(sums.BLAKE3), []byte(text), 0o444))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		set, _, err := OpenSet(Config{Dir: filepath.Join(dir, "mirrors"), Blobs: blobs})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { set.RunScrub(ctx, ScrubPace{Every: time.Hour, Rate: 100 << 10}); close(done) }()
		time.Sleep(25 * time.Second) // 10.24 s each
		stop()
		<-done
		r, err := set.loadRound()
		if err != nil || r.Read != 2<<20 || !r.Ended.IsZero() {
			t.Fatalf("after 25 s: %+v %v", r, err)
		}
		again, notes, err := OpenSet(Config{Dir: filepath.Join(dir, "mirrors"), Blobs: blobs})
		if err != nil || len(notes) > 0 || again.lacking {
			t.Errorf("what the scrub has written passes for a mirror: %q %v", notes, err)
		}
		again.Close()
		ctx, stop = context.WithCancel(t.Context())
		done = make(chan struct{})
		begun := time.Now()
		go func() { set.RunScrub(ctx, ScrubPace{Every: time.Hour, Rate: 100 << 10}); close(done) }()
		time.Sleep(30 * time.Minute)
		stop()
		<-done
		r, err = set.loadRound()
		if took := r.Ended.Sub(begun); err != nil || took < 20*time.Second || took > 22*time.Second {
			t.Errorf("the second half took %v: %+v %v", took, r, err)
		}
	})
}
