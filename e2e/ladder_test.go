//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharer/internal/netsim"
)

// spell is how long who is only compared with may take; what has come by then gives its rate.
const spell = 30 * time.Second

// rungSizes are the bytes of content on each rung: a quarter of a minute, and with SHARER_E2E_BIG=1 what the reliability list asks for.
var rungSizes = [][2]int64{{64 * mib, 256 * mib}, {16 * mib, 64 * mib}, {8 * mib, 64 * mib}, {3 * mib, 16 * mib}, {2 * mib, 8 * mib}, {mib, 4 * mib}, {32 * mib, 64 * mib}}

// tcp is what curl gets from nginx, under a congestion control.
func tcp(t *testing.T, l netsim.Link, seed uint64, path, control string) (rate float64) {
	needs(t, "nginx", "curl")
	x := newPattern(t, l, seed)
	x.control(control)
	url := nginxAt(t, x.near(), nearIP+":80", filepath.Dir(path)) + "/" + filepath.Base(path)
	target := filepath.Join(folder(t), "copy")
	args := append(x.far().through, "curl", "-sS", "-f", "-o", target, "--max-time", fmt.Sprint(spell.Seconds()), "-w", "%{size_download} %{time_total}", url)
	out, err := exec.Command(args[0], args[1:]...).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 28) { // 28: out of time
		t.Fatal(err)
	}
	var bytes, seconds float64
	if _, err := fmt.Sscan(string(out), &bytes, &seconds); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	t.Logf("%s in %.1f s under %s; at most %v late", mbit(bytes/seconds), seconds, control, x.bridge.Counts()[0].Late)
	return bytes / seconds
}

// control sets the congestion control of TCP by the routes of both ends: the default of a namespace may be unrestricted ones only,
// and the machine's is not ours to change.
func (x *impaired) control(name string) {
	x.t.Helper()
	for _, n := range x.ends {
		if out, err := exec.Command("ip", "-n", n.name, "route", "change", "10.78.0.0/24", "dev", "tun0", "congctl", name).CombinedOutput(); err != nil {
			x.t.Skipf("skipped: no %s in this kernel: %s", name, out)
		}
	}
}

// rust is what one Rust node gets from another.
func rust(t *testing.T, l netsim.Link, seed uint64, path string, size int64) (rate float64) {
	program := os.Getenv("SHARER_RUST")
	if program == "" {
		t.Skip("skipped: SHARER_RUST names no binary")
	}
	x := newPattern(t, l, seed)
	_, id := rustGiver(t, x, program, path)
	begun := time.Now()
	taker := rustTaker(t, x, program, id)
	home := filepath.Join(taker.cmd.Dir, "cjp2p")
	late := time.After(spell)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting; {
		if _, err := os.Stat(filepath.Join(home, "public", id)); err == nil {
			rate = float64(size) / time.Since(begun).Seconds()
			t.Logf("%s, all of it", mbit(rate))
			return rate
		}
		select {
		case <-late:
			waiting = false
		case <-tick.C:
		}
	}
	// Not all of it: as much as came, what came twice counted too.
	came, _, _ := x.came.figures()
	rate = float64(came) / spell.Seconds()
	t.Logf("%s until it was stopped", mbit(rate))
	return rate
}

// rustGiver starts a node at the near end that shares a file, and returns the sha256 of that.
func rustGiver(t *testing.T, x *impaired, program, path string) (p *process, id string) {
	t.Helper()
	p, typing := rustNode(t, x.near(), program)
	shared := filepath.Join(folder(t), "shared") // it links what it shares
	run(t, "cp", path, shared)
	say(t, typing, "/share "+shared)
	id = strings.TrimSpace(p.line("  sha256: "))
	return p, id[strings.LastIndexByte(id, '/')+1:]
}

// rustTaker starts a node at the far end that fetches an id from the near end.
func rustTaker(t *testing.T, x *impaired, program, id string) *process {
	t.Helper()
	p, typing := rustNode(t, x.far(), program)
	say(t, typing, "/addpeer "+nearIP+":24254")
	<-time.After(300 * time.Millisecond) // two lines at once are read as one, and the other never
	say(t, typing, "/get "+id)
	p.line("QUEING FILE")
	return p
}

// rustNode starts one in a folder of its own; what it is told goes to typing.
func rustNode(t *testing.T, h how, program string) (p *process, typing *os.File) {
	t.Helper()
	in, typing, err := os.Pipe()
	check(t, err)
	h.dir, h.typed = folder(t), in
	p = start(t, h, program)
	check(t, in.Close())
	t.Cleanup(func() { _ = typing.Close() })
	p.line("web console at")
	return p, typing
}

func say(t *testing.T, to *os.File, line string) {
	t.Helper()
	_, err := fmt.Fprintln(to, line)
	check(t, err)
}

// line waits for a line with a text in it that is no event.
func (p *process) line(with string) string {
	p.t.Helper()
	late := time.After(patience)
	for {
		p.mu.Lock()
		plain, changed := p.plain, p.changed
		p.mu.Unlock()
		for _, l := range plain {
			if strings.Contains(l, with) {
				return l
			}
		}
		select {
		case <-changed:
		case <-p.ended:
			p.t.Fatalf("%s ended without %q: %s", p.name, with, p.errors.String())
		case <-late:
			p.t.Fatalf("%s does not say %q", p.name, with)
		}
	}
}
