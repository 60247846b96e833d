package daemon

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/control"
	"sharer/seed"
)

// TestJobsAreBounded: what has ended, or was paused by who waited for it, is remembered up to a bound, whatever was its end; what runs
// or waits stays.
func TestJobsAreBounded(t *testing.T) {
	d := open(t, t.TempDir(), true)
	d.mu.Lock()
	defer d.mu.Unlock()
	states := []JobState{JobPaused, JobFailed, JobDone, JobRunning, JobWaiting}
	for i := range maxEnded + 2000 {
		d.saved.Jobs = append(d.saved.Jobs, &Job{ID: fmt.Sprint("g", i), State: states[i%len(states)]})
	}
	for range maxEnded {
		d.saved.Jobs = append(d.saved.Jobs, &Job{ID: fmt.Sprint("g", len(d.saved.Jobs)), State: JobPaused})
	}
	d.dropEndedLocked()
	left := map[JobState]int{}
	for _, j := range d.saved.Jobs {
		left[j.State]++
	}
	if left[JobPaused] != maxEnded || left[JobFailed]+left[JobDone] != 0 || left[JobRunning]+left[JobWaiting] != (maxEnded+2000)/5*2 {
		t.Errorf("left are %v", left)
	}
}

// open files of this process whose names have some text in them, where the system tells.
func descriptors(t *testing.T, text string) (names []string) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("skipped: no /proc/self/fd here")
	}
	for _, fd := range all {
		if name, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil && strings.Contains(name, text) {
			names = append(names, name)
		}
	}
	return names
}

// TestNothingIsHeldOpen: of what was fetched no descriptor keeps the room on disk of a file that is removed, whether its bytes went to
// somebody, or to a file that is offered from there, or not.
func TestNothingIsHeldOpen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("words "), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	from := open(t, filepath.Join(dir, "from"), true)
	var id chunk.ID
	if _, err := from.Seed(t.Context(), seed.Options{Paths: []string{file}}, func(e seed.Event) {
		if e.Kind == seed.FileDone {
			id = chunk.ID{Kind: chunk.BLAKE3, Hash: e.File.Content.BLAKE3}
		}
	}); err != nil {
		t.Fatal(err)
	}
	d := open(t, filepath.Join(dir, "to"), true)
	if err := d.AddPeers([]netip.AddrPort{from.Addrs()[0]}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := d.Fetch(t.Context(), control.Fetch{ID: id, Size: -1, Out: true}, control.Follower{Out: &out}); err != nil || out.Len() != 600_000 {
		t.Fatalf("%d bytes, %v", out.Len(), err)
	}
	if open := descriptors(t, filepath.Join(dir, "to", "spool")); len(open) != 0 {
		t.Errorf("after its bytes went to somebody %q are open", open)
	}
	none := 0.0
	for i, keep := range []*float64{&none, nil} {
		path := filepath.Join(dir, fmt.Sprint("got", i))
		if _, err := d.Fetch(t.Context(), control.Fetch{ID: id, Size: -1, Path: control.Path(path), Keep: keep}, control.Follower{}); err != nil {
			t.Fatal(err)
		}
		d.mu.Lock()
		j := *d.sameLocked(control.Path(path), id)
		d.mu.Unlock()
		d.landed(j) // as it does by itself, beside this
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		for len(descriptors(t, path)) > 0 && ctx.Err() == nil {
			runtime.Gosched() // it may be reading the file still
		}
		cancel()
		if open := descriptors(t, path); len(open) != 0 {
			t.Errorf("%q are open", open)
		}
		if _, _, err := d.Lookup(id); (err == nil) != (keep == nil) {
			t.Errorf("%d: it is offered by its path: %v", i, err)
		}
	}
}
