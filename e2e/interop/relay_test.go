//go:build linux

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// chain is three places in a row; the ends have no way to each other, so that the last gets nothing but what the
// middle one gives.
type chain struct {
	first, middle, last *place
	firstIP, middleIP   string // as the next one sees them
}

const lastCable = "10.88.2"

func newChain(t *testing.T) (c chain) {
	t.Helper()
	c.first, c.middle, c.last = newPlace(t), newPlace(t), newPlace(t)
	c.firstIP, _ = wire(c.first, c.middle, "10.88.1")
	c.middleIP, _ = wire(c.middle, c.last, lastCable)
	return c
}

// relayed waits for both files and says how much of the content the last place had verified when the middle one
// got the last of it. Less than the least share is an error.
func relayed(size int64, least float64, middle, last, want string, verified func() int64) (string, error) {
	const most = 2 * time.Minute
	there := func(path string) bool { _, err := os.Stat(path); return err == nil }
	early, begun := int64(0), time.Now()
	if !until(most, func() bool {
		n := verified()
		if there(middle) {
			return true
		}
		early = n
		return false
	}) {
		return "", fmt.Errorf("the middle one has not got it after %v", most)
	}
	took := time.Since(begun)
	if !until(most, func() bool { return there(last) }) {
		return "", fmt.Errorf("the last one has not got it after %v", most)
	}
	for _, got := range []string{middle, last} {
		if err := same(got, want); err != nil {
			return "", err
		}
	}
	share := float64(early) / float64(size)
	note := fmt.Sprintf("%.0f %% were there when the middle one, after %.0f s, had the whole; the end came %.0f s later", 100*share, took.Seconds(), (time.Since(begun) - took).Seconds())
	if share < least {
		return "", fmt.Errorf("only %s", note)
	}
	return note, nil
}

// verified is how many bytes of an id it has written: it makes files with holes.
func (r rust) verified(id string) int64 {
	var st unix.Stat_t
	if unix.Stat(r.file(id), &st) != nil && unix.Stat(filepath.Join(r.dir, "cjp2p", "incoming", id), &st) != nil {
		return 0
	}
	return st.Blocks * 512
}

// verified is how many bytes a get of ours said last that it has, at most a second ago.
func (x *process) verified() int64 {
	all := x.events("status")
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].Done
}

// TestRelays has a node give what it is only about to get.
func TestRelays(t *testing.T) {
	needs(t)
	const size = 8 * mib
	_, absent := program("SHARER_RUST")
	for kind, least := range map[string]float64{
		"sha256": 0, // it is not known before the whole has been checked
		"blake3": 0.25,
	} {
		cell(t, "sharer relays to Rust while it downloads", kind, func(t *testing.T) (string, error) {
			if absent != nil {
				return "", absent
			}
			c := newChain(t)
			path := filepath.Join(folder(t), "content")
			generate(t, path, size, 5)
			e := c.first.seed(c.firstIP+":24254", path).events("file")[0]
			id := ids{e.SHA256, e.BLAKE3}.of(kind)
			got := filepath.Join(folder(t), "got")
			c.middle.sharer("get", id, "-o", got, "--seed", "forever", "--peer", c.firstIP+":24254", "--bwlimit", "off:1M")
			if !until(patience, func() bool { n, _ := c.middle.counted("10.88.1"); return n > mib }) {
				return "", fmt.Errorf("the middle one gets nothing")
			}
			r, err := c.last.rust() // finds the middle one by its broadcast
			if err != nil {
				return "", err
			}
			r.say("/get %s", id)
			return relayed(size, least, got, r.file(id), path, func() int64 { return r.verified(id) })
		})
	}
	// It gives nothing by sha256 before it has checked the whole.
	cell(t, "Rust relays to sharer while it downloads", "blake3", func(t *testing.T) (string, error) {
		if absent != nil {
			return "", absent
		}
		c := newChain(t)
		path := filepath.Join(folder(t), "content")
		generate(t, path, size, 6)
		// No port is named: then the system's broadcasts of the middle one are heard.
		e := c.first.seed(":24254", path, "--bwlimit", "1M:off").events("file")[0]
		id := ids{e.SHA256, e.BLAKE3}.of("blake3")
		r, err := c.middle.rust()
		if err != nil {
			return "", err
		}
		r.say("/get %s", id)
		if !until(patience, func() bool { n, _ := c.middle.counted("10.88.1"); return n > mib }) {
			return "", fmt.Errorf("the middle one gets nothing")
		}
		got := filepath.Join(folder(t), "got")
		x := c.last.sharer("get", id, "-o", got, "--isolated", "--listen", lastCable+".2:0", "--peer", c.middleIP+":"+rustPort)
		return relayed(size, 0.25, r.file(id), got, path, x.verified)
	})
}
