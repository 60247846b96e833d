package daemon

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"sharer/identity"
	"sharer/node"
	"sharer/seed"
	"sharer/watch"
)

// TestStartInTheMiddle: a start that comes while somebody replaces a published folder signs nothing of what it finds then; when that is
// quiet it does.
func TestStartInTheMiddle(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settled := make(chan struct{}, 100)
	start := func(settle time.Duration) *Daemon {
		t.Helper()
		d, err := Open(Config{
			Node: node.Config{StateDir: state, Listen: []string{"127.0.0.1:0"}, Isolated: true}, Keep: true, Watch: watch.Options{Settle: settle},
			Changed: func(e watch.Event, f *seed.Folder) {
				if e.Kind == watch.Settled {
					settled <- struct{}{}
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		for !d.restored.Load() {
			runtime.Gosched()
		}
		return d
	}
	record := func(d *Daemon) (r identity.Record) {
		t.Helper()
		for _, r := range d.Records() {
			if r.Key == d.Key() && r.Path == "x" {
				return r
			}
		}
		t.Fatal("nothing is published")
		return r
	}
	d := start(time.Hour)
	if _, err := d.PublishPath(t.Context(), "x", seed.Options{Paths: []string{dir}}, nil); err != nil {
		t.Fatal(err)
	}
	whole := record(d)
	d.Close()
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	d = start(time.Hour)
	if r := record(d); r.Seq != whole.Seq {
		t.Fatalf("the start has signed %+v, before it was %+v", r, whole)
	}
	d.Close()
	d = start(time.Millisecond)
	<-settled
	if r := record(d); r.Seq <= whole.Seq || r.SHA256 == whole.SHA256 {
		t.Errorf("quiet, and it is still %+v", r)
	}
	later := record(d)
	d.Close()
	if r := record(start(time.Hour)); r.Seq != later.Seq {
		t.Errorf("nothing has changed, and number %d became %d", later.Seq, r.Seq)
	}
}
