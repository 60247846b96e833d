package sim

import (
	"net/netip"
	"testing"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// Rows of peers that vanish or move while they are used.
var movingRows = []row{
	{id: "N13", fault: "a peer vanishes in mid-transfer", bar: "requests re-issued elsewhere ≤ max(4 RTO, 1 s); after 60 s ≤ 1 datagram in 30 s", where: "long", run: rowVanish},
	{id: "N15/port", fault: "the downloader's NAT forgets its mapping in mid-transfer", bar: "stall ≤ 2 s; ≤ 2 × bytes before the cookie (C3)", where: "test", run: rowRebind(false)},
	{id: "N15/address", fault: "the downloader's NAT gets another address in mid-transfer", bar: "stall ≤ 2 s; ≤ 2 × bytes before the cookie (C3)", where: "test", run: rowRebind(true)},
	{id: "N15/seeder", fault: "the seeder's NAT gets another address in mid-transfer", bar: "stall ≤ 2 s; ≤ 2 × bytes before the cookie (C3)", where: "test", run: rowSeederMoves},
	{id: "N15/idle", fault: "NAT timeout 30 s, ten minutes of rest before a download from behind it", bar: "first block ≤ 3 s", where: "test", run: rowIdleNAT},
	{id: "N15/introduced", fault: "both behind NATs that let in only whom they have spoken to; a public peer knows them", bar: "the file comes within 10 s", where: "test", run: rowIntroduced},
}

// asking is a run of bytes that was asked for.
type asking struct {
	from, to int64
	at       time.Time
}

func rowVanish(t *testing.T, r *result) {
	link := netsim.Link{Rate: 125_000, Queue: 25_000, Delay: 20 * time.Millisecond, MTU: 1500}
	inBubble(t, Options{Link: link}, func(w *World) {
		a := w.Seeder(node.Config{}, 28_000_000) // three minutes and more of what is left of the two lines, in raw answers
		b := w.SeederOf(node.Config{}, a.Contents[0])
		n := w.Node(node.Config{Peers: []netip.AddrPort{a.At, b.At}})
		open := map[int64]asking{} // of the one that vanishes
		var vanished time.Time
		rto, worst := time.Duration(0), time.Duration(0)
		late, asks := 0, 0 // datagrams in the second and third minute after it vanished, and those with requests
		reissued := 0
		w.OnPacket(func(p netsim.Packet) {
			switch {
			case p.Outcome == netsim.Sent && p.From == n.At && p.To == a.At && !vanished.IsZero() && p.At.Sub(vanished) > time.Minute:
				if p.At.Sub(vanished) > 3*time.Minute {
					break
				}
				late++
				for _, e := range elements(p) {
					if e.Name == "PleaseSendContent" {
						asks++
					}
				}
			case p.Outcome == netsim.Sent && p.From == n.At:
				for _, e := range elements(p) {
					m, err := wire.ParsePleaseSendContent(e.Payload)
					if e.Name != "PleaseSendContent" || err != nil {
						continue
					}
					if p.To == a.At && vanished.IsZero() {
						open[m.Offset] = asking{m.Offset, m.Offset + m.Length, p.At}
					}
					if p.To != b.At {
						continue
					}
					for off, o := range open {
						if m.Offset <= o.from && o.from < m.Offset+m.Length {
							delete(open, off)
							if !vanished.IsZero() {
								worst = max(worst, p.At.Sub(vanished))
								reissued++
							}
						}
					}
				}
			case p.Outcome == netsim.Delivered && p.To == n.At && p.From == a.At:
				for _, e := range elements(p) {
					if m, err := wire.ParseContent(e.Payload); e.Name == "Content" && err == nil {
						delete(open, m.Offset)
					}
				}
			}
		})
		done := make(chan node.Got)
		go func() {
			got, _ := n.Fetch(a.Contents[0].BLAKE3())
			done <- got
		}()
		time.Sleep(20 * time.Second)
		w.Rest()
		for _, d := range n.Stats().Downloads {
			for _, s := range d.Sources {
				if s.Addr == a.At {
					rto = 2 * s.RTT // about: smoothed plus four deviations of a queue that comes and goes
				}
			}
		}
		vanished = time.Now()
		out := len(open)
		w.SetLink(a.At.Addr(), n.At.Addr(), netsim.Link{Down: true})
		got := <-done
		bar := max(4*rto, time.Second)
		r.bar(out > 0, "%d requests were out", out)
		r.bar(len(open) == 0 && worst <= bar, "%d of them re-issued after %v at worst (bar %v), %d never", reissued, worst.Round(time.Millisecond), bar.Round(time.Millisecond), len(open))
		r.bar(got.Duration > 200*time.Second, "%.0f s in all", got.Duration.Seconds())
		r.bar(asks <= 4, "%d requests to it in the two minutes after the first one", asks)
		r.figure("%d datagrams with those of the peer table, to which it was given by hand", late)
	})
}

// gaps is the longest time without content on its way to a host, since a time.
type gaps struct {
	since, last time.Time
	longest     time.Duration
}

func (g *gaps) follow(w *World, to func(netip.AddrPort) bool) {
	w.OnPacket(func(p netsim.Packet) {
		if p.Outcome == netsim.Delivered && len(p.Data) > 1000 && to(p.To) {
			if !g.since.IsZero() {
				g.longest = max(g.longest, p.At.Sub(g.last))
			}
			g.last = p.At
		}
	})
}

func rowRebind(elsewhere bool) func(*testing.T, *result) {
	return func(t *testing.T, r *result) {
		link := netsim.Link{Rate: 625_000, Queue: 125_000, Delay: 20 * time.Millisecond, MTU: 1500}
		inBubble(t, Options{Link: link}, func(w *World) {
			s := w.Seeder(node.Config{}, 4_000_000)
			n := w.NodeBehind(netsim.PortRestricted, node.Config{Peers: []netip.AddrPort{s.At}})
			var g gaps
			g.follow(w, func(a netip.AddrPort) bool { return a != s.At })
			moved := false
			go func() {
				time.Sleep(3 * time.Second)
				w.Rest()
				g.since, moved = time.Now(), true
				n.Rebind(elsewhere)
			}()
			got, ok := n.Fetch(s.Contents[0].BLAKE3())
			r.bar(ok && moved && got.Duration > 3*time.Second, "%.1f s in all", got.Duration.Seconds())
			r.bar(g.longest <= 2*time.Second, "stall of %v", g.longest.Round(time.Millisecond))
			r.figure("largest ratio without proof %.2f", w.WorstRatio())
		})
	}
}

func rowSeederMoves(t *testing.T, r *result) {
	link := netsim.Link{Rate: 625_000, Queue: 125_000, Delay: 20 * time.Millisecond, MTU: 1500}
	inBubble(t, Options{Link: link}, func(w *World) {
		n := w.Node(node.Config{})
		s := w.NodeBehind(netsim.PortRestricted, node.Config{Peers: []netip.AddrPort{n.At}, StateDir: w.Path("state")})
		c, err := randomContent(w.Rand(), 4_000_000)
		if err != nil {
			t.Fatal(err)
		}
		s.SeedContents(c)
		time.Sleep(30 * time.Second)
		var g gaps
		g.follow(w, func(a netip.AddrPort) bool { return a == n.At })
		go func() {
			time.Sleep(3 * time.Second)
			w.Rest()
			g.since = time.Now()
			s.Rebind(true)
		}()
		got, ok := n.Fetch(c.BLAKE3())
		r.bar(ok && got.Duration > 3*time.Second, "%.1f s in all", got.Duration.Seconds())
		r.bar(g.longest <= 2*time.Second, "stall of %v", g.longest.Round(time.Millisecond))
	})
}

func rowIdleNAT(t *testing.T, r *result) {
	for name, kind := range map[string]netsim.NATKind{"full cone": netsim.FullCone, "port restricted": netsim.PortRestricted, "symmetric": netsim.Symmetric} {
		inBubble(t, Options{Link: plain}, func(w *World) {
			n := w.Node(node.Config{})
			s := w.NodeBehind(kind, node.Config{Peers: []netip.AddrPort{n.At}, StateDir: w.Path("state")})
			c, err := randomContent(w.Rand(), 200_000)
			if err != nil {
				t.Fatal(err)
			}
			s.SeedContents(c)
			time.Sleep(10 * time.Minute)
			var first time.Duration
			start := w.Now()
			w.OnPacket(func(p netsim.Packet) {
				if first == 0 && p.Outcome == netsim.Delivered && p.To == n.At && len(p.Data) > 1000 {
					first = p.At.Sub(w.Start) - start
				}
			})
			_, ok := n.Fetch(c.BLAKE3())
			r.bar(ok && first > 0 && first <= 3*time.Second, "%s: first block after %v", name, first.Round(time.Millisecond))
		})
	}
}
