package node

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/deny"
	"sharer/seed"
	"sharer/wire"
)

// TestDenied: what is denied by either id is not found, listed, told of, or fetched, as long as the list says so.
func TestDenied(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("what is not wanted"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := Start(Config{Listen: []string{"127.0.0.1:0"}, Isolated: true, StateDir: filepath.Join(dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var sums chunk.Sums
	_, err = n.Seed(t.Context(), seed.Options{Paths: []string{file}}, func(e seed.Event) {
		if e.Kind == seed.FileDone {
			c := e.File.Content
			sums = chunk.Sums{SHA256: c.SHA256, BLAKE3: c.BLAKE3, Size: c.Size}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b3, sha := chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}, chunk.ID{Kind: chunk.SHA256, Hash: sums.SHA256}
	tree := chunk.ID{Kind: chunk.BLAKE3Tree, Hash: sums.BLAKE3}
	asker := netip.MustParseAddrPort("127.0.0.1:1")
	n.swarm.Holders.Add(b3, netip.MustParseAddrPort("127.0.0.1:2"))
	check := func(denied bool) {
		t.Helper()
		for _, id := range []chunk.ID{b3, sha, tree} {
			if _, found := n.library.Find(id); found == denied {
				t.Errorf("%v is found: %v", id, found)
			}
		}
		if told := n.library.list(wire.Sender{Addr: asker, Proven: true, Room: 1 << 20}, wire.Element{}); (len(told) == 0) != denied {
			t.Errorf("listed: %v", told)
		}
		_, err := n.Get(t.Context(), Get{ID: sha, Size: -1, Path: file})
		if denied != errors.Is(err, ErrDenied) {
			t.Errorf("fetched: %v", err)
		}
	}
	check(false)
	for _, e := range []deny.Entry{{Kind: deny.Content, ID: b3}, {Kind: deny.Content, ID: sha}} {
		if err := n.Deny().Add(e, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
		if e.ID == sha {
			check(true)
		} else if told := (holders{n.swarm.Holders, n.deny}).Tell(b3, asker, 8, time.Time{}); len(told) > 0 {
			t.Errorf("told of holders: %v", told)
		} else if _, found := n.library.Find(sha); found {
			t.Error("found by the other id")
		}
		if _, err := n.Deny().Remove(e, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
		check(false)
	}
	peer := deny.Entry{Kind: deny.Peer, Peer: netip.MustParsePrefix("192.0.2.0/24")}
	if err := n.Deny().Add(peer, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if ok, _ := (peers{n.swarm, n.deny}).MayRequest(netip.MustParseAddrPort("192.0.2.1:9"), time.Now()); ok || !n.deniesPeer(netip.MustParseAddrPort("192.0.2.1:9")) {
		t.Error("a denied peer is asked")
	}
}
