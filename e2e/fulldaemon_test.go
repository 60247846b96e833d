//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharer/control"
)

// TestDaemonDiskFull has a daemon fetch into a tmpfs of 64 MiB (D4): what cannot fit fails before its first byte; what finds no
// room any more waits, the daemon serves on, and it goes on within ten seconds after there is room again. A state folder on
// a full disk is one line and exit 7.
func TestDaemonDiskFull(t *testing.T) {
	needs(t, "unshare", "nsenter", "mount")
	needsRoot(t)
	dir, state := folder(t), t.TempDir()
	large, small := filepath.Join(dir, "large"), filepath.Join(dir, "small")
	generate(t, large, 96*mib, 51)
	generate(t, small, 24*mib, 52)
	seed, addr := seeding(t, how{}, "127.0.0.1:0", large, small)
	disk := folder(t)
	holder := start(t, how{}, "unshare", "-m", "--propagation", "private", "sh", "-c",
		fmt.Sprintf(`mount -t tmpfs -o size=64m tmpfs '%s' && echo '{"type":"ready"}' && exec sleep 3600`, disk))
	if _, ok := holder.find(isType("ready")); !ok {
		t.Skipf("skipped: no tmpfs can be mounted here: %s", holder.errors.String())
	}
	pid := fmt.Sprint(holder.cmd.Process.Pid)
	inside := filepath.Join("/proc", pid, "root", disk)
	enter := how{through: []string{"nsenter", "-t", pid, "-m"}}
	_, c, _ := daemonAt(t, enter, state, "--peer", addr)
	get := func(link, name string) *process {
		p := sharer(t, enter, "get", link, "-o", filepath.Join(disk, name), "--state-dir", state)
		<-p.ended
		return p
	}

	if p := get(seed.file(large).Link, "large"); p.exit() != 7 {
		t.Errorf("what cannot fit: exit %d: %s", p.exit(), p.errors.String())
	}
	if fi, err := os.Stat(filepath.Join(inside, "large.part")); err == nil && fi.Size() > 4*mib {
		t.Errorf("%d bytes were written of what cannot fit", fi.Size())
	}
	_, err := c.Remove(t.Context(), control.Change{What: "large", DeleteData: true})
	check(t, err)

	generate(t, filepath.Join(inside, "filler"), 48*mib, 53)
	p := get(seed.file(small).Link, "small")
	if text := p.errors.String(); p.exit() != 7 || !strings.Contains(text, "no space left") {
		t.Errorf("no room: exit %d: %s", p.exit(), text)
	}
	state1 := item(t, c, "small")
	if state1.State != "waiting" {
		t.Errorf("the job is %s: %s", state1.State, state1.Error)
	}
	check(t, os.Remove(filepath.Join(inside, "filler")))
	begun := time.Now()
	for item(t, c, "small").State != "seeding" {
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("it does not go on: %+v", item(t, c, "small"))
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Logf("done %s after there was room", time.Since(begun))
	if time.Since(begun) > 10*time.Second {
		t.Error("that took more than ten seconds")
	}
	same(t, filepath.Join(inside, "small"), small)

	generate(t, filepath.Join(inside, "filler"), 38*mib, 54)
	if err := os.WriteFile(filepath.Join(inside, "rest"), make([]byte, 4*mib), 0o600); err == nil {
		t.Log("the disk is not quite full")
	}
	full := sharer(t, enter, "daemon", "--isolated", "--listen", "127.0.0.1:0", "--http", "off", "--state-dir", filepath.Join(disk, "state"))
	<-full.ended
	if text := strings.TrimSpace(full.errors.String()); full.exit() != 7 || strings.Count(text, "\n") > 0 {
		t.Errorf("a state folder on a full disk: exit %d: %s", full.exit(), text)
	}
}

// item is what the daemon says of something.
func item(t *testing.T, c *control.Client, name string) control.Item {
	t.Helper()
	items, err := c.Items(t.Context())
	check(t, err)
	for _, it := range items {
		if it.Name == name {
			return it
		}
	}
	t.Fatalf("%s is not there: %+v", name, items)
	return control.Item{}
}
