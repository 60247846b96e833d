package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sharer": main})
}

// TestScript runs the real program. The scripts have these commands besides the
// usual ones:
//
//	exits CODE PROGRAM ARG...   runs it and checks its exit code
//	start NAME REGEXP ARG...    runs sharer in the background and returns when a line
//	                            of its stdout or stderr matches
//	await NAME REGEXP           returns when a further line matches
//	signal NAME SIGNAL          INT, TERM, KILL, USR1
//	finish NAME CODE            waits for its end and checks its exit code; its output is
//	                            then in NAME.out and NAME.err
//	random FILE SIZE            makes a file of so many bytes that compress badly
//	readenv NAME FILE           sets NAME to what the file holds
//	fifo FILE                   makes a named pipe
//	rawfile FOLDER NAME         makes a file whose name, quoted as in Go, may hold any byte
//
// start sets NAME_ADDR from the ready event or line, and NAME_LINK1, NAME_BLAKE3_1,
// NAME_SHA256_1, ... from the file events that came before, in the order of their paths.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, ".state"))
			e.Setenv("ESC", "\x1b")
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Setenv("SHARER_ISOLATED", "true")
			e.Setenv("SHARER_LISTEN", "127.0.0.1:0")
			e.Setenv("SHARER_HTTP", "off")
			e.Setenv("SHARER_DAEMON", "never")     // scripts that want one say so
			e.Setenv("SHARER_FIND_TIMEOUT", "10s") // a fault shall not take minutes to show
			e.Setenv("SHARER_STALL_TIMEOUT", "10s")
			e.Setenv("SHARER_MIN_FREE", "0") // the disk of the machine may be nearly full
			e.Values[procsKey{}] = map[string]*background{}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "full":
				_, err := os.Stat("/dev/full")
				return err == nil, nil
			}
			return false, errors.New("unknown condition " + cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": cmdExits, "start": cmdStart, "await": cmdAwait, "signal": cmdSignal, "finish": cmdFinish,
			"random": cmdRandom, "fifo": cmdFifo, "rawfile": cmdRawFile, "readenv": cmdReadEnv,
		},
	})
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	var ended *exec.ExitError
	switch got := 0; {
	case err != nil && !errors.As(err, &ended):
		ts.Fatalf("%v", err)
	case ended != nil:
		got = ended.ExitCode()
		fallthrough
	default:
		if strconv.Itoa(got) != args[0] {
			ts.Fatalf("exit code %d, want %s", got, args[0])
		}
	}
}

type procsKey struct{}

// background is a program in the background.
type background struct {
	cmd   *exec.Cmd
	lines chan string // of both streams; closed when both have ended
	mu    sync.Mutex
	out   bytes.Buffer
	err   bytes.Buffer
	ended chan error
}

// patience is after which time a script that waits has failed. A daemon lets twenty times as long pass between two lists of a folder as one has
// taken, which on a busy machine is more than a second.
const patience = time.Minute

func procs(ts *testscript.TestScript) map[string]*background {
	return ts.Value(procsKey{}).(map[string]*background)
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: start NAME REGEXP ARG...")
	}
	name, pattern := args[0], regexp.MustCompile(args[1])
	// The test has changed PATH for itself too: the program is found there.
	p := &background{cmd: exec.Command("sharer", args[2:]...), lines: make(chan string, 1<<16), ended: make(chan error, 1)}
	p.cmd.Dir = ts.MkAbs(".")
	for _, key := range []string{"PATH", "HOME", "TMPDIR", "XDG_STATE_HOME", "SHARER_ISOLATED", "SHARER_LISTEN", "SHARER_DAEMON", "SHARER_PEER", "SHARER_FIND_TIMEOUT", "SHARER_STALL_TIMEOUT", "SHARER_MIN_FREE"} {
		p.cmd.Env = append(p.cmd.Env, key+"="+ts.Getenv(key))
	}
	stdout, err := p.cmd.StdoutPipe()
	ts.Check(err)
	stderr, err := p.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	var readers sync.WaitGroup
	readers.Go(func() { p.read(stdout, &p.out) })
	readers.Go(func() { p.read(stderr, &p.err) })
	go func() {
		readers.Wait()
		close(p.lines)
		p.ended <- p.cmd.Wait()
	}()
	procs(ts)[name] = p
	ts.Defer(func() { p.cmd.Process.Kill() })
	p.await(ts, name, pattern)
	p.setVariables(ts, name)
}

func (p *background) read(r io.Reader, into *bytes.Buffer) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		p.mu.Lock()
		into.WriteString(s.Text() + "\n")
		p.mu.Unlock()
		p.lines <- s.Text()
	}
}

func (p *background) await(ts *testscript.TestScript, name string, pattern *regexp.Regexp) {
	late := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				ts.Fatalf("%s ended without a line that matches %s\n%s", name, pattern, p.tail())
			}
			if pattern.MatchString(line) {
				return
			}
		case <-late:
			ts.Fatalf("%s printed no line that matches %s\n%s", name, pattern, p.tail())
		}
	}
}

// tail is the end of what it printed.
func (p *background) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := func(b *bytes.Buffer) string {
		lines := strings.SplitAfter(b.String(), "\n")
		return strings.Join(lines[max(0, len(lines)-60):], "")
	}
	return "stdout:\n" + end(&p.out) + "stderr:\n" + end(&p.err)
}

// seedingOn finds the first address in the line that seed, or daemon, prints for people.
var seedingOn = regexp.MustCompile(`(?m)^(?:seeding .*, on|the daemon is running on) (\S+:\d+)`)

func (p *background) setVariables(ts *testscript.TestScript, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if on := seedingOn.FindStringSubmatch(p.err.String()); on != nil {
		ts.Setenv(name+"_ADDR", on[1])
	}
	var files []seededEvent
	for line := range strings.Lines(p.out.String()) {
		var ready readyEvent
		if json.Unmarshal([]byte(line), &ready) == nil && ready.Type == "ready" && len(ready.Listen) > 0 {
			ts.Setenv(name+"_ADDR", ready.Listen[0])
		}
		var file seededEvent
		if json.Unmarshal([]byte(line), &file) == nil && file.Type == "file" {
			i := 0
			for i < len(files) && files[i].Path < file.Path {
				i++
			}
			files = append(files[:i:i], append([]seededEvent{file}, files[i:]...)...)
		}
	}
	for i, f := range files {
		n := strconv.Itoa(i + 1)
		ts.Setenv(name+"_LINK"+n, f.Link)
		ts.Setenv(name+"_BLAKE3_"+n, f.BLAKE3)
		ts.Setenv(name+"_SHA256_"+n, f.SHA256)
	}
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || procs(ts)[args[0]] == nil {
		ts.Fatalf("usage: await NAME REGEXP")
	}
	procs(ts)[args[0]].await(ts, args[0], regexp.MustCompile(args[1]))
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill, "USR1": usr1, "HUP": syscall.SIGHUP}
	if neg || len(args) != 2 || procs(ts)[args[0]] == nil || signals[args[1]] == nil {
		ts.Fatalf("usage: signal NAME INT|TERM|KILL|USR1")
	}
	ts.Check(procs(ts)[args[0]].cmd.Process.Signal(signals[args[1]]))
}

func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || procs(ts)[args[0]] == nil {
		ts.Fatalf("usage: finish NAME CODE")
	}
	p := procs(ts)[args[0]]
	for range p.lines { // nobody else reads them any more
	}
	err := <-p.ended
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".out"), p.out.Bytes(), 0o666))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".err"), p.err.Bytes(), 0o666))
	code := p.cmd.ProcessState.ExitCode()
	if want, perr := strconv.Atoi(args[1]); perr != nil || code != want {
		ts.Fatalf("%s ended with %d (%v), want %s\n%s", args[0], code, err, args[1], p.tail())
	}
}

func cmdRandom(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: random FILE SIZE")
	}
	size, err := parseSize(args[1])
	ts.Check(err)
	data := make([]byte, size)
	x := uint64(size)*0x9E3779B97F4A7C15 + 1 // xorshift64: other sizes, other bytes
	for i := range data {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data[i] = byte(x >> 56)
	}
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o777))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o666))
}

func cmdReadEnv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: readenv NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

func cmdFifo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fifo FILE")
	}
	ts.Check(exec.Command("mkfifo", ts.MkAbs(args[0])).Run())
}

func cmdRawFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: rawfile FOLDER NAME")
	}
	name, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	if runtime.GOOS == "darwin" && !strings.ContainsAny(name, "\n") {
		return // its file system refuses what is not UTF-8
	}
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), name), []byte("content of "+args[1]), 0o666))
}
