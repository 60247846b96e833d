//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKillSeed kills a seed with SIGKILL, ten times while it hashes and ten times while it
// serves, and starts it again on the same port and state: the get that goes on all the
// while ends with equal bytes, and no file of the user's is touched.
func TestKillSeed(t *testing.T) {
	t.Parallel()
	needs(t)
	rng := choices(t)
	dir, state, addr := folder(t), filepath.Join(folder(t), "state"), freePort(t)
	const files = 8
	for i := range files {
		generate(t, filepath.Join(dir, fmt.Sprintf("file-%d", i)), large(t)/files, uint64(100+i))
	}
	before := originals(t, dir)
	begin := func() *process {
		return sharer(t, how{}, "seed", "--json", "--isolated", "--listen", addr, "--state-dir", state, dir)
	}

	took := hashingTime(t, begin(), state)
	for i := range kills / 2 {
		seed := begin()
		after := time.Duration(rng.Int64N(int64(took)))
		select {
		case <-seed.ended:
			t.Fatalf("seed %d ended by itself: %s", i, seed.errors.String())
		case <-time.After(after):
		}
		seed.kill()
		sound(t, seed, state)
	}

	seed := begin()
	seed.wait("ready", isType("ready"))
	target := filepath.Join(folder(t), "copies")
	copies := map[string]string{} // hex, which names the copy, to the original
	var list strings.Builder
	for i, e := range seed.all(isType("file")) {
		kind, hex := "blake3/", e.BLAKE3
		if i%2 == 1 {
			kind, hex = "", e.SHA256
		}
		copies[hex] = e.Path
		fmt.Fprintln(&list, kind+hex)
	}
	get := getting(t, how{stdin: list.String()}, "127.0.0.1:0", addr, "-", target+"/", "--progress-interval", "10ms", "-j", "2")
	killServing(t, rng, get, &seed, begin, state)
	get.want(0)
	for hex, path := range copies {
		same(t, filepath.Join(target, hex), path)
	}
	if code := seed.stop(); code != 0 {
		t.Errorf("seed ends with %d", code)
	}
	sound(t, seed, state)
	unchanged(t, dir, before)
}

// hashingTime is how long a first start needs, and starts from nothing again.
func hashingTime(t *testing.T, seed *process, state string) time.Duration {
	t.Helper()
	begun := time.Now()
	seed.wait("ready", isType("ready"))
	took := time.Since(begun)
	seed.kill()
	check(t, os.RemoveAll(state))
	t.Logf("hashing takes %.1fs", took.Seconds())
	return took
}

// killServing kills the seed at ten random marks of what get has done. *seed is the one that
// runs at the end.
func killServing(t *testing.T, rng *rand.Rand, get *process, seed **process, begin func() *process, state string) {
	t.Helper()
	step := large(t) / (kills / 2)
	jobs := map[string]int64{}
	killed := 0
	for i := range int64(kills / 2) {
		mark := i*step + rng.Int64N(step*9/10)
		_, ok := get.find(func(e event) bool {
			if e.Job != "" {
				jobs[e.Job] = max(jobs[e.Job], e.Done, e.Size)
			}
			var done int64
			for _, n := range jobs {
				done += n
			}
			return done >= mark
		})
		if !ok {
			break // it was done before
		}
		(*seed).kill()
		killed++
		sound(t, *seed, state)
		*seed = begin()
		(*seed).wait("ready", isType("ready"))
	}
	t.Logf("the seed was killed %d times while it served", killed)
	if killed < kills/4 {
		t.Errorf("the seed was killed %d times only while it served", killed)
	}
}

// sound fails the test if the seed found its index damaged, or said anything.
func sound(t *testing.T, seed *process, state string) {
	t.Helper()
	if aside, err := filepath.Glob(filepath.Join(state, "*bad*")); err != nil || len(aside) > 0 {
		t.Errorf("the index was moved aside: %v (%v)", aside, err)
	}
	for _, e := range seed.all(func(e event) bool { return e.Type == "warning" || e.Type == "error" }) {
		t.Errorf("seed: %s: %s", e.Type, e.Message)
	}
	if text := seed.errors.String(); text != "" {
		t.Errorf("seed said: %s", text)
	}
}

// freePort is an address that is free now: the system gives the next ones to others first.
func freePort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	check(t, err)
	defer c.Close()
	return c.LocalAddr().String()
}
