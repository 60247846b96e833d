//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestDiskFull fetches into a tmpfs of 24 MiB that is half full, in a mount namespace of its
// own: exit 7 with the partial kept; after space is made the same command goes on.
func TestDiskFull(t *testing.T) {
	needs(t, "unshare", "nsenter", "mount")
	needsRoot(t)
	path := filepath.Join(folder(t), "content")
	const size, filler = 16 * mib, 12 * mib
	generate(t, path, size, 11)
	seed, addr := seeding(t, how{}, "127.0.0.1:0", path)
	for _, id := range []string{seed.file(path).Link, seed.file(path).SHA256} {
		t.Run(id[:6], func(t *testing.T) {
			small := folder(t)
			// The shell holds the namespace until it is killed.
			holder := start(t, how{stdin: ""}, "unshare", "-m", "--propagation", "private", "sh", "-c",
				fmt.Sprintf(`mount -t tmpfs -o size=24m tmpfs '%s' && echo '{"type":"ready"}' && exec sleep 3600`, small))
			if _, ok := holder.find(isType("ready")); !ok {
				t.Skipf("skipped: no tmpfs can be mounted here: %s", holder.errors.String())
			}
			pid := fmt.Sprint(holder.cmd.Process.Pid)
			inside := filepath.Join("/proc", pid, "root", small)
			generate(t, filepath.Join(inside, "filler"), filler, 12)
			enter := how{through: []string{"nsenter", "-t", pid, "-m"}}
			target := filepath.Join(small, "copy")

			full := getting(t, enter, "127.0.0.1:0", addr, id, target)
			full.want(7)
			t.Logf("%s", full.errors.String())
			left, err := os.Stat(filepath.Join(inside, "copy.part"))
			check(t, err)
			if _, err := os.Stat(filepath.Join(inside, "copy")); err == nil {
				t.Error("a file stands under the final name")
			}
			check(t, os.Remove(filepath.Join(inside, "filler")))
			e := getting(t, enter, "127.0.0.1:0", addr, id, target).got()
			t.Logf("the partial was %d bytes long; then %d resumed, %d fetched", left.Size(), e.Resumed, e.Fetched)
			if e.Resumed < mib {
				t.Errorf("only %d bytes of the partial were used", e.Resumed)
			}
			same(t, filepath.Join(inside, "copy"), path)
			leftovers(t, filepath.Join(inside, "copy"))
			if out, err := exec.Command("mountpoint", "-q", small).CombinedOutput(); err == nil {
				t.Errorf("the tmpfs is seen outside: %s", out)
			}
		})
	}
	seed.alive()
}

// TestFolderDiskFull fetches a folder of small files into a tmpfs that has room for a fifth of them: little more is fetched than that, and after
// space is made the same command goes on.
func TestFolderDiskFull(t *testing.T) {
	needs(t, "unshare", "nsenter", "mount")
	needsRoot(t)
	src := filepath.Join(folder(t), "src")
	check(t, os.Mkdir(src, 0o755))
	const files, size = 2000, 20 << 10
	for i := range files {
		generate(t, filepath.Join(src, fmt.Sprint(i)), size, uint64(i))
	}
	seed, addr := seeding(t, how{}, "127.0.0.1:0", src)
	link := readyFolder(t, seed)
	small := folder(t)
	holder := start(t, how{stdin: ""}, "unshare", "-m", "--propagation", "private", "sh", "-c",
		fmt.Sprintf(`mount -t tmpfs -o size=8m tmpfs '%s' && echo '{"type":"ready"}' && exec sleep 3600`, small))
	if _, ok := holder.find(isType("ready")); !ok {
		t.Skipf("skipped: no tmpfs can be mounted here: %s", holder.errors.String())
	}
	pid := fmt.Sprint(holder.cmd.Process.Pid)
	enter := how{through: []string{"nsenter", "-t", pid, "-m"}}
	target := filepath.Join(small, "copy")
	before := readBy(t, seed)
	full := getting(t, enter, "127.0.0.1:0", addr, link, target, "--min-free", "0")
	<-full.ended
	read := readBy(t, seed) - before
	if code := full.exit(); code != 6 && code != 7 {
		t.Errorf("exit %d", code)
	}
	if t.Logf("%d of %d bytes were read by who seeds", read, files*size); read > files*size/2 {
		t.Errorf("%d bytes were read by who seeds, of %d for which there is room for 8 MiB", read, files*size)
	}
	run(t, "nsenter", "-t", pid, "-m", "mount", "-o", "remount,size=80m", small)
	getting(t, enter, "127.0.0.1:0", addr, link, target, "--min-free", "0").want(0)
	inside := filepath.Join("/proc", pid, "root", target)
	sameTree(t, inside, src)
	if _, err := os.Lstat(filepath.Join(inside, ".sharer-part")); err == nil {
		t.Error("the folder for what arrives is still there")
	}
}

// readBy is how many bytes a process has read so far.
func readBy(t *testing.T, p *process) (n int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
	check(t, err)
	_, err = fmt.Sscanf(string(text), "rchar: %d", &n)
	check(t, err)
	return n
}
