//go:build unix

package daemon

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"sharer/chunk"
	"sharer/control"
)

// TestRemovedJobStaysSo: a job that waits for room does not go on when what is deleted of it makes some.
func TestRemovedJobStaysSo(t *testing.T) {
	d := open(t, t.TempDir(), true)
	f := control.Fetch{ID: chunk.ID{Kind: chunk.BLAKE3}, Path: control.Path(filepath.Join(t.TempDir(), "folder")), Folder: &control.FetchFolder{}, Size: -1}
	d.mu.Lock()
	d.saved.Jobs = []*Job{{ID: "g1", Fetch: f, State: JobWaiting}}
	d.mu.Unlock()
	made := d.madeName("g1") // who reads what the job has made waits here
	if err := os.MkdirAll(filepath.Dir(made), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(made, 0o600); err != nil {
		t.Skip(err)
	}
	removed := make(chan error)
	go func() {
		_, err := d.Remove(t.Context(), control.Change{What: "g1", DeleteData: true})
		removed <- err
	}()
	in, err := os.OpenFile(made, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	d.retryJobs()
	if n := d.Status().Jobs; n != 0 {
		t.Errorf("%d jobs run", n)
	}
	in.Close()
	if err := <-removed; err != nil || len(d.Items()) != 0 {
		t.Errorf("%v, items %+v", err, d.Items())
	}
}
