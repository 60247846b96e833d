package sim

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// content draws one and tells the checkers.
func (w *World) content(size int) *Content {
	w.t.Helper()
	c, err := randomContent(w.Rand(), size)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Know(c)
	return c
}

// quickly fetches an id, which may take so long.
func quickly(t *testing.T, n *Host, id chunk.ID, most time.Duration) {
	t.Helper()
	start := time.Now()
	n.Fetch(id)
	if took := time.Since(start); took > most {
		t.Errorf("%s took %v, want %v at most", id, took, most)
	}
}

// A small node answers pings, by which it is proven, and returns no cookie with content: it is fetched from all the same.
func TestPeerWithoutCookies(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 4096, 4097, 300_000} {
		synctest.Test(t, func(t *testing.T) {
			w := New(t, Options{Link: plain})
			defer w.Close()
			c := w.content(size)
			e := w.Evil(Truth(c), Mute())
			n := w.Node(node.Config{Peers: []netip.AddrPort{e.At}})
			time.Sleep(time.Second) // it is proven before it is asked
			quickly(t, n, c.SHA256(), 5*time.Second)
		})
	}
}

// Who gives little to strangers, ignores some of their questions and has no answer for too many at once is fetched from.
func TestDeployedPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		c := w.content(300_000)
		e := w.Evil(Deployed(c)...)
		nodes := 0
		for ; nodes < 100 && (e.Count("little") == 0 || e.Count("ignored") == 0); nodes++ {
			n := w.Node(node.Config{Peers: []netip.AddrPort{e.At}})
			kind := []chunk.Kind{chunk.SHA256, chunk.BLAKE3}[nodes%2]
			quickly(t, n, c.ID(kind), 10*time.Second)
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
		t.Logf("%d nodes: little %d, ignored %d, several %d", nodes, e.Count("little"), e.Count("ignored"), e.Count("several"))
		if e.Count("little") == 0 || e.Count("ignored") == 0 {
			t.Error("it gave to strangers as to friends")
		}
		if k := e.Count("too much"); k > 0 {
			t.Errorf("%d datagrams asked for more than one can answer", k)
		}
		// It would have been counted.
		ask := make([]wire.Message, 12)
		for i := range ask {
			ask[i] = wire.PleaseSendContent{ID: []byte(c.BLAKE3().String()), Offset: int64(i) * chunk.BlockSize, Length: chunk.BlockSize}
		}
		stranger := w.Addr()
		ask = append(ask, wire.AlwaysReturned{Value: e.own(stranger)})
		w.Inject(stranger, e.At, wire.AppendArray(nil, ask...))
		time.Sleep(time.Second)
		if e.Count("too much") != 1 {
			t.Error("twelve blocks in one datagram are not too much for it")
		}
	})
}

// Who knows others that may have it is no source, and leads to one. Content that comes along with such a hint is taken.
func TestHints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		s := w.Seeder(node.Config{}, 300_000)
		nobody := w.Addr()
		e := w.Evil(Elsewhere(nobody, s.At))
		n := w.Node(node.Config{Peers: []netip.AddrPort{e.At}})
		quickly(t, n, s.Contents[0].BLAKE3(), 15*time.Second)
		if e.Count("elsewhere") == 0 {
			t.Error("it did not say who else may have it")
		}

		c := w.content(300_000)
		h := w.Evil(Truth(c), Hints(nobody))
		n = w.Node(node.Config{Peers: []netip.AddrPort{h.At}})
		quickly(t, n, c.BLAKE3(), 10*time.Second)
		if h.Count("instead") == 0 || h.Count("hints") == 0 {
			t.Errorf("%d hints instead of content, %d with it", h.Count("instead"), h.Count("hints"))
		}
	})
}

// Addresses that are of use to their teller alone are skipped, and those between them are not.
func TestUselessAddresses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		good := w.Node(node.Config{})
		e := w.Evil(Tells("127.0.0.1:24254", "[fe80::1%7]:24254", "[fe80::1]:24254", "192.168.1.7:24254", "224.0.0.1:24254", "example.org:24254", "", good.At.String(), "[::1]:24254"))
		var mu sync.Mutex
		sent := map[netip.Addr]bool{}
		n := w.Node(node.Config{Peers: []netip.AddrPort{e.At}})
		w.OnPacket(func(p netsim.Packet) {
			mu.Lock()
			defer mu.Unlock()
			if p.From == n.At {
				sent[p.To.Addr()] = true
			}
		})
		time.Sleep(2 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if e.Count("tells") == 0 || !sent[good.At.Addr()] {
			t.Errorf("told %d times, sent to %v", e.Count("tells"), sent)
		}
		for a := range sent {
			if a != e.At.Addr() && a != good.At.Addr() {
				t.Errorf("sent to %s", a)
			}
		}
		for _, p := range n.Peers() {
			if !slices.Contains([]netip.AddrPort{e.At, good.At}, p.Addr) {
				t.Errorf("%s is kept", p.Addr)
			}
		}
	})
}

// One that asks for one block for ever costs its seeder next to nothing, and those who fetch meanwhile nothing.
func TestLoop(t *testing.T) {
	t.Parallel()
	fetch := func(t *testing.T, loops bool) (took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			w := New(t, Options{Link: netsim.Link{Delay: 100 * time.Microsecond, Rate: 1e6, Queue: 1 << 17, MTU: 1500}})
			defer w.Close()
			s := w.Seeder(node.Config{Up: 1_000_000}, chunk.BlockSize, 8_000_000)
			if loops {
				e := w.Evil(Loops(s.At, s.Contents[0].BLAKE3()))
				const span = 10
				time.Sleep(span * time.Second)
				// A second more than they are, for that which begins with the first answer.
				if k := e.Count("loop"); k < span*10 || k > (span+2)*20 {
					t.Errorf("%d answers in %d s", k, span)
				}
				if s.Stats().Uploads.Repeated == 0 {
					t.Error("nothing was repeated too often")
				}
			} else {
				time.Sleep(10 * time.Second)
			}
			n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
			start := time.Now()
			n.Fetch(s.Contents[1].BLAKE3())
			took = time.Since(start)
		})
		return took
	}
	alone, meanwhile := fetch(t, false), fetch(t, true)
	// Sixteen answers a second are a tenth of this link.
	if meanwhile > alone*115/100 {
		t.Errorf("8 MB take %v while another one loops, %v without", meanwhile, alone)
	}
}

// What the peers here do by habit is what was recorded of the best-known node.
func TestHabitsAreThoseRecorded(t *testing.T) {
	t.Parallel()
	compared := 0
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: time.Millisecond}})
		defer w.Close()
		data := make([]byte, 100_000)
		for i := range data {
			data[i] = byte(i % 251)
		}
		c := contentOf(t, data)
		asker := netip.MustParseAddrPort("20.77.0.9:24254")
		for _, x := range recorded(t, "habits.jsonl") {
			var got [][]byte
			var mu sync.Mutex
			answers := func() [][]byte {
				mu.Lock()
				defer mu.Unlock()
				return slices.Clone(got)
			}
			for range 5 { // one in 27 is ignored
				e := w.Evil(append(Deployed(c), Elsewhere(netip.MustParseAddrPort("20.77.0.3:24254")), Tells("127.0.0.1:24254", "[fe80::1%7]:24254"))...)
				w.Tap(func(p netsim.Packet) {
					mu.Lock()
					defer mu.Unlock()
					if p.From == e.At {
						got = append(got, append([]byte(nil), p.Data...))
					}
				})
				request := x.Request
				if x.Verified {
					request = strings.Replace(request, `{"cookie":"5afa97d4"}`, string(e.own(asker)), 1)
				}
				w.Inject(asker, e.At, []byte(request))
				time.Sleep(time.Second)
				if len(answers()) > 0 {
					break
				}
			}
			var want []string
			if x.Reply != nil {
				want = meaning(t, []byte(*x.Reply))
			}
			if g := meaning(t, answers()...); !slices.Equal(g, want) {
				t.Errorf("%s:\n got %.300q\nwant %.300q", x.What, g, want)
			}
			compared++
		}
	})
	if compared < 5 {
		t.Errorf("only %d habits were compared", compared)
	}
}

// Who gets a content in order and says no ranges gives it on while it arrives.
func TestPeerThatFetchesInOrder(t *testing.T) {
	t.Parallel()
	const size, rate = 8_000_000, 1_000_000
	for name, grown := range map[string]Grown{
		"from its beginning":      {Rate: rate},
		"while it is under way":   {Rate: rate, Begin: 300_000},
		"without its first block": {Rate: rate, Begin: 300_000, Lost: 1},
		"without its first 64":    {Rate: rate, Begin: 1_300_000, Lost: 64 * chunk.BlockSize},
	} {
		for seed := range uint64(5) { // of where a download begins
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := New(t, Options{Link: plain, Seed: 1 + seed})
					defer w.Close()
					c := w.content(size)
					e := w.Evil(Truth(c), Grows(grown), Elsewhere(w.Addr()))
					n := w.Node(node.Config{Peers: []netip.AddrPort{e.At}})
					arrived := make(chan struct{})
					go func() {
						defer close(arrived)
						quickly(t, n, c.BLAKE3(), 12*time.Second)
					}()
					time.Sleep(6 * time.Second)
					if s := n.Stats(); len(s.Downloads) != 1 || s.Downloads[0].Done < 2*rate {
						t.Errorf("after six seconds, in which the peer had got six million bytes: %+v", s.Downloads)
					}
					<-arrived
					if e.Count("beyond") == 0 || grown.Lost > 0 && e.Count("lost") == 0 {
						t.Error("it had everything")
					}
				})
			})
		}
	}
}

// Who asks in order, and again when nothing comes, gets a content while it arrives here: an eighth at least, and without the
// download going where it asks nothing at all in some of these worlds.
func TestPeerThatAsksInOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			w := New(t, Options{Link: plain, Seed: 1 + seed})
			defer w.Close()
			s := w.Seeder(node.Config{Up: 1_000_000}, 8_000_000)
			c := s.Contents[0]
			n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
			e := w.Evil(InOrder(n.At, c))
			start := time.Now()
			n.Fetch(c.BLAKE3())
			took := time.Since(start)
			if got := e.Count("got"); int64(got)*chunk.BlockSize < c.Size()/8 {
				t.Errorf("%d blocks of %d came while it arrived, in %v", got, c.Size()/chunk.BlockSize, took)
			}
			if e.Count("again") == 0 {
				t.Error("it never asked in vain")

			}
		})
	}
}
