package sim

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
)

// plain is a link on which nothing is lost: 100 Mbit/s, 20 ms.
var plain = netsim.Link{Delay: 10 * time.Millisecond, Rate: 12.5e6, Queue: 1 << 20}

// Every size around the edges of blocks and trees, by all three kinds of id.
func TestSizesByAllKindsOfID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 5 * time.Millisecond, Rate: 12.5e6, Queue: 1 << 20}})
		defer w.Close()
		s := w.Seeder(node.Config{}, 0, 1, 4095, 4096, 4097, 8192, 12289, 28673, 1<<20+1)
		n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
		for _, c := range s.Contents {
			n.Fetch(c.SHA256())
			n.Fetch(c.BLAKE3())
			n.Fetch(c.TreeID())
		}
	})
}

func contentOf(t *testing.T, data []byte) *Content {
	t.Helper()
	c, err := ContentOf(data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
