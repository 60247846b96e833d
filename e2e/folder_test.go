//go:build linux

package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFolder seeds the Go toolchain's sources and fetches them by one link, compares names, bytes, times and modes, and
// fetches again after a hundred files have changed.
func TestFolder(t *testing.T) {
	t.Parallel()
	needs(t, "go", "cp", "find")
	src := filepath.Join(folder(t), "src")
	run(t, "cp", "-r", "--preserve=timestamps,mode", filepath.Join(strings.TrimSpace(run(t, "go", "env", "GOROOT")), "src"), src)
	// What seeding leaves out is not there to begin with: the trees shall be the same.
	run(t, "find", src, "-mindepth", "1", "(", "-name", ".*", "-o", "-type", "l", ")", "-prune", "-exec", "rm", "-rf", "{}", "+")
	run(t, "find", src, "-type", "d", "-empty", "-delete")

	seed, addr := seeding(t, how{}, "127.0.0.1:0", src)
	link := readyFolder(t, seed)
	target := filepath.Join(folder(t), "copy")
	begun := time.Now()
	get := getting(t, how{}, "127.0.0.1:0", addr, link, target, "--progress-interval", "1h")
	memory := get.memory()
	get.want(0)
	took := time.Since(begun)
	files := sameTree(t, target, src)
	t.Logf("%d files, %.1f MiB fetched by one link in %.2fs, %.0f MiB of anonymous memory", files, float64(seed.size())/mib, took.Seconds(), float64(memory())/mib)
	rsync(t, src, took)
	if _, err := os.Lstat(filepath.Join(target, ".sharer-part")); err == nil {
		t.Error("the folder for what arrives is still there")
	}

	// The listing fetches no content.
	begun = time.Now()
	list := sharer(t, how{}, "ls", "--json", "--isolated", "--listen", "127.0.0.1:0", "--peer", addr, link)
	list.want(0)
	t.Logf("listed in %.2fs", time.Since(begun).Seconds())

	// A second seed of the same tree has the same link; one with a hundred changes costs a hundred files.
	seed.stop()
	seed, _ = seeding(t, how{}, "127.0.0.1:0", src)
	if again := readyFolder(t, seed); again != link {
		t.Errorf("the same tree is %s, then %s", link, again)
	}
	seed.stop()
	changed := 0
	check(t, filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && changed < 100 && strings.HasSuffix(path, "_test.go") {
			changed++
			return os.WriteFile(path, []byte(path), 0o644)
		}
		return err
	}))
	seed, addr = seeding(t, how{}, "127.0.0.1:0", src)
	begun = time.Now()
	get = getting(t, how{}, "127.0.0.1:0", addr, readyFolder(t, seed), target, "--force", "--progress-interval", "1h")
	get.want(0)
	fetched := len(get.all(func(e event) bool { return e.Type == "file" && !e.Existed }))
	t.Logf("%d of %d changed files fetched in %.2fs", fetched, changed, time.Since(begun).Seconds())
	if fetched != changed {
		t.Errorf("%d files were fetched, %d had changed", fetched, changed)
	}
	sameTree(t, target, src)
}

func readyFolder(t *testing.T, seed *process) string {
	t.Helper()
	ready := seed.all(isType("ready"))
	if len(ready) != 1 || !strings.HasPrefix(ready[0].Folder, "lcdp://folder/") {
		t.Fatalf("no link of a folder in %+v", ready)
	}
	return ready[0].Folder
}

// sameTree compares all regular files, with the seconds of their times and whether they can be executed.
func sameTree(t *testing.T, got, want string) (files int) {
	t.Helper()
	is, was := originals(t, got), originals(t, want)
	for path, w := range was {
		rel, err := filepath.Rel(want, path)
		check(t, err)
		g, ok := is[filepath.Join(got, rel)]
		if !ok || g.Size != w.Size || g.Modified.Unix() != w.Modified.Unix() || g.Mode&0o100 != w.Mode&0o100 {
			t.Fatalf("%s: %+v, want %+v", rel, g, w)
		}
		same(t, filepath.Join(got, rel), path)
	}
	if len(is) != len(was) {
		t.Errorf("%d files arrived, want %d", len(is), len(was))
	}
	return len(was)
}

// rsync copies the same tree, for a figure.
func rsync(t *testing.T, src string, ours time.Duration) {
	t.Helper()
	if _, err := exec.LookPath("rsync"); err != nil {
		t.Log("there is no rsync here to compare with")
		return
	}
	begun := time.Now()
	run(t, "rsync", "-rtE", src+"/", filepath.Join(folder(t), "copy")) // two processes and a pipe: no network is faster
	theirs := time.Since(begun)
	t.Logf("rsync of the same tree: %.2fs, so %.2f × rsync", theirs.Seconds(), theirs.Seconds()/ours.Seconds())
}
