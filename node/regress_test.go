package node

import (
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/seed"
	"sharer/wire"
)

// Each test here is a fault that was found once.

var plain = netsim.Link{Delay: 10 * time.Millisecond, Rate: 12.5e6, Queue: 1 << 20}

func silent(*evil, wire.PleaseSendContent, chunk.ID) []wire.Content { return nil }

func TestStartThatFailsSaysSo(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	for range 2 { // the second time shows that the first let go of the state folder
		if _, err := Start(Config{Listen: []string{"no address"}, StateDir: state}); err == nil {
			t.Fatal("listening on no address worked")
		}
	}
}

// Many peers without the content must not keep the one that has it from being asked.
func TestManySilentPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plain)
		defer w.close()
		_, honest, contents := w.seeder(Config{}, 1_000_000)
		n, _ := w.start(Config{})
		for range maxSilent {
			e := w.evil(silent)
			defer e.close()
			n.swarm.Give(e.at)
		}
		time.Sleep(30 * time.Second) // all are proven, and asked first
		go func() {
			time.Sleep(5 * time.Second)
			n.swarm.Give(honest)
		}()
		fetch(t, n, contents[0].blake3(), contents[0].data)
	})
}

// maxSilent is more than a download keeps peers.
const maxSilent = 210

// A holder that was partial and is complete now is asked for the rest.
func TestPartialHolderThatCompletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plain)
		defer w.close()
		_, seeder, contents := w.seeder(Config{Up: 1_000_000}, 8_000_000)
		a, aAt := w.start(Config{Peers: []netip.AddrPort{seeder}})
		b, bAt := w.start(Config{Peers: []netip.AddrPort{seeder, aAt}})
		dir := t.TempDir()
		done := make(chan error)
		go func() {
			_, err := a.Get(t.Context(), Get{ID: contents[0].blake3(), Size: -1, Path: filepath.Join(dir, "a")})
			done <- err
		}()
		go func() {
			time.Sleep(4 * time.Second)
			w.SetLink(seeder.Addr(), bAt.Addr(), netsim.Link{Down: true}) // the seeder is gone for b
		}()
		fetch(t, b, contents[0].blake3(), contents[0].data)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// What is forged in the name of a peer before it has proven itself costs it nothing.
func TestForgedAnswersDoNotBan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, netsim.Link{Delay: 50 * time.Millisecond, Rate: 12.5e6, Queue: 1 << 20})
		defer w.close()
		_, honest, contents := w.seeder(Config{}, 1_000_000)
		c := contents[0]
		n, at := w.start(Config{})
		go func() {
			forged := wire.AppendArray(nil, wire.Content{ID: []byte(c.blake3().String()), Data: make([]byte, 64), EOF: 4096 * 7})
			for range 100 {
				time.Sleep(5 * time.Millisecond)
				w.Inject(honest, at, forged)
			}
		}()
		n.swarm.Give(honest)
		fetch(t, n, c.blake3(), c.data)
		if n.swarm.Table.Banned(honest, time.Now()) {
			t.Error("the honest peer is banned")
		}
	})
}

// A link with both hashes is served by a node that knows sha256 only.
func TestOtherHashOfALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plain)
		defer w.close()
		_, _, contents := w.seeder(Config{}, 100_000)
		c := contents[0]
		small := w.evil(func(e *evil, m wire.PleaseSendContent, id chunk.ID) []wire.Content {
			if id.Kind != chunk.SHA256 {
				return nil
			}
			return []wire.Content{truth(c, nil, m, id)}
		})
		defer small.close()
		n, _ := w.start(Config{Peers: []netip.AddrPort{small.at}})
		if _, err := n.Get(t.Context(), Get{ID: c.blake3(), Also: c.sha256(), Size: -1, Path: filepath.Join(t.TempDir(), "got"), FindTimeout: 10 * time.Second}); err != nil {
			t.Error(err)
		}
	})
}

// Peers that have nothing to give take nothing of the limit.
func TestLimitIsForThoseWhoGive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plain)
		defer w.close()
		_, at, contents := w.seeder(Config{}, 2_000_000)
		c := contents[0]
		given := []netip.AddrPort{at}
		for range 20 {
			e := w.evil(func(e *evil, m wire.PleaseSendContent, id chunk.ID) []wire.Content {
				a := truth(c, nil, m, id)
				a.Have = []wire.Range{{From: 0, To: 4096}} // and no more
				return []wire.Content{a}
			})
			defer e.close()
			given = append(given, e.at)
		}
		n, _ := w.start(Config{Peers: given, Down: 500_000})
		if got := fetch(t, n, c.blake3(), c.data); got.Duration > 9*time.Second {
			t.Errorf("it took %v; at the limit it takes 5.6 s", got.Duration)
		}
	})
}

// A Get of what this node seeds does not hide it from others.
func TestGetDoesNotHideWhatIsSeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plain)
		defer w.close()
		s, at, contents := w.seeder(Config{}, 1_000_000)
		n, _ := w.start(Config{Peers: []netip.AddrPort{at}})
		go func() {
			// It finds nobody; Close ends it.
			if _, err := s.Get(t.Context(), Get{ID: contents[0].blake3(), Size: -1, Path: filepath.Join(t.TempDir(), "own")}); err == nil {
				t.Error("it was fetched from nobody")
			}
		}()
		synctest.Wait()
		fetch(t, n, contents[0].blake3(), contents[0].data)
	})
}

// Close waits for what runs.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plain)
		defer w.close()
		n, _ := w.start(Config{StateDir: filepath.Join(t.TempDir(), "state")})
		ended := false
		dir := t.TempDir()
		go func() {
			_, _ = n.Get(t.Context(), Get{ID: chunk.ID{Kind: chunk.BLAKE3}, Size: -1, Path: filepath.Join(dir, "got")})
			ended = true
		}()
		synctest.Wait()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if !ended {
			t.Error("a Get goes on after Close")
		}
		if _, err := n.Seed(t.Context(), seed.Options{Paths: []string{dir}}, nil); err == nil {
			t.Error("a closed node seeds")
		}
		w.nodes = nil
	})
}
