//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestIdle lets a node know 4096 peers, all of which answer, and measures what it costs at rest: less than half a percent of a core, and
// 40 MiB of anonymous memory. On a busy machine too: the least of several spans counts, by processor time on a scale of the same run, and wakes
// are counted, which a ticker that nobody needs adds to whatever else runs.
func TestIdle(t *testing.T) {
	needs(t)
	const peers, spans, span = 4096, 4, 8 * time.Second
	path := filepath.Join(folder(t), "content")
	generate(t, path, 1000, 5)
	p, addr := seeding(t, how{}, "127.0.0.1:0", path)
	peak := p.memory()
	answered := idlePeers(t, peers, netip.MustParseAddrPort(addr))
	begun, asked := time.Now(), answered.Load()
	least, wakes := 100.0, 0.0
	for range spans {
		before, questions, at := p.effort(), answered.Load(), time.Now()
		<-time.After(span) // what is measured
		used, took := p.effort().since(before), time.Since(at)
		questions = answered.Load() - questions
		// A question wakes the sender, and its answer the reader.
		more := float64(used.wakes-2*questions) / took.Seconds()
		t.Logf("%d questions in %v: %.3f %% of a core, %d wakes, %.0f a second besides those", questions, took, used.share(took), used.wakes, more)
		if share := used.share(took); share < least {
			least, wakes = share, more
		}
	}
	asked = answered.Load() - asked
	if asked < int64(peers*time.Since(begun)/(10*time.Minute)*6/10) { // each is asked once in ten minutes at least
		t.Errorf("%d questions: it does not know them all", asked)
	}
	if bar := 0.5 * slowCalls(t); least >= bar {
		t.Errorf("%.2f %% of a core at rest, want less than %.2f", least, bar)
	}
	if wakes > mostWakes {
		t.Errorf("it wakes %.0f times a second at rest besides those for questions and answers, want %d at most", wakes, mostWakes)
	}
	atMost(t, "a node with 4096 peers", peak(), 40*mib)
}

// mostWakes is what the timers of a node and of the Go runtime need, a second, doubled.
const mostWakes = 100

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
