package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/identity"
)

// swarm is a publisher with its folder, and everything that others ask it for. It is the Fetcher, the Names and the Shelf
// of a Set.
type swarm struct {
	t *testing.T

	mu       sync.Mutex
	key      identity.PublicKey
	record   identity.Record
	conflict error
	pages    map[chunk.Hash][]byte
	contents map[chunk.Hash]string
	gone     map[chunk.Hash]bool // nobody has it
	asked    int                 // names
	fetched  []string            // contents
	offered  map[string]Kept
	denied   map[chunk.Hash]bool
	begun    chan struct{} // not nil: nothing comes, and whoever waits for it is told here
}

var (
	_ Fetcher = (*swarm)(nil)
	_ Names   = (*swarm)(nil)
	_ Shelf   = (*swarm)(nil)
	_ Denier  = (*swarm)(nil)
)

func newSwarm(t *testing.T) *swarm {
	k, err := identity.KeyFromSeed([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	return &swarm{t: t, key: k.Public(), pages: map[chunk.Hash][]byte{}, contents: map[chunk.Hash]string{}, gone: map[chunk.Hash]bool{}, offered: map[string]Kept{}, denied: map[chunk.Hash]bool{}}
}

// publish makes a version of texts by path, under a number.
func (s *swarm) publish(seq int64, texts map[string]string) chunk.Hash {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var files []folder.File
	for path, text := range texts {
		sums, err := chunk.Sum(s.t.Context(), strings.NewReader(text), int64(len(text)), nil, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		s.contents[sums.BLAKE3] = text
		files = append(files, folder.File{Path: path, Size: sums.Size, BLAKE3: sums.BLAKE3, SHA256: sums.SHA256, Mtime: 1700000000})
	}
	f, err := folder.New("published", files)
	if err != nil {
		s.t.Fatal(err)
	}
	pages, err := f.Pages(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range pages {
		s.pages[p.Sums.BLAKE3] = p.Data
	}
	blake3 := [32]byte(pages[0].Sums.BLAKE3)
	s.record = identity.Record{Key: s.key, Path: "isos/folder.json", SHA256: pages[0].Sums.SHA256, BLAKE3: &blake3, Seq: seq}
	return pages[0].Sums.BLAKE3
}

func (s *swarm) Resolve(_ context.Context, k identity.PublicKey, name string) (identity.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if k != s.key || name != s.record.Path {
		return identity.Record{}, errors.New("nobody knows the name")
	}
	return s.record, s.conflict
}

func (s *swarm) Page(_ context.Context, blake3, sha chunk.Hash) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if data, ok := s.pages[blake3]; ok {
		return data, nil
	}
	if sha == s.record.SHA256 && s.record.BLAKE3 == nil {
		for _, data := range s.pages {
			if sums, _ := chunk.Sum(context.Background(), strings.NewReader(string(data)), int64(len(data)), nil, nil); sums.SHA256 == sha {
				return data, nil
			}
		}
	}
	return nil, errors.New("nobody has the page")
}

func (s *swarm) Contents(ctx context.Context, o Order, done func(folder.File, error)) error {
	s.mu.Lock()
	begun := s.begun
	s.mu.Unlock()
	if begun != nil {
		begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	for _, f := range o.Files {
		s.mu.Lock()
		text, ok := s.contents[f.BLAKE3]
		ok = ok && !s.gone[f.BLAKE3]
		if ok {
			s.fetched = append(s.fetched, text)
		}
		s.mu.Unlock()
		err := errors.New("nobody has it")
		if ok {
			err = os.WriteFile(filepath.Join(o.Dir, f.Path), []byte(text), 0o600)
		}
		done(f, err)
	}
	return ctx.Err()
}

func (s *swarm) Offer(kept []Kept) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range kept {
		s.offered[k.Path] = k
	}
	return nil
}

func (s *swarm) Withdraw(paths []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range paths {
		delete(s.offered, p)
	}
	return nil
}

func (s *swarm) DeniesContent(ids ...chunk.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.denied[id.Hash] {
			return true
		}
	}
	return false
}

func (s *swarm) DeniesKey(k identity.PublicKey) bool { return false }

// lose has nobody have a text; what was lost before is there again.
func (s *swarm) lose(lost string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h, text := range s.contents {
		s.gone[h] = text == lost
	}
}

// deny has a text be denied, and no other.
func (s *swarm) deny(denied string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h, text := range s.contents {
		s.denied[h] = text == denied
	}
}

func (s *swarm) took() (texts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	texts, s.fetched = s.fetched, nil
	return texts
}

// open opens a set in a folder, with one mirror of the swarm's name if there is none.
func open(t *testing.T, s *swarm, dir string, change func(*Spec)) (*Set, *Mirror) {
	t.Helper()
	blobs, err := OpenBlobs(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	set, notes, err := OpenSet(Config{
		Dir: filepath.Join(dir, "mirrors"), Blobs: blobs, Fetcher: s, Names: s, Shelf: s, Deny: s,
		Disk: func(string) (Disk, error) { return wide(), nil },
		HTTP: func(_ context.Context, p Plain) error {
			return p.Write([]byte(p.Base + p.File)[p.Off : p.Off+p.Len])
		},
	})
	if err != nil || len(notes) > 0 {
		t.Fatal(notes, err)
	}
	t.Cleanup(set.Close)
	if _, err := set.Find("m"); err != nil {
		spec := Spec{Name: "m", Key: s.key, Path: "isos/folder.json", Dir: filepath.Join(dir, "tree"), Rules: DefaultRules()}
		spec.Rules.Every, spec.Rules.Grace = time.Hour, 0
		change(&spec)
		if err := set.Add(spec); err != nil {
			t.Fatal(err)
		}
	}
	m, err := set.Find("m")
	if err != nil {
		t.Fatal(err)
	}
	return set, m
}

// tree is what the current version holds.
func tree(t *testing.T, m *Mirror) map[string]string {
	t.Helper()
	l := m.Look()
	texts := map[string]string{}
	dir := filepath.Join(l.Spec.Dir, currentName)
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.Walk(root, func(path string, fi os.FileInfo, err error) error {
		if err == nil && fi.Mode().IsRegular() {
			var text []byte
			text, err = os.ReadFile(path)
			rel, _ := filepath.Rel(root, path)
			texts[filepath.ToSlash(rel)] = string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func texts(n int, version string) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("d%d/f%d", i%3, i)] = fmt.Sprintf("file %d", i)
	}
	m["VERSION"] = version
	return m
}

func same(a, b map[string]string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// ownLook waits until the mirror's own loop has had its first look: from then on, for an hour, who syncs is the test alone.
func ownLook(m *Mirror) {
	for m.Look().Next.IsZero() {
		runtime.Gosched()
	}
}

// endHooks waits until all commands of a mirror have run.
func endHooks(m *Mirror) {
	m.hooks.close()
	<-m.hooks.ended
}

func mustSync(t *testing.T, m *Mirror) Report {
	t.Helper()
	r, err := m.Sync(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFollow: a first version, one with a change, which alone is fetched; the earlier one stays, the one before it goes,
// with what only it has had.
func TestFollow(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(20, "one"))
	_, m := open(t, s, dir, func(*Spec) {})
	mustSync(t, m)
	if got := tree(t, m); !same(got, texts(20, "one")) {
		t.Fatalf("the tree is %v", got)
	}
	s.took()
	r := mustSync(t, m)
	if r.Changed || len(s.took()) > 0 {
		t.Errorf("nothing is new, and: %+v", r)
	}
	s.publish(2, texts(20, "two"))
	mustSync(t, m)
	if got := s.took(); len(got) != 1 || got[0] != "two" {
		t.Errorf("for one change is fetched: %q", got)
	}
	s.publish(3, texts(20, "three"))
	mustSync(t, m)
	if got := tree(t, m); !same(got, texts(20, "three")) {
		t.Errorf("the tree is %v", got)
	}
	n := 0
	if err := m.set.cfg.Blobs.Each(func(chunk.Hash, int64) error { n++; return nil }); err != nil || n != 22 {
		t.Errorf("%d contents are kept, want 20 and VERSION of two versions; %v", n, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.offered) != 22+2 {
		t.Errorf("%d files are served, want 22 contents and two manifests", len(s.offered))
	}
	for path, k := range s.offered {
		if f, stamp, err := chunk.OpenRegular(path); err != nil || stamp.Size != k.Sums.Size {
			t.Errorf("%s is served and is not there: %v", path, err)
		} else {
			f.Close()
		}
	}
	// One content, one file, where the file system can.
	fi, err1 := os.Stat(filepath.Join(m.Look().Spec.Dir, currentName, "VERSION"))
	sums, _ := chunk.Sum(t.Context(), strings.NewReader("three"), 5, nil, nil)
	blob, err2 := os.Stat(m.set.cfg.Blobs.Path(sums.BLAKE3))
	if err1 != nil || err2 != nil || !os.SameFile(fi, blob) {
		t.Log("the tree does not share files with the store here") // a file system with clones, or without links
	}
}

// TestThief: a wipe is held and approved; an earlier version under a new number is held; two manifests under one number
// freeze the mirror until the operator says so.
func TestThief(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(20, "one"))
	hooked := filepath.Join(dir, "hooked")
	set, m := open(t, s, dir, func(spec *Spec) { spec.Hooks.Hold = "echo $SHARER_EVENT $SHARER_REASON >> " + hooked })
	mustSync(t, m)
	wipe := texts(2, "two")
	s.publish(2, wipe)
	if _, err := m.Sync(t.Context(), false); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), "max-delete") {
		t.Fatalf("a wipe: %v", err)
	}
	if l := m.Look(); l.Doing != Held || l.State.Held != HeldDelete || !same(tree(t, m), texts(20, "one")) {
		t.Errorf("after a wipe: %+v", l)
	}
	if r, err := m.Sync(t.Context(), true); err != nil || r.Plan == nil || r.Plan.Deletes != 18 {
		t.Errorf("a dry run shows %+v %v", r.Plan, err)
	}
	if err := m.Approve(); err != nil {
		t.Fatal(err)
	}
	mustSync(t, m)
	if !same(tree(t, m), wipe) {
		t.Error("what was approved is not there")
	}
	s.publish(3, texts(20, "one"))
	if _, err := m.Sync(t.Context(), false); err != nil && !errors.Is(err, ErrHeld) {
		t.Fatal(err)
	}
	if l := m.Look(); l.State.Held != HeldRollback || !same(tree(t, m), wipe) {
		t.Errorf("an earlier version again: %+v", l)
	}
	s.publish(3, texts(5, "other"))
	if _, err := m.Sync(t.Context(), false); !errors.Is(err, ErrFrozen) {
		t.Errorf("two manifests under one number: %v", err)
	}
	endHooks(m)
	if text, err := os.ReadFile(hooked); err != nil || !strings.HasPrefix(string(text), "hold max-delete: 18 of 21") || strings.Count(string(text), "\n") != 3 {
		t.Errorf("the hook says %q %v", text, err)
	}
	set.Close()
	_, m = open(t, s, dir, nil)
	s.publish(4, texts(5, "four"))
	if _, err := m.Sync(t.Context(), false); !errors.Is(err, ErrFrozen) || m.Look().Doing != Stopped {
		t.Errorf("frozen, opened again: %v", err)
	}
	if err := m.Approve(); err != nil {
		t.Fatal(err)
	}
	mustSync(t, m)
	if !same(tree(t, m), texts(5, "four")) {
		t.Error("after the operator's word it does not go on")
	}
	// A peer that was away says what was.
	s.publish(2, wipe)
	if _, err := m.Sync(t.Context(), false); err != nil || m.Look().State.Stale == 0 || !same(tree(t, m), texts(5, "four")) {
		t.Errorf("an earlier number: %v %+v", err, m.Look().State)
	}
	if err := m.Approve(); err == nil {
		t.Error("nothing is held, and was approved")
	}
	events, err := m.Log(100)
	var whats []string
	for _, e := range events {
		if e.What != "hook" { // they come when they are done
			whats = append(whats, e.What)
		}
	}
	want := "add update hold approve update hold freeze approve update stale"
	if got := strings.Join(whats, " "); err != nil || got != want {
		t.Errorf("the log says %s, want %s; %v", got, want, err)
	}
}

// TestHeldForGood: neither a restart nor a changed deny list lets through what is held; the version that is there follows the
// list.
func TestHeldForGood(t *testing.T) {
	for name, third := range map[string]map[string]string{"rollback": texts(3, "one"), "wipe": {"VERSION": "three"}} {
		t.Run(name, func(t *testing.T) {
			s, dir := newSwarm(t), t.TempDir()
			s.publish(1, texts(3, "one"))
			set, m := open(t, s, dir, func(*Spec) {})
			mustSync(t, m)
			s.publish(2, texts(3, "two"))
			mustSync(t, m)
			s.publish(3, third)
			_, _ = m.Sync(t.Context(), false)
			held := m.Look().State.Held
			set.Close()
			_, m = open(t, s, dir, nil)
			s.deny("file 1")
			m.set.Reconsider()
			for range 3 { // the mirror's own loop may be there first
				_, _ = m.Sync(t.Context(), false)
			}
			want := texts(3, "two")
			delete(want, "d1/f1")
			if l := m.Look(); held == "" || l.State.Held != held || !same(tree(t, m), want) {
				t.Errorf("held for %q, then: %+v, %v", held, l, tree(t, m))
			}
		})
	}
}

// TestKnownFault: a fault that the operator has approved does not freeze the mirror again; it has what was signed first.
func TestKnownFault(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(3, "one"))
	_, m := open(t, s, dir, func(*Spec) {})
	mustSync(t, m)
	s.publish(2, texts(3, "two"))
	s.mu.Lock()
	s.conflict = &identity.ConflictError{Held: s.record, Other: s.record}
	s.mu.Unlock()
	if _, err := m.Sync(t.Context(), false); !errors.Is(err, ErrFrozen) {
		t.Fatal(err)
	}
	if err := m.Approve(); err != nil {
		t.Fatal(err)
	}
	mustSync(t, m)
	if !same(tree(t, m), texts(3, "two")) || m.Look().State.Frozen {
		t.Errorf("after the operator's word: %+v", m.Look().State)
	}
}

// TestMissing: what nobody has leaves the earlier version, and what came stays; a plain copy helps, if it is the same.
func TestMissing(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(3, "one"))
	_, m := open(t, s, dir, func(spec *Spec) { spec.HTTP = []string{"http://copy/"} })
	ownLook(m)
	mustSync(t, m)
	id := s.publish(2, map[string]string{"VERSION": "two", "d0/f0": "file 0", "d1/f1": "file 1", "d2/f2": "file 2", "new": "new"})
	s.lose("two")
	s.took()
	if _, err := m.Sync(t.Context(), false); err == nil || m.Look().Failed == "" || m.Look().Current.ID == id {
		t.Fatalf("without a content: %v", err)
	}
	if got := s.took(); len(got) != 1 || got[0] != "new" {
		t.Errorf("fetched %q", got)
	}
	s.lose("")
	mustSync(t, m)
	if got := s.took(); len(got) != 1 || got[0] != "two" {
		t.Errorf("fetched again: %q", got)
	}
	s.publish(3, map[string]string{"VERSION": "http://copyVERSION", "d0/f0": "file 0", "d1/f1": "file 1", "d2/f2": "file 2"})
	s.lose("http://copyVERSION")
	if r := mustSync(t, m); !r.Changed || m.Look().Trace.HTTP != 18 {
		t.Errorf("from a plain copy: %+v, %+v", r, m.Look().Trace)
	}
}

// TestDenied: what is denied is left out of the tree, and comes back when it is not any more.
func TestDenied(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(3, "one"))
	set, m := open(t, s, dir, func(*Spec) {})
	mustSync(t, m)
	s.deny("file 1")
	set.Reconsider()
	for range 2 { // the mirror's own loop may be there first
		mustSync(t, m)
	}
	if got := tree(t, m); len(got) != 3 || got["d1/f1"] != "" {
		t.Errorf("with a file denied: %v", got)
	}
	s.deny("")
	set.Reconsider()
	for range 2 {
		mustSync(t, m)
	}
	if got := tree(t, m); !same(got, texts(3, "one")) {
		t.Errorf("after that: %v", got)
	}
}

// TestDeniedMeanwhile: what is denied while a version is being built, and was planned to be in it, is not there when all is done.
func TestDeniedMeanwhile(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(3, "one"))
	set, m := open(t, s, dir, func(*Spec) {})
	ownLook(m)
	s.publish(2, texts(3, "two"))
	<-m.work // nobody uses the tree
	once := sync.OnceFunc(func() {
		s.deny("file 1")
		set.Reconsider()
	})
	m.tree.ops.before = func(string, string) error { once(); return nil }
	m.work <- struct{}{}
	for range 3 { // the second may be the mirror's own
		mustSync(t, m)
	}
	want := texts(3, "two")
	delete(want, "d1/f1")
	if got := tree(t, m); !same(got, want) {
		t.Errorf("denied while it was being built: %v", got)
	}
}

// TestByOldName: a publisher that says no BLAKE3 is followed as well, and the manifest is fetched once.
func TestByOldName(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(3, "one"))
	s.record.BLAKE3 = nil
	_, m := open(t, s, dir, func(*Spec) {})
	mustSync(t, m)
	if !same(tree(t, m), texts(3, "one")) {
		t.Error("not mirrored")
	}
	if r := mustSync(t, m); r.Changed || r.Plan != nil {
		t.Errorf("nothing is new, and: %+v", r)
	}
}

// TestRemove: a tree stays, or goes; contents go unless another mirror has them.
func TestRemove(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	id := s.publish(1, texts(3, "one"))
	set, m := open(t, s, dir, func(*Spec) {})
	mustSync(t, m)
	spec := m.Look().Spec
	fixed := Spec{Name: "fixed", ID: id, Dir: filepath.Join(dir, "second"), Rules: spec.Rules}
	if err := set.Add(fixed); err != nil {
		t.Fatal(err)
	}
	second, err := set.Find("fixed")
	if err != nil {
		t.Fatal(err)
	}
	s.took()
	mustSync(t, second)
	if !same(tree(t, second), texts(3, "one")) || len(s.took()) > 0 {
		t.Error("a second mirror of the same contents fetches them again")
	}
	if err := set.Add(Spec{Name: "third", ID: id, Dir: filepath.Join(dir, "second", "below"), Rules: spec.Rules}); err == nil {
		t.Error("two mirrors in one folder")
	}
	count := func() (n int) {
		if err := set.cfg.Blobs.Each(func(chunk.Hash, int64) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if err := set.Remove(t.Context(), "m", true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(spec.Dir); !errors.Is(err, os.ErrNotExist) || count() != 4 {
		t.Errorf("removed with its data: %v, %d contents", err, count())
	}
	if err := set.Remove(t.Context(), "fixed", false); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "second", currentName, "VERSION")); err != nil || string(text) != "one" || count() != 0 {
		t.Errorf("removed without its data: %q %v, %d contents", text, err, count())
	}
	if err := set.Remove(t.Context(), "m", true); !errors.Is(err, ErrNoMirror) {
		t.Errorf("removed twice: %v", err)
	}
}
