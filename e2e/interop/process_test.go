//go:build linux

package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long one transfer of a few MiB may take; most take a second.
const patience = 60 * time.Second

// until waits for something that is looked at again and again.
func until(most time.Duration, is func() bool) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(most); ; {
		if is() {
			return true
		}
		select {
		case <-late:
			return false
		case <-tick.C:
		}
	}
}

// process is a program that runs in a place; what it prints goes to files in its folder.
type process struct {
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
}

// start starts a program with dir as its folder. It is killed when the test ends.
func (p *place) start(dir string, args ...string) *process {
	t := p.t
	t.Helper()
	p.sealed()
	x := &process{t: t, dir: dir, ended: make(chan struct{})}
	x.cmd = exec.Command("ip", append([]string{"netns", "exec", p.name}, args...)...)
	x.cmd.Dir = dir
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	for name, to := range map[string]*io.Writer{"stdout": &x.cmd.Stdout, "stderr": &x.cmd.Stderr} {
		f, err := os.CreateTemp(dir, "")
		check(t, err)
		defer f.Close()
		check(t, os.Rename(f.Name(), x.output(name)))
		*to = f
	}
	var err error
	x.stdin, err = x.cmd.StdinPipe()
	check(t, err)
	check(t, onStarter(x.cmd.Start))
	go func() {
		_ = x.cmd.Wait() // ProcessState tells
		close(x.ended)
	}()
	t.Cleanup(x.kill)
	return x
}

func (x *process) output(name string) string { return filepath.Join(x.dir, name) }

// stdout is what it has printed so far.
func (x *process) stdout() string {
	text, err := os.ReadFile(x.output("stdout"))
	check(x.t, err)
	return string(text)
}

func (x *process) stderr() string {
	text, err := os.ReadFile(x.output("stderr"))
	check(x.t, err)
	return strings.TrimSpace(string(text[max(0, len(text)-1000):]))
}

// say writes a line to its standard input.
func (x *process) say(format string, args ...any) {
	x.t.Helper()
	_, err := fmt.Fprintf(x.stdin, format+"\n", args...)
	check(x.t, err)
}

// kill ends it, and waits for its end.
func (x *process) kill() {
	if err := x.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		x.t.Errorf("kill: %v", err)
	}
	<-x.ended
}

// exit is its code when it has ended, -1 if it does not end in time.
func (x *process) exit(most time.Duration) int {
	select {
	case <-x.ended:
		return x.cmd.ProcessState.ExitCode()
	case <-time.After(most):
		return -1
	}
}

func (x *process) running() bool {
	select {
	case <-x.ended:
		return false
	default:
		return true
	}
}

// processor is the time that it has used so far. ip replaces itself by the program: the process is that.
func (x *process) processor() (used time.Duration) {
	x.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", x.cmd.Process.Pid))
	check(x.t, err)
	// Behind the name, which may hold anything: state is field 3, utime 14, stime 15, in hundredths of a second.
	for _, f := range strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))[11:13] {
		var ticks int64
		_, err := fmt.Sscan(f, &ticks)
		check(x.t, err)
		used += time.Duration(ticks) * 10 * time.Millisecond
	}
	return used
}

// event is any line of --json, of all verbs.
type event struct {
	Type   string   `json:"type"`
	Path   string   `json:"path"`
	BLAKE3 string   `json:"blake3"`
	SHA256 string   `json:"sha256"`
	Listen []string `json:"listen"`
	Code   string   `json:"code"`
	Offers []struct {
		ID    string   `json:"id"`
		Size  int64    `json:"size"`
		Peers []string `json:"peers"`
	} `json:"offers"`
	Text    string  `json:"text"` // of a chat, with the next three
	Key     string  `json:"key"`
	Sealed  bool    `json:"sealed"`
	Group   string  `json:"group"`
	Link    string  `json:"link"`
	Seq     int64   `json:"seq"`
	Done    int64   `json:"bytes_done"`
	Fetched int64   `json:"bytes_fetched"`
	Seconds float64 `json:"seconds"`
}

// events are those of a type that it has printed so far.
func (x *process) events(kind string) (found []event) {
	for line := range strings.Lines(x.stdout()) {
		var e event
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &e) == nil && e.Type == kind {
			found = append(found, e)
		}
	}
	return found
}

// sharer starts our program.
func (p *place) sharer(args ...string) *process {
	p.t.Helper()
	dir := folder(p.t)
	return p.start(dir, append(append([]string{binary(p.t)}, args...), "--json", "--state-dir", filepath.Join(dir, "state"))...)
}

// seed starts a node of ours that shares paths, and waits until it is ready.
func (p *place) seed(listen string, args ...string) *process {
	p.t.Helper()
	x := p.sharer(append([]string{"seed", "--listen", listen}, args...)...)
	if !until(patience, func() bool { return len(x.events("ready")) > 0 || !x.running() }) || !x.running() {
		p.t.Fatalf("sharer seed is not ready: %s", x.stderr())
	}
	return x
}

// fetch gets one content with our program into a file, and compares it with what it should be. It returns how long it took.
func (p *place) fetch(id, want string, args ...string) (took time.Duration, err error) {
	p.t.Helper()
	out := filepath.Join(folder(p.t), "out")
	begun := time.Now()
	x := p.sharer(append([]string{"get", id, "-o", out}, args...)...)
	most := patience
	if fi, err := os.Stat(want); err == nil {
		most += time.Duration(fi.Size()/mib) * time.Second
	}
	switch code := x.exit(most); {
	case code == -1 && x.running():
		x.kill()
		return 0, fmt.Errorf("sharer get: not there after %v: %s", most, x.stderr())
	case code != 0:
		return 0, fmt.Errorf("sharer get: exit %d: %s", code, x.stderr())
	}
	return time.Since(begun), same(out, want)
}

const mib = 1 << 20

// onStarter runs f on the one thread that starts processes and lives as long as the test: Pdeathsig, which leaves
// nothing behind after a panic, means the thread, not the process.
func onStarter(f func() error) error {
	done := make(chan error)
	starter() <- func() { done <- f() }
	return <-done
}

var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

var workDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "sharer-interop-") })

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
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func binary(t *testing.T) string {
	t.Helper()
	path, err := built()
	check(t, err)
	return path
}

// folder is a new one.
func folder(t *testing.T) string {
	t.Helper()
	work, err := workDir()
	check(t, err)
	dir, err := os.MkdirTemp(work, strings.ReplaceAll(filepath.Base(t.Name()), " ", "-")+"-")
	check(t, err)
	return dir
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same compares two files.
func same(got, want string) error {
	a, err := os.Open(got)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(want)
	if err != nil {
		return err
	}
	defer b.Close()
	x, y := make([]byte, mib), make([]byte, mib)
	for off := 0; ; off += mib {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return fmt.Errorf("%s differs from %s in the MiB at %d", got, want, off)
		}
		if errA != nil || errB != nil {
			return nil // both ends, or the lengths would differ
		}
	}
}

// generate writes size bytes that no other seed gives.
func generate(t *testing.T, path string, size int64, seed byte) {
	t.Helper()
	f, err := os.Create(path)
	check(t, err)
	defer f.Close()
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{seed, byte(size), byte(size >> 8), byte(size >> 16)}), size)
	check(t, err)
}
