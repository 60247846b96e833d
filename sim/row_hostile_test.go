package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/transfer"
	"sharer/wire"
)

// Rows of peers that lie.
var hostileRows = concat([]row{
	{id: "A4", fault: "a peer asks ten times of what it may get, and drops it", bar: "its cap ± 5 %; others ≥ 80 % of their share", where: "test", run: rowGreedy},
}, poisonRows(), []row{
	{id: "A6", fault: "unrequested, stale and off-path content", bar: "nothing bad stored, nobody banned, ≥ 0.9 of the goodput without", where: "test", run: rowUnrequested},
	{id: "A7", fault: "one of five flips a bit in 1 % of its blocks, under sha256", bar: "right bytes, ≤ 3 passes, honest never banned", where: "test", run: rowUntreed},
	{id: "A8", fault: "lying sizes, answered first", bar: "the honest size wins within 5 s, honest never banned", where: "test", run: rowLies("says the size is 0", "says the size is 2^50", "says the size is 2^53+1", "says the size is 2^62", "says the size is 2^63-1", "says the size is 1 byte more", "says the size is 1 byte less", "says one size and then another", "claims half the size, with the tree that fits it")},
	{id: "A9", fault: "poisoned trees, answered first", bar: "completes within 5 s, honest never banned", where: "test", run: rowLies("flips a bit in every piece of the tree", "flips a bit in the leaves only", "serves a tree of half the height", "claims half the size, with the tree that fits it")},
})

// greedy asks a node for blocks of a content, with its cookie, at a rate, and throws away what comes.
func greedy(at netip.AddrPort, id chunk.ID, blocks int, rate int) Behaviour {
	return Flood(at, rate, func(e *Evil, i int) []byte {
		return e.array(at, wire.PleaseSendContent{ID: []byte(id.String()), Offset: int64(i%blocks) * chunk.BlockSize, Length: chunk.BlockSize})
	})
}

func rowGreedy(t *testing.T, r *result) {
	// The whole is 5 × 1 Mbit/s: a fair share is what each may have at most.
	const peers, each = 4, megabit
	link := netsim.Link{Delay: 20 * time.Millisecond, Rate: 12.5e6, Queue: 250_000, MTU: 1500}
	const from, span = 5 * time.Second, 10 * time.Second
	inBubble(t, Options{Link: link}, func(w *World) {
		s := w.Seeder(node.Config{Up: (peers + 1) * each, UpPerPeer: each}, 8_000_000)
		c := s.Contents[0]
		got := map[netip.AddrPort]float64{}
		w.OnPacket(func(p netsim.Packet) {
			if at := p.At.Sub(w.Start); p.From == s.At && p.Outcome == netsim.Delivered && at >= from && at < from+span {
				got[p.To] += float64(len(p.Data)+wire.HeaderBytes) / span.Seconds()
			}
		})
		evil := w.Evil(greedy(s.At, c.BLAKE3(), len(c.Data)/chunk.BlockSize, 10*each/5700))
		ctx, cancel := context.WithTimeout(w.Context(), from+span+time.Second)
		defer cancel()
		var wg sync.WaitGroup
		var honest []*Host
		for range peers {
			n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
			honest = append(honest, n)
			wg.Go(func() { n.getUntil(ctx, c) })
		}
		wg.Wait()
		r.bar(evil.Count("flood") > 1000, "%d requests", evil.Count("flood"))
		r.bar(got[evil.At] >= 0.95*each && got[evil.At] <= 1.05*each, "the greedy one got %.1f %% of its cap", 100*got[evil.At]/each)
		worst := got[honest[0].At]
		for _, n := range honest {
			worst = min(worst, got[n.At])
		}
		r.bar(worst >= 0.8*each, "others %.0f %% of their share at least", 100*worst/each)
		r.figure("%d requests dropped", s.Stats().Uploads.Dropped)
	})
}

func poisonRows() (out []row) {
	for _, c := range []struct {
		evil int // of ten peers
		rate float64
	}{{1, 0.01}, {5, 0.01}, {9, 1}} {
		out = append(out, row{
			id: fmt.Sprintf("A5/%d", 10*c.evil), fault: fmt.Sprintf("%d %% of ten peers flip a bit in %.0f %% of their blocks", 10*c.evil, 100*c.rate),
			bar: "nothing bad stored (C1); banned after 3 bad blocks, honest never; completes", where: "test",
			run: func(t *testing.T, r *result) { rowPoison(t, r, c.evil, c.rate) },
		})
	}
	return out
}

func rowPoison(t *testing.T, r *result, evil int, rate float64) {
	const peers = 10
	inBubble(t, Options{Link: access}, func(w *World) {
		s := w.Seeder(node.Config{}, size(8_000_000, 64_000_000))
		c := s.Contents[0]
		honest := []*Host{s}
		for range peers - evil - 1 {
			honest = append(honest, w.SeederOf(node.Config{}, c))
		}
		var liars []*Evil
		for range evil {
			liars = append(liars, w.Evil(Truth(c), Flip(rate, Blocks)))
		}
		n := w.Node(node.Config{})
		for _, e := range liars {
			n.Give(e.At)
		}
		for _, h := range honest {
			n.Give(h.At)
		}
		last := w.lastLook(n)
		_, ok := n.Fetch(c.BLAKE3())
		flips, most, free := 0, 0, 0
		for _, e := range liars {
			k := e.Count("flip")
			flips, most = flips+k, max(most, k)
			if k > 3 && !n.Banned(e.At) {
				free++
			}
		}
		r.bar(ok && flips > 0, "%d bits flipped, %d by one", flips, most)
		r.bar(free == 0, "%d of %d liars with more than three bad blocks were not banned", free, evil)
		banned := 0
		for _, h := range honest {
			if n.Banned(h.At) {
				banned++
			}
		}
		r.bar(banned == 0, "%d honest ones banned", banned)
		bad := last()
		r.bar(bad.Bad <= int64(4*evil), // three, and what came before the size was proven and is judged at once
			"%d blocks came bad, %d peers excluded", bad.Bad, bad.Excluded)
	})
}

// lastLook follows the one download of a node; the function ends that and returns what was seen last.
func (w *World) lastLook(n *Host) func() (last transfer.Stats) {
	var last transfer.Stats
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				for _, d := range n.Stats().Downloads {
					last = d.Stats
				}
			}
		}
	}()
	return func() transfer.Stats {
		close(stop)
		<-ended
		return last
	}
}

func rowUntreed(t *testing.T, r *result) {
	inBubble(t, Options{Link: access}, func(w *World) {
		s := w.Seeder(node.Config{}, size(8_000_000, 32_000_000))
		c := s.Contents[0]
		honest := []*Host{s}
		for range 3 {
			honest = append(honest, w.SeederOf(node.Config{}, c))
		}
		// It knows no tree, as nodes with sha256 ids only.
		liar := w.Evil(Truth(c), Only(Blocks), Flip(0.01, Blocks))
		n := w.Node(node.Config{})
		n.Give(liar.At)
		for _, h := range honest {
			n.Give(h.At)
		}
		last := w.lastLook(n)
		got, ok := n.Fetch(c.SHA256())
		r.bar(ok && liar.Count("flip") > 0, "%d bits flipped, %.1f s", liar.Count("flip"), got.Duration.Seconds())
		passes := last().Passes
		r.bar(passes <= 3, "%d passes over the whole", passes)
		banned := 0
		for _, h := range honest {
			if n.Banned(h.At) {
				banned++
			}
		}
		r.bar(banned == 0, "%d honest ones banned", banned)
	})
}

// off is a peer that sends content which nobody asked it for, in its own name and in that of others.
func off(to netip.AddrPort, c *Content, others []netip.AddrPort, rate int) Behaviour {
	return Behaviour{Name: "off", Run: func(e *Evil) {
		for e.Sleep(time.Second / 100) {
			for range rate / 100 {
				at := rand.New(rand.NewPCG(uint64(e.Count("off")), 1))
				id := []byte(c.BLAKE3().String())
				if at.IntN(4) == 0 {
					id = []byte(chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{byte(at.Uint32())}}.String())
				}
				data := make([]byte, chunk.BlockSize)
				m := wire.Content{ID: id, Offset: at.Int64N(int64(len(c.Data))) / chunk.BlockSize * chunk.BlockSize, Data: data, EOF: int64(len(c.Data))}
				e.mu.Lock()
				e.Note("off")
				if k := at.IntN(len(others) + 1); k < len(others) {
					e.w.Inject(others[k], to, wire.AppendArray(nil, m))
				} else {
					e.sendLocked(to, m)
				}
				e.mu.Unlock()
			}
		}
	}}
}

func rowUnrequested(t *testing.T, r *result) {
	run := func(rate int) (took time.Duration, sent int) {
		inBubble(t, Options{Link: plain}, func(w *World) {
			s := w.Seeder(node.Config{}, size(8_000_000, 64_000_000))
			n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
			w.SetLink(s.At.Addr(), n.At.Addr(), netsim.Link{Delay: 10 * time.Millisecond}) // what is forged takes nothing of it
			if rate > 0 {
				e := w.Evil(off(n.At, s.Contents[0], []netip.AddrPort{s.At, w.Addr(), w.Addr()}, rate))
				defer func() { sent = e.Count("off") }()
			}
			got, _ := n.Fetch(s.Contents[0].BLAKE3())
			took = got.Duration
			if n.Banned(s.At) {
				t.Error("the honest peer is banned")
			}
		})
		return took, sent
	}
	clean, _ := run(0)
	took, sent := run(2000)
	r.bar(sent > 0, "%d datagrams of content that nobody asked for", sent)
	ratio := clean.Seconds() / took.Seconds()
	r.bar(ratio >= 0.9, "%.2f of the goodput without (%.2f s, %.2f s)", ratio, took.Seconds(), clean.Seconds())
}

func rowLies(names ...string) func(*testing.T, *result) {
	return func(t *testing.T, r *result) {
		worst, what := time.Duration(0), ""
		for _, name := range names {
			inBubble(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond, Rate: 12.5e6, Queue: 1 << 20}}, func(w *World) {
				honest := w.Seeder(node.Config{}, 1_000_000)
				c := honest.Contents[0]
				liar := w.Evil(liars[name](c)...)
				n := w.Node(node.Config{})
				w.SetLink(n.At.Addr(), liar.At.Addr(), netsim.Link{Delay: time.Millisecond, Rate: 12.5e6, Queue: 1 << 20})
				n.Give(liar.At, honest.At)
				got, _ := n.Fetch(c.BLAKE3())
				if got.Duration > worst {
					worst, what = got.Duration, name
				}
				if liar.Lies() == 0 || n.Banned(honest.At) {
					t.Errorf("%q: %d lies, honest banned: %v", name, liar.Lies(), n.Banned(honest.At))
				}
			})
		}
		r.bar(worst <= 5*time.Second, "%d liars, %.2f s at worst (%s)", len(names), worst.Seconds(), what)
	}
}
