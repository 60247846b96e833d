//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sharer/chunk"
	sharedfolder "sharer/folder"
	"sharer/mirror"
)

const (
	switchKills = 200
	switchFiles = 30
)

// TestKillSwitch kills a process that does nothing but build, switch and retire versions, 200 times at random moments of a change: within
// the time that the one before has taken, however busy the machine is. After each kill the tree, as a reader finds it, is one whole version,
// and what is opened again has nothing left over.
func TestKillSwitch(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv("SHARER_E2E_SWITCH"); dir != "" {
		switchForEver(t, dir)
	}
	needs(t)
	rng := choices(t)
	dir := folder(t)
	inBetween, last := 0, 0
	for k := range switchKills {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKillSwitch$", "-test.timeout", "1m")
		cmd.Env = append(os.Environ(), "SHARER_E2E_SWITCH="+dir, "GORACE=atexit_sleep_ms=0")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.StdoutPipe()
		check(t, err)
		check(t, onStarter(cmd.Start))
		said := func() time.Time {
			var one [1]byte
			if _, err := out.Read(one[:]); err != nil {
				t.Fatalf("the %dth process says nothing: %v", k, err)
			}
			return time.Now()
		}
		begun := said()
		took := said().Sub(begun)
		said() // the next one begins
		<-time.After(time.Duration(rng.Int64N(int64(took)*5/4 + 1)))
		check(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed
		now := wholeVersion(t, dir)
		if now <= last { // one was whole
			t.Fatalf("kill %d: version %d after version %d", k, now, last)
		}
		last = now
		if left := leftOver(t, dir, now); left > 0 {
			inBetween++
		}
		tree, err := mirror.OpenTree(dir)
		check(t, err)
		if v, there, err := tree.Current(); err != nil || there != (now > 0) || there && int(v.Seq) != now {
			t.Fatalf("kill %d: opened again it is %v, was version %d; %v", k, v, now, err)
		}
		if left := leftOver(t, dir, now); left > 0 {
			t.Fatalf("kill %d: %d orphans", k, left)
		}
	}
	t.Logf("%d kills, %d of them in the middle of a change, up to version %d: 0 mixtures, 0 orphans", switchKills, inBetween, last)
	if inBetween < switchKills/10 {
		t.Error("hardly a kill has hit a change: this test looks at nothing")
	}
}

// switchForEver makes one version after the other until it is killed, and says when it begins and ends a change.
func switchForEver(t *testing.T, dir string) {
	contents := dir + ".contents"
	check(t, os.MkdirAll(contents, 0o755))
	tree, err := mirror.OpenTree(dir)
	check(t, err)
	v, _, err := tree.Current()
	check(t, err)
	for n := v.Seq + 1; ; n++ {
		var files []sharedfolder.File
		paths := map[chunk.Hash]string{}
		for i := range switchFiles {
			text := fmt.Sprintf("version %d of file %d", n, i)
			sums, err := chunk.Sum(context.Background(), strings.NewReader(text), int64(len(text)), nil, nil)
			check(t, err)
			path := filepath.Join(contents, sums.BLAKE3.String())
			check(t, os.WriteFile(path+".new", []byte(text), 0o444))
			check(t, os.Rename(path+".new", path))
			paths[sums.BLAKE3] = path
			files = append(files, sharedfolder.File{Path: fmt.Sprintf("d%02d/f%d", i%3, i), Size: sums.Size, BLAKE3: sums.BLAKE3})
		}
		f, err := sharedfolder.New("x", files)
		check(t, err)
		h := mirror.Head{Seq: n, ID: f.Files[0].BLAKE3}
		each := func(visit func(sharedfolder.File) error) error {
			for _, one := range f.Files {
				if err := visit(one); err != nil {
					return err
				}
			}
			return nil
		}
		fmt.Print("(")
		check(t, tree.Build(context.Background(), h, each, func(f sharedfolder.File) (string, error) { return paths[f.BLAKE3], nil }))
		check(t, tree.Switch(h, time.Now()))
		_, err = tree.Retire(2, 0, time.Now())
		check(t, err)
		fmt.Print(")")
	}
}

// wholeVersion reads the current version as a reader does; 0: there is none.
func wholeVersion(t *testing.T, dir string) int {
	t.Helper()
	root, err := filepath.EvalSymlinks(filepath.Join(dir, "current"))
	if err != nil {
		return 0
	}
	got := 0
	for i := range switchFiles {
		text, err := os.ReadFile(filepath.Join(root, fmt.Sprintf("d%02d/f%d", i%3, i)))
		check(t, err)
		var n, k int
		if _, err := fmt.Sscanf(string(text), "version %d of file %d", &n, &k); err != nil || k != i || got != 0 && n != got {
			t.Fatalf("a mixture: file %d says %q beside version %d", i, text, got)
		}
		got = n
	}
	return got
}

// leftOver counts what is neither the current version nor one before it.
func leftOver(t *testing.T, dir string, current int) (n int) {
	t.Helper()
	versions, err := os.ReadDir(filepath.Join(dir, "versions"))
	check(t, err)
	for _, e := range versions {
		var seq int
		if _, err := fmt.Sscanf(e.Name(), "%016d-", &seq); err != nil || seq > current {
			n++
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "current.new")); err == nil {
		n++
	}
	return n
}
