//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// namespace is a network namespace with loopback and nothing else.
type namespace struct {
	t    *testing.T
	name string
}

var namespaces atomic.Int32

// newNamespace makes a namespace that ends with the test.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	needsRoot(t)
	n := &namespace{t, fmt.Sprintf("sharer-%d-%d", os.Getpid(), namespaces.Add(1))}
	if out, err := exec.Command("ip", "netns", "add", n.name).CombinedOutput(); err != nil {
		t.Skipf("skipped: no network namespace can be made here: %s", out)
	}
	t.Cleanup(func() { run(t, "ip", "netns", "del", n.name) })
	n.ip("link", "set", "lo", "up")
	return n
}

// how runs a process inside.
func (n *namespace) how() how { return how{through: []string{"ip", "netns", "exec", n.name}} }

func (n *namespace) ip(args ...string) {
	n.t.Helper()
	run(n.t, append([]string{"ip", "-n", n.name}, args...)...)
}

// wire connects two namespaces, 10.77.0.1 and 10.77.0.2, with no route elsewhere.
func wire(t *testing.T) (a, b *namespace) {
	t.Helper()
	a, b = newNamespace(t), newNamespace(t)
	a.ip("link", "add", "eth", "type", "veth", "peer", "name", "eth", "netns", b.name)
	for i, n := range []*namespace{a, b} {
		n.ip("addr", "add", fmt.Sprintf("10.77.0.%d/24", i+1), "dev", "eth")
		n.ip("link", "set", "eth", "up")
	}
	return a, b
}

// received is the bytes that came in by an interface.
func (n *namespace) received(device string) int64 {
	n.t.Helper()
	return n.device(device)[receivedBytes]
}

// octets is the bytes of IP datagrams, headers included, that came in and went out.
func (n *namespace) octets() (in, out int64) {
	n.t.Helper()
	c := n.counters("netstat", "IpExt:")
	return c["InOctets"], c["OutOctets"]
}

// traffic is what went over loopback: all bytes, and the UDP datagrams that a process read.
type traffic struct{ wire, read int64 }

func (n *namespace) traffic() traffic {
	n.t.Helper()
	return traffic{n.received("lo"), n.counters("snmp", "Udp:")["InDatagrams"]}
}

// counters reads the kernel's counters of a protocol: a line of names, a line of numbers.
func (n *namespace) counters(file, protocol string) map[string]int64 {
	n.t.Helper()
	var names []string
	values := map[string]int64{}
	for line := range strings.Lines(run(n.t, "ip", "netns", "exec", n.name, "cat", "/proc/net/"+file)) {
		words := strings.Fields(line)
		switch {
		case words[0] != protocol:
		case names == nil:
			names = words
		default:
			for i := 1; i < len(words); i++ {
				values[names[i]] = number(n.t, words[i])
			}
		}
	}
	return values
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	check(t, err)
	return n
}
