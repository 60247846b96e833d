package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sharer/chunk"
	"sharer/control"
	"sharer/deny"
	"sharer/node"
	"sharer/seed"
)

// madeFolder is a folder with one file.
func madeFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "folder")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "file"), []byte(dir), 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// offers says whether a content is offered.
func offers(d *Daemon, h chunk.Hash) bool {
	_, _, err := d.Lookup(chunk.ID{Kind: chunk.BLAKE3, Hash: h})
	return err == nil
}

// seeding seeds a path. meanwhile is called when its file is offered; why ends it then.
func seeding(t *testing.T, d *Daemon, dir string, why error, meanwhile func()) (file, folder chunk.Hash) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	_, err := d.Seed(ctx, seed.Options{Paths: []string{dir}}, func(e seed.Event) {
		switch e.Kind {
		case seed.FileDone:
			file = e.File.Content.BLAKE3
			if meanwhile(); why != nil {
				cancel(why)
			}
		case seed.FolderDone:
			folder = e.Folder.Sums.BLAKE3
		}
	})
	if !errors.Is(err, why) {
		t.Errorf("%v, want %v", err, why)
	}
	return file, folder
}

// TestSeedTwiceAtOnce: of two that seed the same path one may give up: it stays a seed as long as the other has it. What nobody has is
// not offered either.
func TestSeedTwiceAtOnce(t *testing.T) {
	gaveUp := errors.New("gave up")
	for _, second := range []error{nil, gaveUp} {
		state, dir := t.TempDir(), madeFolder(t)
		d := open(t, state, true)
		file, _ := seeding(t, d, dir, gaveUp, func() { seeding(t, d, dir, second, func() {}) })
		stays := second == nil
		if items := d.Items(); len(items) == 1 != stays || offers(d, file) != stays {
			t.Errorf("the second ends with %v: items %+v, the file is offered: %v", second, items, offers(d, file))
		}
		d.Close()
		if items := open(t, state, true).Items(); len(items) == 1 != stays {
			t.Errorf("the second ends with %v: after a restart there are %+v", second, items)
		}
	}
}

// TestGivesUpItsOwn: who gives up a folder takes nothing from what is seeded, and listed, below and above it; nor is it looked at again.
func TestGivesUpItsOwn(t *testing.T) {
	gaveUp := errors.New("gave up")
	home := t.TempDir()
	sub := filepath.Join(home, "a", "sub")
	if err := errors.Join(os.MkdirAll(sub, 0o700), os.WriteFile(filepath.Join(sub, "file"), []byte("sub"), 0o600)); err != nil {
		t.Fatal(err)
	}
	d := open(t, filepath.Join(home, "state"), true)
	other, list := seeding(t, d, madeFolder(t), nil, func() {}) // its list lies in the state folder
	file, lower := seeding(t, d, filepath.Dir(sub), nil, func() {})
	for _, given := range []string{sub, home} {
		seeding(t, d, given, gaveUp, func() {})
		if n := d.Status().Hashing; n > 0 {
			t.Errorf("%s: %d are looked at again", given, n)
		}
		for name, h := range map[string]chunk.Hash{"a file elsewhere": other, "its list": list, "a file": file, "the list of what is above or below": lower} {
			if !offers(d, h) {
				t.Errorf("%s: %s is not offered any more", given, name)
			}
		}
	}
	if len(d.Items()) != 2 {
		t.Errorf("%+v", d.Items())
	}
	seeding(t, d, home, nil, func() {})
	if _, err := d.Remove(t.Context(), control.Change{What: home}); err != nil || !offers(d, list) {
		t.Errorf("%v; the state folder is withdrawn with what lies beside it: %v", err, !offers(d, list))
	}
}

// TestGivenUpBesideRemoval: what is hashed for the first time is not looked at again for something beside it that is removed, and so no seed
// when it is given up.
func TestGivenUpBesideRemoval(t *testing.T) {
	d, dir := open(t, t.TempDir(), true), madeFolder(t)
	sub := filepath.Join(dir, "sub")
	if err := errors.Join(os.Mkdir(sub, 0o700), os.WriteFile(filepath.Join(sub, "x"), []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	seeding(t, d, sub, nil, func() {})
	seeding(t, d, dir, errors.New("gave up"), sync.OnceFunc(func() {
		if _, err := d.Remove(t.Context(), control.Change{What: sub}); err != nil {
			t.Error(err)
		}
		if n := d.Status().Hashing; n != 1 {
			t.Errorf("%d are hashed", n)
		}
	}))
	if len(d.Items()) > 0 {
		t.Errorf("%+v", d.Items())
	}
}

// TestRemovedWhileSeeded: what is removed while it is hashed is not offered, nor its list.
func TestRemovedWhileSeeded(t *testing.T) {
	d, dir := open(t, t.TempDir(), true), madeFolder(t)
	file, folder := seeding(t, d, dir, nil, func() {
		if _, err := d.Remove(t.Context(), control.Change{What: dir}); err != nil {
			t.Error(err)
		}
	})
	if len(d.Items()) != 0 || offers(d, file) || offers(d, folder) {
		t.Errorf("items %+v; offered are the file: %v, the list: %v", d.Items(), offers(d, file), offers(d, folder))
	}
}

// TestRemovedBefore: a scan of what earlier runs have seeded, or of what lies beside something that was removed, may come when that has been
// removed itself.
func TestRemovedBefore(t *testing.T) {
	d, dir := open(t, t.TempDir(), true), madeFolder(t)
	file, folder := seeding(t, d, dir, nil, func() {})
	if _, err := d.Remove(t.Context(), control.Change{What: dir}); err != nil {
		t.Fatal(err)
	}
	d.hashing[dir]++
	d.rescan(seed.Options{Paths: []string{dir}})
	if len(d.Items()) != 0 || offers(d, file) || offers(d, folder) || d.Status().Hashing != 0 {
		t.Errorf("items %+v; offered are the file: %v, the list: %v; %d are hashed", d.Items(), offers(d, file), offers(d, folder), d.Status().Hashing)
	}
}

// TestHashingUntilOffered: what waits to be looked at after a start is not said to be offered.
func TestHashingUntilOffered(t *testing.T) {
	d, dir := open(t, t.TempDir(), true), madeFolder(t)
	seeding(t, d, dir, nil, func() {})
	if _, err := d.Seed(t.Context(), seed.Options{Paths: []string{filepath.Join(dir, "file")}, Exclude: []string{"x"}}, nil); err != nil {
		t.Fatal(err) // it is looked at after the folder
	}
	d.listing.Lock()
	d.restoreSeeds()
	for _, it := range d.Items() {
		if it.State != "hashing" {
			t.Errorf("%s is %s", it.Path, it.State)
		}
	}
	d.listing.Unlock()
}

// TestRemovedBeforeOffered: what was fetched is offered beside the rest; it may be removed before.
func TestRemovedBeforeOffered(t *testing.T) {
	d, dir := open(t, t.TempDir(), true), madeFolder(t)
	file, _ := seeding(t, d, dir, nil, func() {})
	path := filepath.Join(t.TempDir(), "copy")
	f := control.Fetch{ID: chunk.ID{Kind: chunk.BLAKE3, Hash: file}, Path: control.Path(path), Size: -1}
	if _, err := d.Fetch(t.Context(), f, control.Follower{}); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	job := *d.saved.Jobs[0]
	d.mu.Unlock()
	for _, what := range []string{dir, job.ID} {
		if _, err := d.Remove(t.Context(), control.Change{What: what}); err != nil {
			t.Fatal(err)
		}
	}
	d.landed(job)
	if offers(d, file) {
		t.Error("it is offered")
	}
}

// asked is a context that tells when somebody waits for its end.
type asked struct {
	context.Context
	waits chan struct{}
}

func (a asked) Done() <-chan struct{} {
	select {
	case <-a.waits:
	default:
		close(a.waits)
	}
	return a.Context.Done()
}

// TestGetAgain: who gives a get again that was stopped just now gets it, and not how that has ended.
func TestGetAgain(t *testing.T) {
	d := open(t, t.TempDir(), true)
	f := control.Fetch{ID: chunk.ID{Kind: chunk.BLAKE3}, Path: control.Path(filepath.Join(t.TempDir(), "file")), Size: -1, Find: 0.01}
	j := &Job{ID: "g1", Fetch: f, State: JobRunning}
	first := control.Follower{}
	stopped := make(chan struct{})
	r := newRun(j, func(error) { close(stopped) }, &first)
	d.mu.Lock()
	d.saved.Jobs, d.running[j.ID] = []*Job{j}, r
	d.mu.Unlock()
	r.leave(&first)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	go func() { _, _ = d.Fetch(ctx, f, control.Follower{}) }() // it ends when r does
	<-stopped
	again := asked{t.Context(), make(chan struct{})}
	got := make(chan error)
	go func() {
		_, err := d.Fetch(again, f, control.Follower{})
		got <- err
	}()
	<-again.waits
	d.ended(r, node.Got{}, errPaused)
	if err := <-got; !errors.Is(err, node.ErrNotFound) {
		t.Errorf("the second get ends with %v", err)
	}
}

// held is a writer that holds who writes until it may go on.
type held struct {
	came, goOn chan struct{}
	first      sync.Once
	over       atomic.Bool
}

func (h *held) Write(p []byte) (int, error) {
	h.first.Do(func() {
		close(h.came)
		<-h.goOn
		h.over.Store(true)
	})
	return len(p), nil
}

// TestNothingIsWrittenAfterwards: who wants the bytes of a download is not written to when he has his answer, also when the daemon ends.
func TestNothingIsWrittenAfterwards(t *testing.T) {
	d, dir := open(t, t.TempDir(), true), madeFolder(t)
	file, _ := seeding(t, d, dir, nil, func() {})
	out := &held{came: make(chan struct{}), goOn: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan bool)
	go func() {
		_, _ = d.Fetch(ctx, control.Fetch{ID: chunk.ID{Kind: chunk.BLAKE3, Hash: file}, Size: -1, Out: true}, control.Follower{Out: out})
		answered <- out.over.Load()
	}()
	<-out.came
	d.stop() // as Close begins
	cancel()
	for range 10_000 {
		runtime.Gosched()
	}
	select {
	case <-answered:
		t.Error("it has the answer")
		close(out.goOn)
	default:
		if close(out.goOn); !<-answered {
			t.Error("it is written to after the answer")
		}
	}
}

// TestPublishTwiceAtOnce: a publication that fails takes back what it has said, and not what others have said meanwhile.
func TestPublishTwiceAtOnce(t *testing.T) {
	d, first, second := open(t, t.TempDir(), true), madeFolder(t), madeFolder(t)
	gaveUp := errors.New("gave up")
	publish := func(name, dir string, why error, meanwhile func()) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		_, err := d.PublishPath(ctx, name, seed.Options{Paths: []string{dir}}, func(e seed.Event) {
			if e.Kind != seed.FileDone {
				return
			}
			if meanwhile(); why != nil {
				cancel(why)
			}
		})
		if !errors.Is(err, why) {
			t.Errorf("%s: %v, want %v", name, err, why)
		}
	}
	publish("a", first, nil, func() {})
	publish("a", second, gaveUp, func() { publish("b", first, nil, func() {}) })
	if names := d.namesOf(first); len(names) != 2 || len(d.namesOf(second)) != 0 {
		t.Errorf("the first folder is %q, the second %q", names, d.namesOf(second))
	}
	publish("a", second, gaveUp, func() { publish("a", first, nil, func() {}) })
	if names := d.namesOf(first); len(names) != 2 || len(d.namesOf(second)) != 0 {
		t.Errorf("the first folder is %q, the second %q", names, d.namesOf(second))
	}
}

// TestDenyTwiceAtOnce: what somebody else removes while the store is cleaned is no reason to stop.
func TestDenyTwiceAtOnce(t *testing.T) {
	state := t.TempDir()
	d := open(t, state, true)
	var list strings.Builder
	const contents, cleaners = 40, 8
	for n := range contents {
		sums, err := d.Keep(t.Context(), "", strings.NewReader(fmt.Sprint(n)))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&list, chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3})
	}
	if err := deny.WriteList(node.DenyDir(state), "some.list", []byte(list.String())); err != nil {
		t.Fatal(err)
	}
	type cleaned struct {
		purge control.Purge
		err   error
	}
	all := make(chan cleaned)
	for range cleaners {
		go func() {
			p, err := d.ApplyDeny(t.Context())
			all <- cleaned{p, err}
		}()
	}
	stored := 0
	for range cleaners {
		c := <-all
		if c.err != nil {
			t.Error(c.err)
		}
		stored += c.purge.Stored
	}
	if stored != contents || len(d.Store().List()) != 0 {
		t.Errorf("%d were removed, %d are left", stored, len(d.Store().List()))
	}
}
