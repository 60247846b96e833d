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
