//go:build linux

package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLoop is what a Rust node does with content of one block under a blake3 id: it asks as fast as it is answered,
// and never has enough. That must cost a seeder next to nothing, and others who fetch from it nothing.
func TestLoop(t *testing.T) {
	needs(t)
	seeder, looping, other := newPlace(t), newPlace(t), newPlace(t)
	wire(seeder, looping, "10.88.1")
	ours, its := wire(seeder, other, "10.88.2")
	const large, span = 64 * mib, 10 * time.Second
	dir := folder(t)
	generate(t, filepath.Join(dir, "one"), block, 11)
	generate(t, filepath.Join(dir, "large"), large, 11)
	s := seeder.seed(":24254", dir)
	known := map[string]ids{}
	for _, e := range s.events("file") {
		known[filepath.Base(e.Path)] = ids{e.SHA256, e.BLAKE3}
	}
	fetch := func(t *testing.T) (best time.Duration, err error) {
		for range 3 {
			took, err := other.with(t).fetch(known["large"].of("blake3"), filepath.Join(dir, "large"), "--isolated", "--listen", its+":0", "--peer", ours+":24254")
			if err != nil {
				return 0, err
			}
			if best == 0 || took < best {
				best = took
			}
		}
		return best, nil
	}
	// load is what the seeder does in a span.
	load := func() (requests, percent float64) {
		before, used := seeder.datagrams(), s.processor()
		<-time.After(span) // what is measured
		return float64(seeder.datagrams()-before) / span.Seconds(), 100 * (s.processor() - used).Seconds() / span.Seconds()
	}
	_, absent := program("SHARER_RUST")
	if absent != nil {
		for _, col := range []string{"the seeder's processor", "another downloader"} {
			cell(t, "Rust asks for one block for ever", col, func(*testing.T) (string, error) { return "", absent })
		}
		return
	}
	alone, err := fetch(t)
	check(t, err)
	r, err := looping.rust()
	check(t, err)
	id := known["one"].of("blake3")
	r.say("/get %s", id)
	if !until(patience, func() bool { return strings.Contains(r.stdout(), "QUEING FILE "+id) }) {
		t.Fatalf("it does not begin: %s", r.stdout())
	}
	cell(t, "Rust asks for one block for ever", "the seeder's processor", func(t *testing.T) (string, error) {
		before := seeder.datagrams()
		if !until(patience, func() bool { return seeder.datagrams()-before > 20 }) {
			return "", fmt.Errorf("it does not loop")
		}
		requests, percent := load()
		note := fmt.Sprintf("%.0f datagrams a second, %.2f %% of a core", requests, percent)
		if percent >= 2 {
			return "", fmt.Errorf("%s, want less than 2", note)
		}
		return note, nil
	})
	cell(t, "Rust asks for one block for ever", "another downloader", func(t *testing.T) (string, error) {
		meanwhile, err := fetch(t)
		if err != nil {
			return "", err
		}
		if !r.running() {
			return "", fmt.Errorf("the Rust node has ended: %s", r.stderr())
		}
		note := fmt.Sprintf("64 MiB in %.2f s, without it %.2f s", meanwhile.Seconds(), alone.Seconds())
		if meanwhile > alone*5/4 {
			return "", fmt.Errorf("%s", note)
		}
		return note, nil
	})
}
