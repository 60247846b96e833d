package sim

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// readsEverywhere opens a content of 8 MiB, reads a byte here and there, and then all of it, from peers that hold and say what they like of it.
func readsEverywhere(t *testing.T, most time.Duration, peers func(c *Content) [][]Behaviour) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 10 * time.Millisecond, Rate: 25e6, Queue: 4 << 20}})
		defer w.Close()
		c, err := randomContent(rand.New(rand.NewPCG(1, 2)), 8<<20-1000)
		if err != nil {
			t.Fatal(err)
		}
		w.Know(c)
		var given []netip.AddrPort
		for _, bs := range peers(c) {
			at := w.Evil(append([]Behaviour{Truth(c)}, bs...)...).At
			given = append(given, at)
		}
		n := w.Node(node.Config{StateDir: w.Path("state"), Peers: given})
		began := time.Now()
		rd := open(t, n, node.OpenRequest{ID: c.BLAKE3(), Size: -1})
		for _, part := range []float64{0, 0.5, 0.3, 0.9, 0.7} {
			began := time.Now()
			readAt(t, rd, c, int64(part*float64(c.Size())), 1)
			t.Logf("the first byte at %.0f %% took %v", 100*part, time.Since(began))
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the first byte at %.0f %% took %v", 100*part, took)
			}
		}
		if _, err := rd.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		readAt(t, rd, c, 0, int(c.Size()))
		if took := time.Since(began); took > most {
			t.Errorf("all of it took %v", took)
		} else {
			t.Logf("all of it took %v", took)
		}
		if err := rd.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Where nobody can give all of a path, or who gives it gives some of it only, the pieces of the tree are asked for: nothing waits for it.
func TestPathsThatNobodyGives(t *testing.T) {
	nodes := func(q Ask) bool { return q.ID.Kind == chunk.BLAKE3Tree && q.Length <= 832 }
	half := func(c *Content, from, to int64) []Behaviour {
		return []Behaviour{Holds(wire.Range{From: from, To: to}), Only(func(q Ask) bool {
			return q.ID.Kind == chunk.BLAKE3Tree || q.Offset == 0 || q.Offset >= from && q.Offset < to
		})}
	}
	for name, peers := range map[string]func(c *Content) [][]Behaviour{
		"halves": func(c *Content) [][]Behaviour {
			return [][]Behaviour{half(c, 0, 4<<20), half(c, 4<<20, c.Size())}
		},
		"some short": func(*Content) [][]Behaviour {
			return [][]Behaviour{{change("short", nodes, func(e *Evil, q Ask, a *Answer) bool {
				if e.Draw(4) > 0 {
					return false
				}
				a.Data = a.Data[:32]
				return true
			})}, nil}
		},
		"the top late, and one short": func(*Content) [][]Behaviour {
			once := true
			return [][]Behaviour{{change("late", nodes, func(_ *Evil, q Ask, a *Answer) bool {
				if q.Offset == 64 {
					a.After = 5 * time.Millisecond
				} else if once {
					once, a.Data = false, a.Data[:32]
				}
				return true
			})}}
		},
		"some wrong": func(*Content) [][]Behaviour { return [][]Behaviour{{Flip(0.1, nodes)}, nil} },
	} {
		t.Run(name, func(t *testing.T) { readsEverywhere(t, 20*time.Second, peers) })
	}
}
