//go:build linux

package e2e

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sharer/control"
)

// daemonKills is how often the daemon is killed: SHARER_E2E_KILLS, else 20.
func daemonKills(t *testing.T) int {
	if text := os.Getenv("SHARER_E2E_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		check(t, err)
		return n
	}
	return 20
}

// daemonAt starts a daemon and waits until it answers. took is how long that was.
func daemonAt(t *testing.T, h how, state string, args ...string) (p *process, c *control.Client, took time.Duration) {
	t.Helper()
	begun := time.Now()
	p = sharer(t, h, append([]string{"daemon", "--json", "--isolated", "--listen", "127.0.0.1:0", "--http", "off", "--state-dir", state}, args...)...)
	if _, ok := p.find(isType("ready")); !ok {
		t.Fatalf("the daemon ends: %s", p.errors.String())
	}
	took = time.Since(begun)
	c, err := control.Dial(t.Context(), state)
	check(t, err)
	t.Cleanup(func() { c.Close() })
	return p, c, took
}

// killed is one run of TestKillDaemon.
type killed struct {
	t        *testing.T
	rng      *rand.Rand
	state    string
	from     string // address of the seed
	links    []string
	original []string
	target   []string

	have   []int64 // of each target, as it was seen last before a kill; -1: it is new
	lost   []int64
	ready  []time.Duration
	whole  int // targets that were finished and compared
	hashed int // kills while a scan ran
}

// TestKillDaemon kills a daemon at random moments of two downloads and a scan: the bytes are equal, the index and what is
// kept open without a repair, and no more than 64 MiB or two seconds are lost each time (D1).
func TestKillDaemon(t *testing.T) {
	t.Parallel()
	needs(t)
	dir, kills := folder(t), daemonKills(t)
	k := &killed{t: t, rng: choices(t), state: t.TempDir()}
	const size = 96 * mib
	for i, name := range []string{"one", "two"} {
		path := filepath.Join(dir, name)
		generate(t, path, size, uint64(20+i))
		k.original = append(k.original, path)
		k.target = append(k.target, filepath.Join(dir, "copy-"+name))
		k.have = append(k.have, -1)
	}
	shared := filepath.Join(dir, "shared")
	check(t, os.Mkdir(shared, 0o755))
	for i := range 8 {
		generate(t, filepath.Join(shared, strconv.Itoa(i)), 8*mib, uint64(30+i))
	}
	before := originals(t, shared)
	seed, addr := seeding(t, how{}, "127.0.0.1:0", k.original[0], k.original[1], "--bwlimit", "24M:off")
	k.from = addr
	for _, path := range k.original {
		k.links = append(k.links, seed.file(path).Link)
	}
	for range kills {
		k.once(shared)
	}
	k.last(shared)
	unchanged(t, shared, before)
	seed.alive()
	k.report(kills)
}

// once starts the daemon, looks what is left, lets it work for a while, and kills it.
func (k *killed) once(shared string) {
	t := k.t
	p, c, took := daemonAt(t, how{}, k.state, "--peer", k.from)
	k.ready = append(k.ready, took)
	k.begin()
	scan := sharer(t, how{}, "seed", "-d", "--rehash", "-q", shared, "--state-dir", k.state)
	for end := time.Now().Add(time.Duration(k.rng.Int64N(int64(1500 * time.Millisecond)))); time.Now().Before(end); {
		k.look(c)
		<-time.After(20 * time.Millisecond)
	}
	select {
	case <-scan.ended:
	default:
		k.hashed++
	}
	check(t, p.cmd.Process.Kill())
	<-p.ended
	<-scan.ended
}

// begin has the daemon fetch what it does not fetch yet.
func (k *killed) begin() {
	for i, target := range k.target {
		if k.have[i] >= 0 {
			continue // it goes on by itself
		}
		d := sharer(k.t, how{}, "get", "-d", k.links[i], "-o", target, "--state-dir", k.state)
		<-d.ended
		if code := d.exit(); code != 0 {
			k.t.Fatalf("get -d: exit %d: %s", code, d.errors.String())
		}
		k.have[i] = 0
	}
}

// look notes how far the downloads are. What is done is compared, and begun anew.
func (k *killed) look(c *control.Client) {
	t := k.t
	items, err := c.Items(t.Context())
	check(t, err)
	for i, target := range k.target {
		for _, it := range items {
			if string(it.Path) != target || it.Kind != "get" {
				continue
			}
			switch {
			case it.State == "failed" || it.State == "paused":
				t.Fatalf("%s is %s: %s", target, it.State, it.Error)
			case it.State == "seeding":
				same(t, target, k.original[i])
				leftovers(t, target)
				_, err := c.Remove(t.Context(), control.Change{What: target, DeleteData: true})
				check(t, err)
				if _, err := os.Stat(target); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("rm --delete-data leaves %s: %v", target, err)
				}
				k.whole++
				k.have[i] = -1
				k.begin()
			case it.Size > 0 && it.State == "downloading":
				if lost := k.have[i] - it.Have; lost > 0 {
					k.lost = append(k.lost, lost)
				}
				k.have[i] = it.Have
			}
		}
	}
}

// last lets all be finished, and ends the daemon as a person would.
func (k *killed) last(shared string) {
	t := k.t
	p, c, _ := daemonAt(t, how{}, k.state, "--peer", k.from)
	k.begin()
	scan := sharer(t, how{}, "seed", "-d", "-q", shared, "--state-dir", k.state)
	<-scan.ended
	if code := scan.exit(); code != 0 {
		t.Errorf("seed: exit %d: %s", code, scan.errors.String())
	}
	for i := range k.target {
		for deadline := time.Now().Add(patience); !k.done(c, i); <-time.After(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a download does not end")
			}
		}
		same(t, k.target[i], k.original[i])
		leftovers(t, k.target[i])
		k.whole++
	}
	begun := time.Now()
	check(t, p.cmd.Process.Signal(syscall.SIGTERM))
	<-p.ended
	if took := time.Since(begun); p.exit() != 0 || took > 3*time.Second {
		t.Errorf("SIGTERM: exit %d after %s: %s", p.exit(), took, p.errors.String())
	}
	entries, err := os.ReadDir(k.state)
	check(t, err)
	for _, e := range entries {
		if strings.Contains(e.Name(), ".bad-") {
			t.Errorf("%s was damaged", e.Name())
		}
	}
}

func (k *killed) done(c *control.Client, i int) bool {
	items, err := c.Items(context.Background())
	check(k.t, err)
	for _, it := range items {
		if string(it.Path) == k.target[i] && it.State == "seeding" {
			return true
		}
	}
	return false
}

func (k *killed) report(kills int) {
	var most int64
	for _, n := range k.lost {
		most = max(most, n)
	}
	slices.Sort(k.ready)
	median, slowest := k.ready[len(k.ready)/2], k.ready[len(k.ready)-1]
	k.t.Logf("%d kills, %d of them while a scan ran; %d downloads were finished and are equal; something was lost %d times, %.1f MiB at most; ready after %s, the slowest after %s",
		kills, k.hashed, k.whole, len(k.lost), float64(most)/mib, median, slowest)
	if most > 64*mib {
		k.t.Errorf("%d bytes were lost, want at most 64 MiB", most)
	}
	if bar := 2 * time.Second; median > bar || slowest > bar && os.Getenv("SHARER_E2E_BARS") == "1" {
		k.t.Errorf("ready after %s, the slowest after %s; want 2s at most", median, slowest)
	}
}

// TestDaemonTwice starts two daemons on one state folder: the second one says which is the first within a second, and
// what a killed one leaves is no obstacle (D11).
func TestDaemonTwice(t *testing.T) {
	needs(t)
	state := t.TempDir()
	p, _, _ := daemonAt(t, how{}, state)
	took := time.Hour
	for try := 0; try < 5 && took > time.Second; try++ { // a busy machine may let one wait
		begun := time.Now()
		second := sharer(t, how{}, "daemon", "--isolated", "--listen", "127.0.0.1:0", "--http", "off", "--state-dir", state)
		<-second.ended
		took = min(took, time.Since(begun))
		if text := second.errors.String(); second.exit() != 11 || !strings.Contains(text, strconv.Itoa(p.cmd.Process.Pid)) || !strings.Contains(text, state) {
			t.Fatalf("exit %d after %s: %s", second.exit(), took, text)
		}
	}
	if t.Logf("exit 11 after %s", took); took > time.Second {
		t.Errorf("exit 11 after %s at best", took)
	}
	// A first one that is stopped answers nobody; its lock still holds.
	check(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	third := sharer(t, how{}, "ls", "--state-dir", state)
	<-third.ended
	if third.exit() != 10 {
		t.Errorf("ls beside a stopped daemon: exit %d: %s", third.exit(), third.errors.String())
	}
	check(t, p.cmd.Process.Kill())
	<-p.ended
	daemonAt(t, how{}, state)
}

// TestDaemonTerminated ends a daemon in the middle of downloads by SIGTERM: within three seconds, with exit 0, and the next one
// goes on; a second signal ends it at once (D14).
func TestDaemonTerminated(t *testing.T) {
	t.Parallel()
	needs(t)
	dir, state, rng := folder(t), t.TempDir(), choices(t)
	path, target := filepath.Join(dir, "content"), filepath.Join(dir, "copy")
	generate(t, path, 64*mib, 41)
	seed, addr := seeding(t, how{}, "127.0.0.1:0", path, "--bwlimit", "16M:off")
	var slowest time.Duration
	for i := range 6 {
		p, c, _ := daemonAt(t, how{}, state, "--peer", addr)
		if i == 0 {
			d := sharer(t, how{}, "get", "-d", seed.file(path).Link, "-o", target, "--state-dir", state)
			<-d.ended
		}
		<-time.After(time.Duration(rng.Int64N(int64(400 * time.Millisecond))))
		begun := time.Now()
		check(t, p.cmd.Process.Signal(syscall.SIGTERM))
		if i == 5 {
			check(t, p.cmd.Process.Signal(syscall.SIGTERM))
		}
		<-p.ended
		took := time.Since(begun)
		slowest = max(slowest, took)
		if code := p.exit(); code != 0 && (i < 5 || code != 143) {
			t.Errorf("exit %d: %s", code, p.errors.String())
		}
		c.Close()
	}
	t.Logf("the slowest end took %s", slowest)
	if slowest > 3*time.Second {
		t.Errorf("an end took %s", slowest)
	}
	_, c, _ := daemonAt(t, how{}, state, "--peer", addr)
	for deadline := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
		items, err := c.Items(t.Context())
		check(t, err)
		if len(items) == 1 && items[0].State == "seeding" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", items)
		}
	}
	same(t, target, path)
	leftovers(t, target)
}
