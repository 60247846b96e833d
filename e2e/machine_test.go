//go:build linux

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// needs skips the test unless it is asked for and the machine has the programs.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getenv("SHARER_E2E") != "1" {
		t.Skip("skipped: SHARER_E2E=1 is not set")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("skipped: there is no %s here", p)
		}
	}
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: it needs root")
	}
}

// workDir holds what all tests share; TestMain removes it.
var workDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(os.Getenv("SHARER_E2E_DIR"), "sharer-e2e-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // another user runs the binary
	}
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv("SHARER_E2E") == "1" {
		if dir, err := workDir(); err == nil {
			if err := os.RemoveAll(dir); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	os.Exit(code)
}

var built = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("SHARER_E2E_BIN"); path != "" {
		return path, nil
	}
	dir, err := workDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "sharer")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/sharer")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// binary is the path of the program, built once.
func binary(t *testing.T) string {
	t.Helper()
	path, err := built()
	check(t, err)
	return path
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// folder is a new one in the work folder, which may be on another disk than t.TempDir.
func folder(t *testing.T) string {
	t.Helper()
	work, err := workDir()
	check(t, err)
	dir, err := os.MkdirTemp(work, "t-")
	check(t, err)
	check(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// generate writes size bytes that no other seed gives.
func generate(t *testing.T, path string, size int64, seed uint64) {
	t.Helper()
	f, err := os.Create(path)
	check(t, err)
	defer f.Close()
	_, err = io.CopyN(f, random(seed), size)
	check(t, err)
	check(t, f.Close())
}

func random(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	copy(key[:], strconv.FormatUint(seed, 10))
	return rand.NewChaCha8(key)
}

// choices is the source of a test's random choices; SHARER_E2E_SEED repeats them.
func choices(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("SHARER_E2E_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("SHARER_E2E_SEED=%d", seed)
	return rand.New(random(seed))
}

// large is the size of the large content.
func large(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("SHARER_E2E_SIZE")
	if text == "" {
		return 1 << 30
	}
	shift := 10 * (1 + strings.IndexByte("KMG", text[len(text)-1]))
	n, err := strconv.ParseInt(strings.TrimRight(text, "KMG"), 10, 64)
	if err != nil || n<<shift < 1<<20 {
		t.Fatalf("SHARER_E2E_SIZE=%s: want bytes with K, M or G, and 1M at least", text)
	}
	return n << shift
}

// same fails the test unless both files hold the same bytes.
func same(t *testing.T, got, want string) {
	t.Helper()
	a, err := os.Open(got)
	check(t, err)
	defer a.Close()
	b, err := os.Open(want)
	check(t, err)
	defer b.Close()
	x, y := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); ; off += int64(len(x)) {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			t.Fatalf("%s differs from %s in the MiB at %d", got, want, off)
		}
		if errA != nil || errB != nil {
			return // both ends, or the lengths would differ
		}
	}
}

// original is what of a user's file must never change.
type original struct {
	Size, Inode     int64
	Mode            fs.FileMode
	Modified, Ctime time.Time
	SHA256          [sha256.Size]byte
}

// originals looks at every file below dir.
func originals(t *testing.T, dir string) map[string]original {
	t.Helper()
	found := map[string]original{}
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		o := original{Size: fi.Size(), Inode: int64(st.Ino), Mode: fi.Mode(), Modified: fi.ModTime(), Ctime: time.Unix(st.Ctim.Unix())}
		if fi.Mode().IsRegular() {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			sha := sha256.New()
			if _, err := io.Copy(sha, f); err != nil {
				return err
			}
			sha.Sum(o.SHA256[:0])
		}
		found[path] = o
		return nil
	}))
	return found
}

// field reads a number behind a word in a file of /proc: RssAnon in status, rchar in io.
func field(path, word string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		if values := strings.Fields(rest); strings.TrimSpace(name) == word && len(values) > 0 {
			return strconv.ParseInt(values[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, word)
}

// read is how many bytes the process has read by system calls on files.
func (p *process) read() int64 {
	p.t.Helper()
	n, err := field(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid), "rchar")
	check(p.t, err)
	return n
}

// memory follows the anonymous memory of a process until it ends or peak is called.
// peak returns the largest that was seen, in bytes.
func (p *process) memory() (peak func() int64) {
	stop, done := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		var most int64
		for {
			if kib, err := field(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid), "RssAnon"); err == nil {
				most = max(most, kib<<10)
			}
			select {
			case <-tick.C:
			case <-stop:
				done <- most
				return
			}
		}
	}()
	return sync.OnceValue(func() int64 {
		close(stop)
		return <-done
	})
}

const mib = 1 << 20

// atMost fails the test if a process took more memory.
func atMost(t *testing.T, who string, peak, bound int64) {
	t.Helper()
	t.Logf("anonymous memory of %s: %.0f MiB at most (bound %d)", who, float64(peak)/mib, bound/mib)
	if peak > bound {
		t.Errorf("%s took %.0f MiB of anonymous memory, more than %d", who, float64(peak)/mib, bound/mib)
	}
}

func median(ds []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(ds))[len(ds)/2]
}
