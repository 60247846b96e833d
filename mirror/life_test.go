package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/folder"
	"sharer/identity"
)

// TestCloseWhileRemoved: a set that closes does not wait for the work of a mirror that is half removed.
func TestCloseWhileRemoved(t *testing.T) {
	s := newSwarm(t)
	s.publish(1, texts(1, "one"))
	set, m := open(t, s, t.TempDir(), func(*Spec) {})
	mustSync(t, m)
	m.stop() // as Remove does before the mirror is off the list
	<-m.ended
	<-m.work
	m.hooks.close()
	m.hooks.stop()
	set.Close()
}

// ending is a swarm that gives all, and the set ends with the last content.
type ending struct {
	*swarm
	set *Set
}

func (e ending) Contents(ctx context.Context, o Order, done func(folder.File, error)) error {
	err := e.swarm.Contents(ctx, o, done)
	e.set.Stop()
	return err
}

// TestEndsWithGroup: contents that have come when the set ends are not synced, which somebody would wait for; they lie there for the next run.
func TestEndsWithGroup(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(3, "one"))
	set, m := open(t, s, dir, func(*Spec) {})
	ownLook(m)
	mustSync(t, m)
	s.publish(2, texts(3, "two"))
	set.cfg.Fetcher = ending{s, set}
	if _, err := m.Sync(t.Context(), false); err == nil {
		t.Error("a sync outlives its set")
	}
	set.Close()
	arrived, err := os.ReadDir(set.cfg.Blobs.New())
	if err != nil || len(arrived) != 1 {
		t.Errorf("%d contents wait, %v", len(arrived), err)
	}
	_, m = open(t, s, dir, func(*Spec) {})
	mustSync(t, m)
	if !same(tree(t, m), texts(3, "two")) {
		t.Errorf("the tree is %v", tree(t, m))
	}
}

// TestWhileFetching: a pause and a removal end what somebody has asked for too, and a removed mirror does not come back.
func TestWhileFetching(t *testing.T) {
	for _, what := range []string{"pause", "remove", "close"} {
		t.Run(what, func(t *testing.T) {
			s, dir := newSwarm(t), t.TempDir()
			s.publish(1, texts(3, "one"))
			inner := filepath.Join(dir, "mirrors", "m", "tree")
			set, m := open(t, s, dir, func(spec *Spec) { spec.Dir = inner })
			mustSync(t, m)
			begun := make(chan struct{}, 10)
			s.mu.Lock()
			s.begun = begun // before there is something to fetch: the mirror's own loop may be the one that does
			s.mu.Unlock()
			s.publish(2, texts(3, "two"))
			ended := make(chan error)
			go func() {
				_, err := m.Sync(t.Context(), false)
				ended <- err
			}()
			<-begun
			switch what {
			case "pause":
				if err := m.Pause(true); err != nil {
					t.Fatal(err)
				}
				// It may have waited for the mirror's own loop, and have nothing to do then.
				if err := <-ended; err != nil && !errors.Is(err, errPaused) || m.Look().Doing != Paused || m.Look().Failed != "" {
					t.Errorf("a sync that was paused: %v, %+v", err, m.Look())
				}
			case "remove":
				removed := make(chan error, 1)
				go func() { removed <- set.Remove(context.Background(), "m", false) }()
				if err := <-ended; !errors.Is(err, ErrNoMirror) {
					t.Errorf("a sync of a mirror that was removed: %v", err)
				}
				if err := <-removed; err != nil {
					t.Error(err)
				}
				_ = m.Pause(true) // by somebody who had found it
				if _, err := os.Lstat(filepath.Join(dir, "mirrors", "m", fileName)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("what was removed will be there after a restart: %v", err)
				}
			case "close":
				go set.Close()
				if err := <-ended; err == nil {
					t.Error("a sync outlives its set")
				}
			}
			if !same(tree(t, m), texts(3, "one")) {
				t.Errorf("the tree is %v", tree(t, m))
			}
		})
	}
}

// TestKeptForNextAttempt: what came of a version that is not whole yet is not collected when another mirror takes things away.
func TestKeptForNextAttempt(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(3, "one"))
	set, m := open(t, s, dir, func(spec *Spec) { spec.Rules.Keep = 1 })
	ownLook(m)
	mustSync(t, m)
	s.publish(2, texts(6, "two"))
	s.lose("file 5")
	if _, err := m.Sync(t.Context(), false); err == nil {
		t.Fatal("a content is missing, and nobody says so")
	}
	if err := set.collectSoon(); err != nil {
		t.Fatal(err)
	}
	s.took()
	s.lose("")
	mustSync(t, m)
	if got := s.took(); len(got) != 1 || got[0] != "file 5" {
		t.Errorf("fetched again: %q", got)
	}
}

// TestUsersOwn: what lies beside a tree is nobody's but the user's.
func TestUsersOwn(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(3, "one"))
	own := filepath.Join(dir, "tree", versionsDir, "mine")
	hidden := filepath.Join(dir, "tree", versionsDir, ".old-letters")
	for _, path := range []string{own, hidden} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	set, m := open(t, s, dir, func(*Spec) {})
	mustSync(t, m)
	if err := set.Remove(t.Context(), "m", true); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "tree", versionsDir))
	if err != nil || len(entries) != 2 {
		t.Errorf("beside what is the user's: %v %v", entries, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "tree", currentName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the tree is there: %v", err)
	}
}

// TestLeftTree: a tree that stayed is taken up by a mirror of the same link, though its manifest is gone, and by no other.
func TestLeftTree(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	first := s.publish(1, texts(3, "one"))
	set, m := open(t, s, dir, func(*Spec) {})
	mustSync(t, m)
	spec := m.Look().Spec
	if err := set.Remove(t.Context(), "m", false); err != nil {
		t.Fatal(err)
	}
	err := set.Add(Spec{Name: "m", ID: first, Dir: spec.Dir, Rules: spec.Rules})
	if err == nil || !strings.Contains(err.Error(), "Take another folder") {
		t.Fatalf("another mirror in the tree: %v", err)
	}
	s.mu.Lock()
	clear(s.pages)
	s.mu.Unlock()
	s.publish(2, texts(3, "two"))
	if err := set.Add(spec); err != nil {
		t.Fatal(err)
	}
	if m, err = set.Find("m"); err != nil {
		t.Fatal(err)
	}
	mustSync(t, m)
	if !same(tree(t, m), texts(3, "two")) {
		t.Errorf("the tree is %v", tree(t, m))
	}
}

// TestAddedTogether: of two with one name that are added at the same time one is there, now and after a restart.
func TestAddedTogether(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	id := s.publish(1, texts(3, "one"))
	set, _ := open(t, s, dir, func(*Spec) {})
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			errs[i] = set.Add(Spec{Name: "x", ID: id, Dir: filepath.Join(dir, fmt.Sprint("tree", i)), Rules: DefaultRules()})
		})
	}
	wg.Wait()
	good := 0
	for _, err := range errs {
		if err == nil {
			good++
		}
	}
	if _, err := loadFile(filepath.Join(dir, "mirrors", "x")); good != 1 || err != nil {
		t.Errorf("%d were added, and what is kept: %v", good, err)
	}
}

// TestFloodOfManifests: of versions that are held, all but the latest leave nothing behind.
func TestFloodOfManifests(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(20, "one"))
	_, m := open(t, s, dir, func(*Spec) {})
	mustSync(t, m)
	for i := range 20 {
		s.publish(int64(2+i), map[string]string{"VERSION": fmt.Sprint(i)})
		if _, err := m.Sync(t.Context(), false); !errors.Is(err, ErrHeld) {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(m.pages.dir)
	if err != nil || len(entries) > 3 {
		t.Errorf("%d manifests, %v", len(entries), err)
	}
}

// TestTwoDisks: a tree that contents cannot be linked into needs room where it is, and only there.
func TestTwoDisks(t *testing.T) {
	for name, c := range map[string]struct {
		store, tree int64
		held        Reason
	}{"store and tree": {150, 150, ""}, "no tree": {150, 50, HeldDisk}, "no store": {50, 150, HeldDisk}} {
		s := Situation{
			Rules: plain(func(*Rules) {}), Old: None, New: list([]folder.File{file("a", 1, 100)}), OldHas: all, Has: nothing,
			Disk: Disk{Free: c.store, Total: 1000, Inodes: -1}, TreeDisk: Disk{Free: c.tree, Total: 2000, Inodes: -1},
		}
		if p, err := Make(s); err != nil || p.Held != c.held {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
}

// TestReoffer: when it was lost what is served, all of it is again, and nothing is done when it was not.
func TestReoffer(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(20, "one"))
	set, m := open(t, s, dir, func(*Spec) {})
	ownLook(m)
	mustSync(t, m)
	s.mu.Lock()
	was := s.offered
	s.offered = map[string]Kept{}
	s.mu.Unlock()
	if err := set.Reoffer(t.Context(), 21); err != nil || len(s.offered) > 0 {
		t.Errorf("nothing was lost, and %d are offered again; %v", len(s.offered), err)
	}
	if err := set.Reoffer(t.Context(), 20); err != nil || len(s.offered) != 21 {
		t.Errorf("%d are offered again, want 21; %v", len(s.offered), err)
	}
	for path, k := range s.offered {
		if k != was[path] {
			t.Errorf("%s: %+v, was %+v", path, k, was[path])
		}
	}
}

// TestListens: a mirror that shares the load fetches nothing before it knows with whom, or a minute has passed.
func TestListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dir := newSwarm(t), t.TempDir()
		s.publish(1, texts(200, "one"))
		k, err := identity.KeyFromSeed([32]byte{9})
		if err != nil {
			t.Fatal(err)
		}
		blobs, err := OpenBlobs(filepath.Join(dir, "blobs"))
		if err != nil {
			t.Fatal(err)
		}
		set, _, err := OpenSet(Config{
			Dir: filepath.Join(dir, "mirrors"), Blobs: blobs, Fetcher: s, Names: s, Shelf: s, Listens: true, Disk: func(string) (Disk, error) { return wide(), nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		add := func(name string, key identity.PublicKey) *Mirror {
			t.Helper()
			spec := Spec{Name: name, Key: s.key, Path: "isos/folder.json", Dir: filepath.Join(dir, name), Rules: DefaultRules(), Group: []string{key.String()}}
			spec.Rules.Copies = 1
			if err := set.Add(spec); err != nil {
				t.Fatal(err)
			}
			m, err := set.Find(name)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		shares := add("shares", k.Public())
		synctest.Wait()
		if took := s.took(); len(took) > 0 {
			t.Errorf("fetched %d before anybody was asked", len(took))
		}
		set.Heard(k.Public(), time.Now())
		set.Asked(k.Public())
		mustSync(t, shares)
		if took := s.took(); len(took) < 50 || len(took) > 150 {
			t.Errorf("fetched %d of 201 for one copy among two", len(took))
		}
		begun := time.Now()
		silent := add("silent", s.key)
		mustSync(t, silent)
		if took := time.Since(begun); took != listenWait || silent.Look().Trace.Files != 201 {
			t.Errorf("nobody asks: %v, %+v", took, silent.Look().Trace)
		}
	})
}
