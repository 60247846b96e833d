//go:build linux

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// needs skips the test unless it is asked for and the machine can.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if !asked() {
		t.Skip("skipped: SHARER_INTEROP=1 is not set")
	}
	if os.Getuid() != 0 {
		t.Skip("skipped: it needs root")
	}
	for _, p := range append(programs, "ip") {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("skipped: there is no %s here", p)
		}
	}
}

// place is a network namespace: loopback, and what it is wired to. It never has a default route.
type place struct {
	t    *testing.T
	name string
}

var places atomic.Int32

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t, fmt.Sprintf("interop-%d-%d", os.Getpid(), places.Add(1))}
	if out, err := exec.Command("ip", "netns", "add", p.name).CombinedOutput(); err != nil {
		t.Skipf("skipped: no network namespace can be made here: %s", out)
	}
	t.Cleanup(func() { run(t, "ip", "netns", "del", p.name) })
	p.ip("link", "set", "lo", "up")
	return p
}

func (p *place) ip(args ...string) string {
	p.t.Helper()
	return run(p.t, append([]string{"ip", "-n", p.name}, args...)...)
}

// device is the name of the cable of a prefix, at both ends.
func device(prefix string) string { return "w" + strings.ReplaceAll(prefix, ".", "") }

// wire joins two places by a cable: a has PREFIX.1 and b PREFIX.2, as in 10.88.1.
func wire(a, b *place, prefix string) (ipA, ipB string) {
	a.t.Helper()
	name := device(prefix)
	a.ip("link", "add", name, "type", "veth", "peer", "name", name, "netns", b.name)
	for i, p := range []*place{a, b} {
		p.ip("addr", "add", fmt.Sprintf("%s.%d/24", prefix, i+1), "brd", "+", "dev", name)
		p.ip("link", "set", name, "up")
	}
	return prefix + ".1", prefix + ".2"
}

// sealed fails the test unless nothing can leave the place: programs with public addresses built in run in it.
func (p *place) sealed() {
	p.t.Helper()
	for _, family := range []string{"-4", "-6"} {
		if out := p.ip(family, "route", "show", "default"); strings.TrimSpace(out) != "" {
			p.t.Fatalf("%s has a default route: %s", p.name, out)
		}
	}
	for _, public := range publicNodes {
		out, err := exec.Command("ip", "-n", p.name, "route", "get", public).CombinedOutput()
		if err == nil && !strings.Contains(string(out), " dev "+deadEnd) {
			p.t.Fatalf("%s has a way to %s: %s", p.name, public, out)
		}
	}
}

// publicNodes are built into the other programs.
var publicNodes = []string{"148.71.89.128", "159.69.54.127", "2a01:4f8:c013:5bc5::1"}

const deadEnd = "deadend"

// swallow lets sends to the public nodes succeed, and loses them in a place where nobody is, for programs that end when
// a send fails.
func (p *place) swallow() {
	p.t.Helper()
	nowhere := newPlace(p.t)
	p.ip("link", "add", deadEnd, "type", "veth", "peer", "name", deadEnd, "netns", nowhere.name)
	nowhere.ip("link", "set", deadEnd, "up")
	p.ip("link", "set", deadEnd, "up")
	for _, public := range publicNodes {
		if !strings.Contains(public, ":") {
			p.ip("neigh", "add", public, "lladdr", "02:00:00:00:00:01", "dev", deadEnd) // nobody's
			p.ip("route", "add", public+"/32", "dev", deadEnd)
		}
	}
}

// inside runs f on a thread that is in the place: what sockets it opens stay there. The thread ends with it.
func (p *place) inside(f func() error) error {
	p.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread must not be used for anything else
		ns, err := os.Open("/run/netns/" + p.name)
		if err == nil {
			defer ns.Close()
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
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

// with is the place for a subtest: what starts there ends with that.
func (p *place) with(t *testing.T) *place { return &place{t, p.name} }

// counted is the bytes that came in and went out by the cable of a prefix.
func (p *place) counted(prefix string) (received, sent int64) {
	p.t.Helper()
	for line := range strings.Lines(run(p.t, "ip", "netns", "exec", p.name, "cat", "/proc/net/dev")) {
		if name, rest, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == device(prefix) {
			fields := strings.Fields(rest)
			return number(p.t, fields[0]), number(p.t, fields[8])
		}
	}
	p.t.Fatalf("%s has no %s", p.name, device(prefix))
	return 0, 0
}

// datagrams is how many UDP datagrams programs of the place have read.
func (p *place) datagrams() int64 {
	p.t.Helper()
	var names []string
	for line := range strings.Lines(run(p.t, "ip", "netns", "exec", p.name, "cat", "/proc/net/snmp")) {
		words := strings.Fields(line)
		switch {
		case words[0] != "Udp:":
		case names == nil:
			names = words
		default:
			for i, name := range names {
				if name == "InDatagrams" {
					return number(p.t, words[i])
				}
			}
		}
	}
	p.t.Fatalf("%s does not count its datagrams", p.name)
	return 0
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	check(t, err)
	return n
}
