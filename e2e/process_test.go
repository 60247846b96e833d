//go:build linux

// Package e2e drives the real program: processes of the built binary on loopback or in
// network namespaces without a route, always --isolated, with nginx, curl, nc and a small
// Python node beside them. It promises what a user would see: exit codes, bytes, files.
//
//	SHARER_E2E=1 go test -v -timeout 60m ./e2e
//
// runs it all; without SHARER_E2E every test is skipped. SHARER_E2E_SIZE (default 1G) is
// the size of the large content, SHARER_E2E_BIG=1 adds 8 GiB, SHARER_E2E_SEED repeats the
// random choices of a run, SHARER_E2E_DIR is where files lie (default: the system's temporary
// folder), SHARER_E2E_LADDER=1 adds what is measured on impaired links for minutes, SHARER_E2E_BIN a binary that was built already,
// SHARER_E2E_PICTURES where pictures of pages are kept (default: a new temporary folder, which is named).
package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for one thing that must happen.
const patience = 5 * time.Minute

// event is any line of --json, of all verbs.
type event struct {
	Type      string   `json:"type"`
	Path      string   `json:"path"`
	PathBytes []byte   `json:"path_bytes"`
	Size      int64    `json:"size"`
	BLAKE3    string   `json:"blake3"`
	SHA256    string   `json:"sha256"`
	Link      string   `json:"link"`
	Listen    []string `json:"listen"`
	Folder    string   `json:"folder"`
	Files     int      `json:"files"`
	Failed    int      `json:"failed"`
	Job       string   `json:"job"`
	ID        string   `json:"id"`
	State     string   `json:"state"`
	Done      int64    `json:"bytes_done"`
	Fetched   int64    `json:"bytes_fetched"`
	Resumed   int64    `json:"bytes_resumed"`
	Existed   bool     `json:"existed"`
	Seconds   float64  `json:"seconds"`
	Code      string   `json:"code"`
	Exit      int      `json:"exit"`
	Message   string   `json:"message"`
}

// process is a command whose output is followed.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when it has ended and its output is read
	errors bytes.Buffer  // its stderr; read it after ended

	next int // event that wait looks at next; of the test's goroutine

	mu      sync.Mutex
	events  []event
	times   []time.Time   // when each was read
	plain   []string      // lines that are no events
	changed chan struct{} // closed, and made anew, with each event
}

// how says how a process is started. The zero value is as it comes.
type how struct {
	through []string // a command that runs it: ip netns exec NAME
	dir     string   // its folder; empty: the test's own
	stdin   string
	typed   *os.File // its standard input instead
	uid     uint32   // 0: the test's own
}

// sharer starts the program with a state folder of its own, unless args name one.
func sharer(t *testing.T, h how, args ...string) *process {
	t.Helper()
	if !strings.Contains(strings.Join(args, " "), "--state-dir") {
		args = append(args, "--state-dir", t.TempDir())
	}
	return start(t, h, append([]string{binary(t)}, args...)...)
}

// start starts a command. It is killed when the test ends.
func start(t *testing.T, h how, args ...string) *process {
	t.Helper()
	args = append(append([]string(nil), h.through...), args...)
	p := &process{t: t, name: strings.Join(args[len(h.through):][:min(2, len(args)-len(h.through))], " "), ended: make(chan struct{}), changed: make(chan struct{})}
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Stderr = &p.errors
	p.cmd.Dir = h.dir
	switch {
	case h.typed != nil:
		p.cmd.Stdin = h.typed
	case h.stdin != "":
		p.cmd.Stdin = strings.NewReader(h.stdin)
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if h.uid != 0 {
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: h.uid, Gid: h.uid}
		p.cmd.Env = append(os.Environ(), "HOME=/nonexistent")
	}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = onStarter(p.cmd.Start)
	}
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	go p.follow(out)
	t.Cleanup(p.kill)
	return p
}

// onStarter runs f on the one thread that starts processes and lives as long as the test:
// Pdeathsig, which leaves nothing behind after a panic, means the thread, not the process.
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

// follow reads the events until the process has ended. Lines that are not JSON are kept apart.
func (p *process) follow(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		err := json.Unmarshal(lines.Bytes(), &e)
		p.mu.Lock()
		if err != nil {
			p.plain = append(p.plain, lines.Text())
		} else {
			p.events, p.times = append(p.events, e), append(p.times, time.Now())
		}
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, out) // after a line that is too long: the process must not block
	_ = p.cmd.Wait()                // ProcessState tells
	close(p.ended)
}

// find waits for the next event that matches; ok is false when the process ended without one.
func (p *process) find(match func(event) bool) (e event, ok bool) {
	p.t.Helper()
	late := time.After(patience)
	for ended := false; ; {
		p.mu.Lock()
		events, changed := p.events[p.next:], p.changed
		p.mu.Unlock()
		for _, e := range events {
			p.next++
			if match(e) {
				return e, true
			}
		}
		if ended {
			return event{}, false
		}
		select {
		case <-changed:
		case <-p.ended:
			ended = true // and look once more: the last events came before
		case <-late:
			p.t.Fatalf("%s: waited %s for an event", p.name, patience)
		}
	}
}

// wait is find for an event that must come.
func (p *process) wait(what string, match func(event) bool) event {
	p.t.Helper()
	e, ok := p.find(match)
	if !ok {
		p.t.Fatalf("%s ended (%s) before %s: %s", p.name, p.cmd.ProcessState, what, p.errors.String())
	}
	return e
}

// all returns the events so far that match.
func (p *process) all(match func(event) bool) (found []event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if match(e) {
			found = append(found, e)
		}
	}
	return found
}

func isType(name string) func(event) bool { return func(e event) bool { return e.Type == name } }

// exit waits for the end and returns the exit code, -1 after a signal.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s: still runs after %s", p.name, patience)
		return 0
	}
}

// want fails the test if the exit code is another.
func (p *process) want(code int) {
	p.t.Helper()
	if got := p.exit(); got != code {
		p.t.Fatalf("%s: exit %d, want %d: %s", p.name, got, code, p.errors.String())
	}
}

// alive fails the test if the process has ended.
func (p *process) alive() {
	p.t.Helper()
	select {
	case <-p.ended:
		p.t.Fatalf("%s has ended (%s): %s", p.name, p.cmd.ProcessState, p.errors.String())
	default:
	}
}

// kill ends the process as nobody can prevent, and waits for its end.
func (p *process) kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("kill %s: %v", p.name, err)
	}
	<-p.ended
}

// stop interrupts the process as Ctrl-C does and returns its exit code.
func (p *process) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("interrupt %s: %v", p.name, err)
	}
	return p.exit()
}

// seeding starts a seed on addr and waits until it answers peers.
func seeding(t *testing.T, h how, addr string, args ...string) (p *process, listen string) {
	t.Helper()
	p = sharer(t, h, append([]string{"seed", "--json", "--isolated", "--listen", addr}, args...)...)
	return p, p.wait("ready", isType("ready")).Listen[0]
}

// file returns the event of a seeded file.
func (p *process) file(path string) event {
	p.t.Helper()
	found := p.all(func(e event) bool {
		return e.Type == "file" && (e.Path == path || string(e.PathBytes) == path)
	})
	if len(found) != 1 {
		p.t.Fatalf("%s: %d events for the file %q", p.name, len(found), path)
	}
	return found[0]
}

// getting starts a get from one peer.
func getting(t *testing.T, h how, listen, peer, link, output string, args ...string) *process {
	t.Helper()
	return sharer(t, h, append([]string{"get", "--json", "--isolated", "--listen", listen, "--peer", peer, link, "-o", output}, args...)...)
}

// got waits for the end of a get that must succeed and returns its file event.
func (p *process) got() event {
	p.t.Helper()
	p.want(0)
	files := p.all(isType("file"))
	if len(files) != 1 {
		p.t.Fatalf("%s: %d file events, want 1", p.name, len(files))
	}
	return files[0]
}

// run runs a command to its end and returns what it printed.
func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
