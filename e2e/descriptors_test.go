//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// descriptors counts the open files of a process.
func (p *process) descriptors() int {
	p.t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	check(p.t, err)
	return len(open)
}

// mostDescriptors watches a process until the function is called.
func (p *process) mostDescriptors() (most func() int) {
	stop, seen := make(chan struct{}), make(chan int)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		n := 0
		for {
			select {
			case <-tick.C:
				if open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid)); err == nil {
					n = max(n, len(open))
				}
			case <-stop:
				seen <- n
				return
			}
		}
	}()
	return func() int { close(stop); return <-seen }
}

// A20: a node that seeds more files than it may open keeps at most 128 of them open, and when the system
// lets it open fewer, it closes some for others and serves all of them.
func TestFewDescriptors(t *testing.T) {
	const files = 400
	src := folder(t)
	for i := range files {
		generate(t, filepath.Join(src, fmt.Sprintf("%03d", i)), 300_000, uint64(i)) // more than 64 blocks: each has a tree file
	}
	for _, tc := range []struct {
		name  string
		limit int
		most  int // descriptors, with sockets, index and the runtime's own
	}{{"many", 1024, 128 + 32 + 40}, {"few", 48, 48}} {
		t.Run(tc.name, func(t *testing.T) {
			limited := how{through: []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, tc.limit), "-"}}
			seed, _ := seeding(t, limited, "127.0.0.1:0", src)
			most := seed.mostDescriptors()
			fetchTree(t, seed)
			seed.alive()
			n := most()
			t.Logf("%d descriptors at most, %d now", n, seed.descriptors())
			if n > tc.most+2 || n < min(tc.most, 128)*3/4 {
				t.Errorf("%d descriptors at most, want about %d", n, tc.most)
			}
		})
	}
}
