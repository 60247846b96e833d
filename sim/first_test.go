package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
)

// From a new peer the first verified byte of a file is here a good two round trips after the first datagram to it: one for cookie
// and size, one for the path of the first block, that of the last one, and both blocks, which prove byte and size. They fit the
// first window, of a peer that speaks raw as of one that knows nothing but PleaseSendContent.
func TestFirstVerifiedByte(t *testing.T) {
	for _, bytes := range []int{size(64<<20, 1<<30) - 1000, 200_000} {
		c, err := randomContent(rand.New(rand.NewPCG(1, 2)), bytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, rtt := range []time.Duration{20, 100, 300, 800} {
			for _, deployed := range []bool{false, true} {
				rtt := rtt * time.Millisecond
				var peer []Behaviour // a node of ours
				if deployed {
					peer = Deployed(c)
				}
				t.Run(fmt.Sprint(bytes, rtt, " deployed ", deployed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						if took := firstByte(t, c, netsim.Link{Delay: rtt / 2, Rate: 125e6, Queue: 64 << 20}, peer...); took > 2.3 {
							t.Errorf("the first verified byte is here %.2f round trips after the first datagram, want 2.3", took)
						}
					})
				})
			}
		}
	}
}

// Where packets are lost, what is missing of the path is asked for again, or comes with the pieces.
func TestFirstVerifiedByteWithLoss(t *testing.T) {
	c, err := randomContent(rand.New(rand.NewPCG(1, 2)), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		if took := firstByte(t, c, netsim.Link{Delay: 50 * time.Millisecond, Rate: 125e6, Queue: 64 << 20, Loss: 0.05}); took > 25 {
			t.Errorf("it is here after %.2f round trips, want 25", took)
		}
	})
}

// A peer that answers no question for so little of a tree, and one that answers it wrongly, cost the time that the pieces take: they are
// asked for in any case.
func TestFirstVerifiedByteWithoutPaths(t *testing.T) {
	c, err := randomContent(rand.New(rand.NewPCG(1, 2)), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	nodes := func(q Ask) bool { return q.ID.Kind == chunk.BLAKE3Tree && q.Length <= 832 }
	for name, b := range map[string]Behaviour{
		"silent": Only(func(q Ask) bool { return !nodes(q) }),
		"wrong":  Flip(1, nodes),
		"short":  change("short", nodes, func(_ *Evil, _ Ask, a *Answer) bool { a.Data = a.Data[:32]; return true }),
		"empty":  change("empty", nodes, func(_ *Evil, _ Ask, a *Answer) bool { a.Data = nil; return true }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if took := firstByte(t, c, netsim.Link{Delay: 50 * time.Millisecond, Rate: 125e6, Queue: 64 << 20}, Truth(c), b); took > 5 {
					t.Errorf("it is here after %.2f round trips, want 5", took)
				}
			})
		})
	}
}

// firstByte is how many round trips after the first datagram to a peer that was never met, and does so or is one of ours, a reader has the
// first byte.
func firstByte(t *testing.T, c *Content, link netsim.Link, peer ...Behaviour) (trips float64) {
	w := New(t, Options{Link: link})
	defer w.Close()
	var at netip.AddrPort
	if len(peer) > 0 {
		w.Know(c)
		at = w.Evil(peer...).At
	} else {
		at = w.SeederOf(node.Config{}, c).At
	}
	begun := time.Time{}
	w.OnPacket(func(p netsim.Packet) {
		if begun.IsZero() && p.Outcome == netsim.Sent && p.To == at {
			begun = p.At
		}
	})
	n := w.Node(node.Config{StateDir: w.Path("state"), Peers: []netip.AddrPort{at}})
	rd := open(t, n, node.OpenRequest{ID: c.BLAKE3(), Size: -1})
	var b [1]byte
	if _, err := io.ReadFull(rd, b[:]); err != nil || b[0] != c.Data[0] {
		t.Fatalf("byte %x, %v", b, err)
	}
	trips = time.Since(begun).Seconds() / (2 * link.Delay).Seconds()
	t.Logf("%.2f round trips", trips)
	if err := rd.Close(); err != nil {
		t.Error(err)
	}
	return trips
}
