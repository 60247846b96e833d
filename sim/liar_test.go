package sim

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
)

// liars are the ways in which one peer misleads. They answer before the honest peer does.
var liars = map[string]func(c *Content) []Behaviour{
	"flips a bit in every block":             func(c *Content) []Behaviour { return []Behaviour{Truth(c), Flip(1, Blocks)} },
	"flips a bit in one block of ten":        func(c *Content) []Behaviour { return []Behaviour{Truth(c), Flip(0.1, Blocks)} },
	"flips a bit in every piece of the tree": func(c *Content) []Behaviour { return []Behaviour{Truth(c), Flip(1, Trees)} },
	"flips a bit in the leaves only":         func(c *Content) []Behaviour { return []Behaviour{Truth(c), Flip(1, Leaves)} },
	"serves a tree of half the height":       func(c *Content) []Behaviour { return []Behaviour{Truth(c), HalfTree(c, false)} },
	"claims half the size, with the tree that fits it": func(c *Content) []Behaviour {
		return []Behaviour{Truth(c), HalfTree(c, true)}
	},
	"answers for another offset":        func(c *Content) []Behaviour { return []Behaviour{Truth(c), OtherOffset()} },
	"gives the bytes of another offset": func(c *Content) []Behaviour { return []Behaviour{Truth(c), OtherBytes(c)} },
	"gives nothing after the first block": func(c *Content) []Behaviour {
		return []Behaviour{Truth(c), Only(func(q Ask) bool { return q.Offset == 0 })}
	},
	"gives little":             func(c *Content) []Behaviour { return []Behaviour{Truth(c), Little(32, Anything)} },
	"gives little of the tree": func(c *Content) []Behaviour { return []Behaviour{Truth(c), Little(32, Trees)} },
	"says one size and then another": func(c *Content) []Behaviour {
		return []Behaviour{Truth(c), ClaimSize(func(size int64, q Ask) int64 { return size + int64(q.N) })}
	},
	"says the size is 1 byte more": func(c *Content) []Behaviour {
		return []Behaviour{Truth(c), ClaimSize(func(size int64, _ Ask) int64 { return size + 1 })}
	},
	"says the size is 1 byte less": func(c *Content) []Behaviour {
		return []Behaviour{Truth(c), ClaimSize(func(size int64, _ Ask) int64 { return size - 1 })}
	},
	"says the size is 0":      claims(0),
	"says the size is 2^50":   claims(1 << 50),
	"says the size is 2^53+1": claims(1<<53 + 1),
	"says the size is 2^62":   claims(1 << 62),
	"says the size is 2^63-1": claims(1<<63 - 1),
}

func claims(size int64) func(*Content) []Behaviour {
	return func(c *Content) []Behaviour {
		return []Behaviour{Truth(c), ClaimSize(func(int64, Ask) int64 { return size })}
	}
}

// A5, A6, A8, A9 of reliability: with each liar answering first and one honest peer
// behind it, the bytes are right, the honest peer is never blamed, the liar costs
// little time and memory.
func TestOneHonestPeerSuffices(t *testing.T) {
	for name, script := range liars {
		for _, kind := range []chunk.Kind{chunk.BLAKE3, chunk.SHA256} {
			dear := name == "gives little" // 32 bytes an answer
			t.Run(name+map[chunk.Kind]string{chunk.BLAKE3: ", blake3", chunk.SHA256: ", sha256"}[kind], func(t *testing.T) {
				if dear && kind == chunk.SHA256 {
					variation(t)
				}
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { besideALiar(t, kind, script) })
			})
			t.Run(name+map[chunk.Kind]string{chunk.BLAKE3: ", blake3", chunk.SHA256: ", sha256"}[kind]+", raw", func(t *testing.T) {
				if dear {
					variation(t)
				}
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					besideALiar(t, kind, func(c *Content) []Behaviour { return append(script(c), Raw()) })
				})
			})
		}
	}
}

func besideALiar(t *testing.T, kind chunk.Kind, script func(*Content) []Behaviour) {
	w := New(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond, Rate: 12.5e6, Queue: 1 << 20}})
	defer w.Close()
	honest := w.Seeder(node.Config{}, 1_000_000)
	c := honest.Contents[0]
	liar := w.Evil(script(c)...)
	n := w.Node(node.Config{})
	w.SetLink(n.At.Addr(), liar.At.Addr(), netsim.Link{Delay: time.Millisecond, Rate: 12.5e6, Queue: 1 << 20})
	n.Give(liar.At, honest.At)
	got, ok := n.Fetch(c.ID(kind)) // the bytes are compared there
	if !ok {
		return
	}
	if liar.Lies() == 0 && kind == chunk.BLAKE3 {
		t.Error("the liar was never asked for what it lies about")
	}
	if n.Banned(honest.At) {
		t.Error("the honest peer is banned")
	}
	// Alone the honest peer needs some 0.2 s. A liar may delay by one turn of
	// three seconds; a silent one by its timeouts; under sha256 each wrong whole costs a pass.
	if bar := map[chunk.Kind]time.Duration{chunk.BLAKE3: 8 * time.Second, chunk.SHA256: 10 * time.Second}[kind]; got.Duration > bar {
		t.Errorf("it took %v, want at most %v", got.Duration, bar)
	}
}

// What is forged in the name of a peer before it has proven itself costs it nothing.
func TestForgedAnswersDoNotBan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 50 * time.Millisecond, Rate: 12.5e6, Queue: 1 << 20}})
		defer w.Close()
		s := w.Seeder(node.Config{}, 1_000_000)
		n := w.Node(node.Config{})
		forger := w.Evil(Behaviour{Name: "forge", Run: func(e *Evil) {
			for i := 0; i < 100 && e.Sleep(5*time.Millisecond); i++ {
				e.ForgeContent(s.At, n.At, s.Contents[0].BLAKE3(), make([]byte, 64), 4096*7)
			}
		}})
		n.Give(s.At)
		n.Fetch(s.Contents[0].BLAKE3())
		if forger.Lies() < 10 {
			t.Errorf("only %d datagrams were forged", forger.Lies())
		}
		if n.Banned(s.At) {
			t.Error("the honest peer is banned")
		}
	})
}

// A link with both hashes is served by a node that knows sha256 only.
func TestOtherHashOfALink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		c := w.Seeder(node.Config{}, 100_000).Contents[0]
		small := w.Evil(Truth(c), Only(func(q Ask) bool { return q.ID.Kind == chunk.SHA256 }))
		n := w.Node(node.Config{Peers: []netip.AddrPort{small.At}})
		if _, err := n.Get(t.Context(), node.Get{ID: c.BLAKE3(), Also: c.SHA256(), Size: -1, Path: w.Path("got"), FindTimeout: 10 * time.Second}); err != nil {
			t.Error(err)
		}
	})
}
