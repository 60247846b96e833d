//go:build linux

package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const kills = 20

// TestKillGet kills a get with SIGKILL at random moments until nothing is left to fetch. What
// was fetched is counted by a network namespace of their own, in proportion to a get that runs
// undisturbed: the datagrams that were read. The bytes on the wire are more by what lay in the
// receive buffer of the dead, and are told too.
func TestKillGet(t *testing.T) {
	t.Parallel()
	needs(t, "ip")
	ns := newNamespace(t)
	rng := choices(t)
	dir := folder(t)
	path := filepath.Join(dir, "large")
	generate(t, path, large(t), 1)
	before := originals(t, dir)
	seed, addr := seeding(t, ns.how(), "127.0.0.1:0", path)
	ids := seed.file(path)
	t.Run("blake3", func(t *testing.T) { killGet(t, ns, rng, addr, ids.Link, path) })
	t.Run("sha256", func(t *testing.T) { killGet(t, ns, rng, addr, ids.SHA256, path) })
	unchanged(t, dir, before)
	if code := seed.stop(); code != 0 {
		t.Errorf("seed ends with %d", code)
	}
}

func killGet(t *testing.T, ns *namespace, rng *rand.Rand, addr, id, original string) {
	size := large(t)
	target := filepath.Join(folder(t), "copy")
	before := ns.traffic()
	begun := time.Now()
	whole := getting(t, ns.how(), "127.0.0.1:0", addr, id, target).got()
	took := time.Since(begun)
	perByte := ns.traffic().per(before, whole.Fetched)
	t.Logf("undisturbed: %d bytes fetched for %d in %.1fs, %.3f bytes on the wire for each", whole.Fetched, size, took.Seconds(), perByte.wire)
	same(t, target, original)
	check(t, os.Remove(target))

	before = ns.traffic()
	last := moments(t, rng, func(m *moment) bool {
		get := getting(t, ns.how(), "127.0.0.1:0", addr, id, target, "--progress-interval", "10ms")
		get.mustDie(m)
		return get.cmd.ProcessState.Success()
	}, size, took)
	if !last {
		get := getting(t, ns.how(), "127.0.0.1:0", addr, id, target)
		e := get.got()
		t.Logf("the last run resumed %d and fetched %d bytes", e.Resumed, e.Fetched)
	}
	same(t, target, original)
	leftovers(t, target)
	spent := ns.traffic().per(before, size)
	twice, wire := spent.read/perByte.read-1, spent.wire/perByte.wire-1
	t.Logf("%.2f %% was fetched twice; of the bytes on the wire %.2f %%", 100*twice, 100*wire)
	// A kill loses what is in flight and in memory, whatever the size: the bar is for 1 GiB.
	if size >= 1<<30 && twice >= 0.10 {
		t.Errorf("%.1f %% was fetched twice, want < 10 %%", 100*twice)
	}
}

// rates is traffic for each byte of content.
type rates struct{ wire, read float64 }

func (after traffic) per(before traffic, bytes int64) rates {
	return rates{float64(after.wire-before.wire) / float64(bytes), float64(after.read-before.read) / float64(bytes)}
}

// moment is when a process is killed: when so much is done, or after so long.
type moment struct {
	done  int64
	after time.Duration // used if > 0
}

// moments calls f with random moments, most of them spread over the content and every fourth in the
// time that a start takes, when what is there is looked at. It returns true as soon as
// f does: the work was done before its kill.
func moments(t *testing.T, rng *rand.Rand, f func(*moment) bool, size int64, took time.Duration) bool {
	t.Helper()
	var marks []int64
	for range kills {
		marks = append(marks, rng.Int64N(size*97/100))
	}
	slices.Sort(marks)
	for i, mark := range marks {
		m := &moment{done: mark}
		if i%4 == 3 {
			m.after = 1 + time.Duration(rng.Int64N(int64(took)/10))
		}
		if f(m) {
			t.Logf("done before kill %d", i+1)
			return true
		}
	}
	return false
}

// mustDie kills the process at the moment, unless it ends before.
func (p *process) mustDie(m *moment) {
	p.t.Helper()
	defer func() {
		p.kill()
		if code := p.exit(); code > 0 {
			p.t.Fatalf("%s: exit %d before it was killed: %s", p.name, code, p.errors.String())
		}
	}()
	if m.after > 0 {
		select {
		case <-p.ended:
		case <-time.After(m.after):
		}
		return
	}
	p.find(func(e event) bool { return e.Type == "status" && e.Done >= m.done })
}

// unchanged fails the test if any file of the user's is another than before.
func unchanged(t *testing.T, dir string, before map[string]original) {
	t.Helper()
	after := originals(t, dir)
	for path, was := range before {
		if is := after[path]; is != was {
			t.Errorf("%s: seeding changed it: %+v, was %+v", path, is, was)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files in the seeded folder, were %d", len(after), len(before))
	}
}

// leftovers fails the test if a finished download left anything beside its target.
func leftovers(t *testing.T, target string) {
	t.Helper()
	beside, err := filepath.Glob(target + ".*")
	check(t, err)
	for _, name := range beside {
		t.Errorf("%s was left behind", name)
	}
}
