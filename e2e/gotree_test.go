//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGoTree seeds the Go toolchain's sources, some 11,000 files, and fetches them all by id.
func TestGoTree(t *testing.T) {
	t.Parallel()
	needs(t, "go", "sha256sum", "taskset", "xargs")
	src := filepath.Join(strings.TrimSpace(run(t, "go", "env", "GOROOT")), "src")
	before := originals(t, src) // which also brings it into the page cache
	state := filepath.Join(folder(t), "state")
	seed := hashTree(t, src, state)
	seed = secondStart(t, seed, src, state)
	fetchTree(t, seed)
	if code := seed.stop(); code != 0 {
		t.Errorf("seed ends with %d", code)
	}
	unchanged(t, src, before)
}

// hashTree measures a first start against sha256sum on one core over the same files,
// one after the other, three times. The last seed runs on, with the state folder given.
func hashTree(t *testing.T, src, state string) (seed *process) {
	t.Helper()
	const runs = 3
	var ours, theirs []time.Duration
	var peak int64
	list := filepath.Join(folder(t), "list")
	for i := range runs {
		if seed != nil {
			seed.kill()
		}
		dir := state
		if i < runs-1 {
			dir = filepath.Join(folder(t), "state")
		}
		begun := time.Now()
		seed = sharer(t, how{}, "seed", "--json", "--isolated", "--listen", "127.0.0.1:0", "--state-dir", dir, src)
		memory := seed.memory()
		ready := seed.wait("ready", isType("ready"))
		ours = append(ours, time.Since(begun))
		peak = max(peak, memory())
		if i == 0 {
			t.Logf("%d files, %.1f MiB", ready.Files, float64(seed.size())/mib)
			check(t, os.WriteFile(list, []byte(strings.Join(seed.paths(), "\x00")), 0o600))
		}
		begun = time.Now()
		cmd := exec.Command("taskset", "-c", "0", "xargs", "-0", "-a", list, "sha256sum", "--")
		if err := cmd.Run(); err != nil {
			t.Fatalf("sha256sum: %v", err)
		}
		theirs = append(theirs, time.Since(begun))
	}
	ratio := median(ours).Seconds() / median(theirs).Seconds()
	t.Logf("seed %v, sha256sum on one core %v: ratio of medians %.2f", ours, theirs, ratio)
	if timed() && ratio > 2.5 {
		t.Errorf("seeding takes %.2f times as long as sha256sum, more than 2.5", ratio)
	}
	atMost(t, "seed while it hashes", peak, 80*mib)
	return seed
}

func (p *process) paths() (paths []string) {
	for _, e := range p.all(isType("file")) {
		paths = append(paths, e.Path)
	}
	return paths
}

func (p *process) size() (sum int64) {
	for _, e := range p.all(isType("file")) {
		sum += e.Size
	}
	return sum
}

// secondStart starts the seed again: it reads nothing again and is ready within a second.
func secondStart(t *testing.T, seed *process, src, state string) *process {
	t.Helper()
	files := len(seed.paths())
	if code := seed.stop(); code != 0 {
		t.Errorf("seed ends with %d", code)
	}
	begun := time.Now()
	seed = sharer(t, how{}, "seed", "--json", "--isolated", "--listen", "127.0.0.1:0", "--state-dir", state, src)
	ready := seed.wait("ready", isType("ready"))
	took, read := time.Since(begun), seed.read()
	t.Logf("second start: ready after %.2fs, %.1f MiB read", took.Seconds(), float64(read)/mib)
	if timed() && took >= time.Second {
		t.Errorf("the second start takes %.2fs, want < 1 s", took.Seconds())
	}
	if read > seed.size()/10 {
		t.Errorf("the second start read %.1f MiB: it hashed again", float64(read)/mib)
	}
	if ready.Files != files {
		t.Errorf("the second start offers %d files, the first %d", ready.Files, files)
	}
	return seed
}

// fetchTree fetches every content by a bare id, half of them by each kind, in one get.
func fetchTree(t *testing.T, seed *process) {
	t.Helper()
	wanted := map[string]string{} // hex, which names the copy, to an original
	seen := map[string]bool{}
	var list strings.Builder
	for _, e := range seed.all(isType("file")) {
		if seen[e.SHA256] {
			continue
		}
		seen[e.SHA256] = true
		kind, hex := "blake3/", e.BLAKE3
		if len(wanted)%2 == 1 {
			kind, hex = "", e.SHA256
		}
		wanted[hex] = e.Path
		fmt.Fprintln(&list, kind+hex)
	}
	target := filepath.Join(folder(t), "copies")
	served := seed.memory()
	begun := time.Now()
	listen := seed.all(isType("ready"))[0].Listen[0]
	get := getting(t, how{stdin: list.String()}, "127.0.0.1:0", listen, "-", target+"/", "--progress-interval", "1h")
	fetched := get.memory()
	get.want(0)
	t.Logf("%d contents fetched by id in %.1fs", len(wanted), time.Since(begun).Seconds())
	t.Logf("anonymous memory: %.0f MiB of get, %.0f MiB of seed", float64(fetched())/mib, float64(served())/mib)
	for hex, path := range wanted {
		same(t, filepath.Join(target, hex), path)
	}
	if files, err := os.ReadDir(target); err != nil || len(files) != len(wanted) {
		t.Errorf("%d files arrived, want %d (%v)", len(files), len(wanted), err)
	}
}
