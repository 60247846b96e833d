package mirror

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/identity"
)

// stored is how many contents a set keeps, and their bytes.
func stored(t *testing.T, set *Set) (n int, bytes int64) {
	t.Helper()
	err := set.contents.Each(func(_ chunk.Hash, size int64) error { n, bytes = n+1, bytes+size; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n, bytes
}

// TestFloodOfVersions: a thief of a key signs a thousand versions within a minute, and tells of each. One in five seconds is
// taken, a bounded number stays on disk, and the last one is there in the end.
func TestFloodOfVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const versions = 1000
		s, dir := newSwarm(t), t.TempDir()
		s.publish(1, texts(3, "1"))
		set, m := open(t, s, dir, func(spec *Spec) { spec.Rules.Grace = 24 * time.Hour })
		mustSync(t, m)
		begun := time.Now()
		s.mu.Lock()
		s.asked, s.fetched = 0, nil
		s.mu.Unlock()
		for seq := int64(2); seq <= versions+1; seq++ {
			s.publish(seq, texts(3, fmt.Sprint(seq)))
			set.Pushed(identity.Record{Key: s.key, Path: "isos/folder.json"})
			<-time.After(time.Minute / versions)
		}
		<-time.After(2 * pushGap)
		synctest.Wait()
		most := int(time.Since(begun)/pushGap) + 2
		vs, err := m.tree.Versions()
		pages, err2 := os.ReadDir(m.pages.dir)
		if err = errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		n, _ := stored(t, set)
		got := len(s.took())
		t.Logf("%d versions in %s: %d contents fetched, %d versions kept, %d contents, %d pages", versions, time.Since(begun), got, len(vs), n, len(pages))
		if got > most || got < 5 {
			t.Errorf("%d contents were fetched, want one for each of at most %d syncs", got, most)
		}
		if keep := m.Look().Spec.Rules.Keep + maxGrace; len(vs) > keep || len(pages) > keep+1 || n > keep+4 {
			t.Errorf("%d versions, %d pages, %d contents are there, at most %d versions are kept", len(vs), len(pages), n, keep)
		}
		if past := len(m.Look().State.Past); past > most+1 {
			t.Errorf("%d versions are remembered", past)
		}
		if !same(tree(t, m), texts(3, fmt.Sprint(versions+1))) {
			t.Errorf("in the end the tree is %v", tree(t, m))
		}
	})
}

// TestFloodWithinQuota: versions that change everything stay within the quota together, though each could stay for a day; the
// one before stays where there is room for it.
func TestFloodWithinQuota(t *testing.T) {
	const quota, size, old = 1000, 400, 24 * time.Hour
	s, dir := newSwarm(t), t.TempDir()
	version := func(n int) map[string]string {
		return map[string]string{"f": strings.Repeat(fmt.Sprintf("%04d", n), size/4)}
	}
	s.publish(1, version(1))
	set, m := open(t, s, dir, func(spec *Spec) { spec.Rules.Grace, spec.Rules.Quota, spec.Rules.Keep = old, quota, 4 })
	for n := 1; n <= 12; n++ {
		s.publish(int64(n), version(n))
		mustSync(t, m)
		_, bytes := stored(t, set)
		if bytes > quota || n > 1 && bytes < 2*size {
			t.Fatalf("after version %d there are %d bytes, the quota is %d", n, bytes, quota)
		}
		if !same(tree(t, m), version(n)) {
			t.Fatalf("version %d is %v", n, tree(t, m))
		}
	}
}

// TestLessQuota: earlier versions go when the operator gives less than they take, though no version comes; the current one stays
// whole, also when it is too much by itself.
func TestLessQuota(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, map[string]string{"f": strings.Repeat("1", 400)})
	set, m := open(t, s, dir, func(spec *Spec) { spec.Rules.Grace, spec.Rules.Keep = 24*time.Hour, 4 })
	mustSync(t, m)
	s.publish(2, map[string]string{"f": strings.Repeat("2", 400)})
	mustSync(t, m)
	if _, bytes := stored(t, set); bytes < 800 {
		t.Fatalf("two versions have %d bytes", bytes)
	}
	for _, quota := range []int64{500, 100} {
		rules := m.Look().Spec.Rules
		rules.Quota = quota
		if err := set.SetRules("m", rules); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Sync(t.Context(), false); err != nil && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		if _, bytes := stored(t, set); bytes > 500 {
			t.Errorf("a quota of %d leaves %d bytes", quota, bytes)
		}
		if !same(tree(t, m), map[string]string{"f": strings.Repeat("2", 400)}) {
			t.Fatalf("the tree is %v", tree(t, m))
		}
	}
}

// TestAddedAgain: a mirror that was removed has left its tree, and its contents have gone; one that is added there again brings
// them, and does not call the tree up to date.
func TestAddedAgain(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(3, "one"))
	set, m := open(t, s, dir, func(*Spec) {})
	mustSync(t, m)
	spec := m.Look().Spec
	if err := set.Remove(t.Context(), "m", false); err != nil {
		t.Fatal(err)
	}
	if n, _ := stored(t, set); n != 0 {
		t.Fatalf("%d contents are left", n)
	}
	if err := set.Add(spec); err != nil {
		t.Fatal(err)
	}
	m, err := set.Find("m")
	if err != nil {
		t.Fatal(err)
	}
	mustSync(t, m)
	if n, _ := stored(t, set); n != 4 || !same(tree(t, m), texts(3, "one")) {
		t.Errorf("%d contents are there, want 4; the tree is %v", n, tree(t, m))
	}
	if look := m.Look(); look.Trace.Files != 4 {
		t.Errorf("%d files are told of, want 4", look.Trace.Files)
	}
}

// TestFullDiskInTheMiddle lets each step of a switch that a mirror does fail once for want of room: the version before, or the new
// one, is there whole and is what is served; the mirror says what is wrong, and the next sync is good.
func TestFullDiskInTheMiddle(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	seq, last := int64(1), "1"
	publish := func() {
		seq++
		last = fmt.Sprint(seq)
		s.publish(seq, texts(4, last))
	}
	s.publish(1, texts(4, last))
	_, m := open(t, s, dir, func(spec *Spec) { spec.Rules.Keep = 1 })
	ownLook(m)
	mustSync(t, m)
	served := func() map[string]string {
		v, err := m.set.View(t.Context(), "m")
		if err != nil || v == nil {
			t.Fatalf("nothing is served: %v", err)
		}
		got := map[string]string{}
		for _, want := range []map[string]string{texts(4, last)} {
			for path := range want {
				f, there, err := v.Files.Find(t.Context(), path)
				if err != nil || !there {
					t.Fatalf("%s is not served: %v", path, err)
				}
				in, err := v.Open(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				text := make([]byte, f.Size)
				if _, err := in.Read(text); err != nil {
					t.Fatal(err)
				}
				in.Close()
				got[path] = string(text)
			}
		}
		return got
	}
	steps := 0
	for k := 0; ; k++ {
		was := last
		publish()
		n, failed := 0, false
		<-m.work // nobody uses the tree
		m.tree.ops.before = func(op, path string) error {
			if n++; n == k+1 {
				failed = true
				return &os.PathError{Op: op, Path: path, Err: syscall.ENOSPC}
			}
			return nil
		}
		m.work <- struct{}{}
		_, err := m.Sync(t.Context(), false)
		if n == 0 { // the mirror's own first look was faster
			k--
			continue
		}
		if failed != errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("step %d failed: %v, and the sync says %v", k, failed, err)
		}
		now := tree(t, m)
		if l := m.Look(); failed && (l.Failed == "" || l.Doing != Waiting) {
			t.Fatalf("step %d: the mirror is %q, and says %q", k, l.Doing, l.Failed)
		}
		if !same(now, texts(4, was)) && !same(now, texts(4, last)) || !same(served(), now) {
			t.Fatalf("step %d: the tree is %v, served is %v", k, now, served())
		}
		<-m.work
		m.tree.ops.before = nil
		m.work <- struct{}{}
		mustSync(t, m)
		if now := tree(t, m); !same(now, texts(4, last)) || !same(served(), now) {
			t.Fatalf("after step %d and a second try the tree is %v, served is %v", k, now, served())
		}
		left, err := filepath.Glob(filepath.Join(m.tree.path(versionsDir), ".*-*"))
		for _, path := range left {
			if ofTree(filepath.Base(path)) {
				t.Fatalf("after step %d and a second try %s is left", k, path)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if !failed {
			steps = k
			break
		}
	}
	if steps < 12 {
		t.Errorf("only %d steps: the hook is not everywhere", steps)
	}
	t.Logf("%d steps", steps)
}
