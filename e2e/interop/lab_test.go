//go:build linux

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
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

// wire joins two places by a cable: a has PREFIX.1 and b PREFIX.2, as in 10.88.1.
func wire(a, b *place, prefix string) (ipA, ipB string) {
	a.t.Helper()
	device := "w" + strings.ReplaceAll(prefix, ".", "")
	a.ip("link", "add", device, "type", "veth", "peer", "name", device, "netns", b.name)
	for i, p := range []*place{a, b} {
		p.ip("addr", "add", fmt.Sprintf("%s.%d/24", prefix, i+1), "brd", "+", "dev", device)
		p.ip("link", "set", device, "up")
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
		if err == nil {
			p.t.Fatalf("%s has a way to %s: %s", p.name, public, out)
		}
	}
}

// publicNodes are built into the other programs.
var publicNodes = []string{"148.71.89.128", "159.69.54.127", "2a01:4f8:c013:5bc5::1"}

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
