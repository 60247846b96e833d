//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestIdle lets a node know 4096 peers, all of which answer, and measures what it costs at rest: less than
// half a percent of a core, and 40 MiB of anonymous memory. On a machine that is slow or busy a wake-up costs several
// times as much; there the node may take idleOver times what those peers take meanwhile, who do less for each question, and nothing between.
func TestIdle(t *testing.T) {
	needs(t)
	const peers, span, idleOver = 4096, 30 * time.Second, 1
	path := filepath.Join(folder(t), "content")
	generate(t, path, 1000, 5)
	p, addr := seeding(t, how{}, "127.0.0.1:0", path)
	peak := p.memory()
	answered := idlePeers(t, peers, netip.MustParseAddrPort(addr))
	before, others, questions := p.processorTime(), ownTime(t), answered.Load()
	<-time.After(span) // what is measured
	used, others := p.processorTime()-before, ownTime(t)-others
	questions = answered.Load() - questions
	share := 100 * used.Seconds() / span.Seconds()
	t.Logf("%d questions to them in %v; %.2f %% of a core; %.1f times what those who answer take", questions, span, share, used.Seconds()/others.Seconds())
	if questions < peers*6/10/10 { // each is asked once in ten minutes at least
		t.Error("it does not know them all")
	}
	if share >= 0.5 && (timed() || used > idleOver*others) {
		t.Errorf("%.2f %% of a core at rest, want less than 0.5", share)
	}
	atMost(t, "a node with 4096 peers", peak(), 40*mib)
}

// processorTime is what a process has used so far, in user and system mode.
func (p *process) processorTime() time.Duration {
	p.t.Helper()
	return processorTime(p.t, p.cmd.Process.Pid)
}

// ownTime is what this process has used.
func ownTime(t *testing.T) time.Duration { return processorTime(t, os.Getpid()) }

func processorTime(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	check(t, err)
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		check(t, err)
		var ns int64 // on a processor; then the time waited for one, and how often
		_, err = fmt.Sscan(string(text), &ns)
		check(t, err)
		sum += time.Duration(ns)
	}
	return sum
}

var pingValue = regexp.MustCompile(`"PleaseReturnThisMessage":({[^}]*})`)

// idlePeers are n peers on loopback that say one word to a node and then answer its pings.
func idlePeers(t *testing.T, n int, to netip.AddrPort) (answered *atomic.Int64) {
	t.Helper()
	answered = new(atomic.Int64)
	var wg sync.WaitGroup
	var conns []*net.UDPConn
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
		wg.Wait()
	})
	for range n {
		c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
		if err != nil {
			t.Skipf("skipped: %d sockets cannot be had: %v", n, err)
		}
		conns = append(conns, c)
		greet(t, c)
		wg.Go(func() {
			buf := make([]byte, 2048)
			for {
				k, err := c.Read(buf)
				if err != nil {
					return
				}
				if v := pingValue.FindSubmatch(buf[:k]); v != nil {
					answered.Add(1)
					c.Write(fmt.Appendf(nil, `[{"ReturnedMessage":%s}]`, v[1])) // lost is lost, as on any network
				}
			}
		})
	}
	return answered
}

// greet asks for a word until it is answered: then the peer is known.
func greet(t *testing.T, c *net.UDPConn) {
	t.Helper()
	buf := make([]byte, 2048)
	for range 20 {
		_, err := c.Write([]byte(`[{"PleaseReturnThisMessage":{"a":1}}]`))
		check(t, err)
		check(t, c.SetReadDeadline(time.Now().Add(time.Second)))
		for {
			n, err := c.Read(buf)
			if err != nil {
				break
			}
			if bytes.Contains(buf[:n], []byte(`{"ReturnedMessage":{"a":1}}`)) {
				check(t, c.SetReadDeadline(time.Time{}))
				return
			}
		}
	}
	t.Fatal("the node does not answer a ping")
}
