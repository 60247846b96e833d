//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDaemonOfAnotherUser: root may open everybody's socket, and yet the daemon neither writes nor reads by his paths: a get is
// written by root himself, a seed must lie below a --seed-root. Who is neither is told so.
func TestDaemonOfAnotherUser(t *testing.T) {
	needs(t)
	needsRoot(t)
	const other, third = 12345, 12346
	dir, state := folder(t), t.TempDir()
	for name := state; len(name) > len(os.TempDir()); name = filepath.Dir(name) {
		check(t, os.Chmod(name, 0o755)) // a test's folder is root's alone otherwise
	}
	check(t, os.Chown(state, other, other))
	check(t, os.Chmod(dir, 0o755))
	path, target, open := filepath.Join(dir, "content"), filepath.Join(dir, "copy"), filepath.Join(dir, "open")
	generate(t, path, 3*mib, 61)
	check(t, os.Mkdir(open, 0o755))
	generate(t, filepath.Join(open, "shared"), mib, 62)
	seed, addr := seeding(t, how{}, "127.0.0.1:0", path)
	daemonAt(t, how{uid: other}, state, "--peer", addr, "--seed-root", open)

	run := func(uid uint32, args ...string) *process {
		p := sharer(t, how{uid: uid}, append(args, "--state-dir", state)...)
		<-p.ended
		return p
	}
	if p := run(0, "get", seed.file(path).Link, "-o", target); p.exit() != 0 {
		t.Fatalf("get: exit %d: %s", p.exit(), p.errors.String())
	}
	same(t, target, path)
	leftovers(t, target)
	fi, err := os.Stat(target)
	check(t, err)
	if uid := fi.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		t.Errorf("the file is uid %d's", uid)
	}
	if p := run(0, "seed", "-d", path); p.exit() != 12 || !strings.Contains(p.errors.String(), "another user") {
		t.Errorf("seed outside of the roots: exit %d: %s", p.exit(), p.errors.String())
	}
	if p := run(0, "seed", "-d", filepath.Join(open, "shared")); p.exit() != 0 {
		t.Errorf("seed below a root: exit %d: %s", p.exit(), p.errors.String())
	}
	if p := run(0, "get", "-d", seed.file(path).Link, "-o", target+"2"); p.exit() != 12 {
		t.Errorf("get -d: exit %d: %s", p.exit(), p.errors.String())
	}
	if p := run(third, "ls"); p.exit() != 12 || !strings.Contains(p.errors.String(), "another user's") {
		t.Errorf("ls by a third user: exit %d: %s", p.exit(), p.errors.String())
	}
}
