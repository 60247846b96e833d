package sim

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/seed"
)

// Each test here is a fault that was found once.

// Many peers without the content must not keep the one that has it from being asked.
func TestManySilentPeers(t *testing.T) {
	t.Parallel()
	const silent = 210 // more than a download keeps peers
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		s := w.Seeder(node.Config{}, 1_000_000)
		n := w.Node(node.Config{})
		for range silent {
			n.Give(w.Evil(Silent()).At)
		}
		time.Sleep(30 * time.Second) // all are proven, and asked first
		go func() {
			time.Sleep(5 * time.Second)
			n.Give(s.At)
		}()
		n.Fetch(s.Contents[0].BLAKE3())
	})
}

// A holder that was partial and is complete now is asked for the rest.
func TestPartialHolderThatCompletes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		s := w.Seeder(node.Config{Up: 1_000_000}, 8_000_000)
		id := s.Contents[0].BLAKE3()
		a := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
		b := w.Node(node.Config{Peers: []netip.AddrPort{s.At, a.At}})
		done := make(chan bool)
		go func() {
			_, ok := a.Fetch(id)
			done <- ok
		}()
		go func() {
			time.Sleep(4 * time.Second)
			w.SetLink(s.At.Addr(), b.At.Addr(), netsim.Link{Down: true}) // the seeder is gone for b
		}()
		b.Fetch(id)
		<-done
	})
}

// A Get of what this node seeds does not hide it from others.
func TestGetDoesNotHideWhatIsSeeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		s := w.Seeder(node.Config{}, 1_000_000)
		id := s.Contents[0].BLAKE3()
		n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
		go func() {
			if got, err := s.Get(t.Context(), node.Get{ID: id, Size: -1, Path: w.Path("own")}); err != nil || got.Fetched > 0 {
				t.Errorf("%d bytes of what is here were fetched, %v", got.Fetched, err)
			}
		}()
		w.Rest()
		n.Fetch(id)
	})
}

// Close waits for what runs.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		n := w.Node(node.Config{StateDir: w.Path("state")})
		ended := false
		path := w.Path("got")
		go func() {
			_, _ = n.Get(t.Context(), node.Get{ID: chunk.ID{Kind: chunk.BLAKE3}, Size: -1, Path: path})
			ended = true
		}()
		w.Rest()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		w.Rest()
		if !ended {
			t.Error("a Get goes on after Close")
		}
		if _, err := n.Seed(t.Context(), seed.Options{Paths: []string{filepath.Dir(path)}}, nil); err == nil {
			t.Error("a closed node seeds")
		}
	})
}

// A target may have the longest name that a file system takes.
func TestLongestName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: time.Millisecond}})
		defer w.Close()
		s := w.Seeder(node.Config{}, 10_000)
		n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
		for _, name := range []string{strings.Repeat("n", 255), strings.Repeat("ä", 127) + "x", strings.Repeat("n", 244)} {
			path := w.Path(name)
			if _, err := n.Get(t.Context(), node.Get{ID: s.Contents[0].BLAKE3(), Size: -1, Path: path}); err != nil {
				t.Fatalf("%d bytes of name: %v", len(name), err)
			}
			entries, err := os.ReadDir(filepath.Dir(path))
			if err != nil || len(entries) != 1 || entries[0].Name() != name {
				t.Errorf("%d bytes of name: %v (%v)", len(name), entries, err)
			}
		}
	})
}
