package sim

import (
	"context"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// Rows of rate limits. That no second holds more than the rate and a burst, C7 sees to.
var limitRows = []row{
	{id: "N20/up", fault: "1 Mbit/s up", bar: limitBar, where: "test", run: rowLimit(limitCase{seeder: node.Config{Up: megabit}, downloaders: 2, want: megabit})},
	{id: "N20/up-peer", fault: "1 Mbit/s up for each peer", bar: limitBar, where: "test", run: rowLimit(limitCase{seeder: node.Config{UpPerPeer: megabit}, downloaders: 2, want: 2 * megabit})},
	{id: "N20/down", fault: "1 Mbit/s down", bar: limitBar, where: "test", run: rowLimit(limitCase{downloader: node.Config{Down: megabit}, seeders: 2, want: megabit})},
	{id: "N20/down-peer", fault: "1 Mbit/s down for each peer", bar: limitBar, where: "test", run: rowLimit(limitCase{downloader: node.Config{DownPerPeer: megabit}, seeders: 2, want: 2 * megabit})},
	{id: "N20/down-loss", fault: "1 Mbit/s down, a tenth is lost", bar: limitBar, where: "test", run: rowLimit(limitCase{downloader: node.Config{Down: megabit}, seeders: 2, loss: 0.1, want: megabit})},
	{id: "N20/both", fault: "1 Mbit/s up and 2 down, for all and for each, from one that asks back", bar: limitBar, where: "test", run: rowLimitBothWays},
	{id: "N20/requests", fault: "80 kbit/s up of a downloader whose requests would take more", bar: limitBar, where: "test", run: rowLimitRequests},
	{id: "N22/size", fault: "a seeder's way refuses datagrams above 1472 bytes (EMSGSIZE), and later not any more", bar: "completes, ≤ 8 refused; long answers again ≤ 2 min after", where: "test", run: rowTooLong(1472)},
	{id: "N22/tunnel", fault: "the same above 1372 bytes", bar: "completes, ≤ 8 refused; long answers again ≤ 2 min after", where: "test", run: rowTooLong(1372)},
}

const limitBar = "within 5 % over 10 s, no 1 s > rate + burst (C7)"

// megabit is 1 Mbit/s in bytes a second.
const megabit = 125_000

// limitWarm is when buckets are empty: they hold half a second of the limit. limitSpan is what is measured.
const limitWarm, limitSpan = 3 * time.Second, 10 * time.Second

// limitCase is who is limited, and what should pass all together, in bytes a second on the wire with headers.
type limitCase struct {
	seeder, downloader   node.Config
	seeders, downloaders int // 0: one
	loss                 float64
	want                 float64
}

// passed adds up what passes between hosts while it is measured.
type passed map[[2]netip.AddrPort]int64

func (p passed) follow(w *World, outcome netsim.Outcome) {
	w.OnPacket(func(d netsim.Packet) {
		if at := d.At.Sub(w.Start); d.Outcome == outcome && at >= limitWarm && at < limitWarm+limitSpan {
			p[[2]netip.AddrPort{d.From, d.To}] += int64(len(d.Data) + wire.HeaderBytes)
		}
	})
}

// rate is bytes a second of what passes that which accepts.
func (p passed) rate(which func(from, to netip.AddrPort) bool) float64 {
	total := int64(0)
	for k, n := range p {
		if which(k[0], k[1]) {
			total += n
		}
	}
	return float64(total) / limitSpan.Seconds()
}

// holds is the bar.
func (r *result) holds(what string, rate, want float64) {
	r.bar(rate >= 0.95*want && rate <= 1.05*want, "%s %.0f bytes a second of %.0f: %+.1f %%", what, rate, want, 100*(rate/want-1))
}

// rowLimit has downloaders fetch of seeders.
func rowLimit(c limitCase) func(*testing.T, *result) {
	return func(t *testing.T, r *result) {
		link := netsim.Link{Delay: 20 * time.Millisecond, Rate: 12.5e6, Queue: 250_000, MTU: 1500, Loss: c.loss}
		inBubble(t, Options{Link: link}, func(w *World) {
			content, err := randomContent(w.Rand(), 8_000_000)
			if err != nil {
				t.Fatal(err)
			}
			seeds := map[netip.AddrPort]bool{}
			for range max(c.seeders, 1) {
				s := w.SeederOf(c.seeder, content)
				seeds[s.At] = true
				c.downloader.Peers = append(c.downloader.Peers, s.At)
			}
			got := passed{}
			got.follow(w, netsim.Delivered)
			ctx, cancel := context.WithTimeout(w.Context(), limitWarm+limitSpan+time.Second)
			defer cancel()
			var wg sync.WaitGroup
			for range max(c.downloaders, 1) {
				n := w.Node(c.downloader)
				wg.Go(func() { n.getUntil(ctx, content) })
			}
			wg.Wait()
			r.holds("all", got.rate(func(from, _ netip.AddrPort) bool { return seeds[from] }), c.want)
			for k, n := range got {
				if seeds[k[0]] {
					r.figure("one of another %.0f a second", float64(n)/limitSpan.Seconds())
				}
			}
		})
	}
}

// rowLimitBothWays has two nodes fetch of one another what the other has: answers, requests and cookies of both
// directions count.
func rowLimitBothWays(t *testing.T, r *result) {
	link := netsim.Link{Delay: 20 * time.Millisecond, Rate: 12.5e6, Queue: 250_000, MTU: 1500}
	inBubble(t, Options{Link: link}, func(w *World) {
		a := w.Seeder(node.Config{Up: megabit, UpPerPeer: megabit, Down: 2 * megabit, DownPerPeer: 2 * megabit}, 8_000_000)
		b := w.Seeder(node.Config{Peers: []netip.AddrPort{a.At}}, 8_000_000)
		got := passed{}
		got.follow(w, netsim.Sent)
		ctx, cancel := context.WithTimeout(w.Context(), limitWarm+limitSpan+time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { a.getUntil(ctx, b.Contents[0]) })
		wg.Go(func() { b.getUntil(ctx, a.Contents[0]) })
		wg.Wait()
		r.holds("up", got.rate(func(from, _ netip.AddrPort) bool { return from == a.At }), megabit)
		r.holds("down", got.rate(func(_, to netip.AddrPort) bool { return to == a.At }), 2*megabit)
	})
}

// rowLimitRequests has a downloader ask so much that requests alone would pass its limit of what leaves.
func rowLimitRequests(t *testing.T, r *result) {
	const limit = 10_000
	link := netsim.Link{Delay: 20 * time.Millisecond, Rate: 12.5e6, Queue: 250_000, MTU: 1500}
	inBubble(t, Options{Link: link}, func(w *World) {
		s := w.Seeder(node.Config{}, 16_000_000)
		n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}, Up: limit})
		got := passed{}
		got.follow(w, netsim.Sent)
		ctx, cancel := context.WithTimeout(w.Context(), limitWarm+limitSpan+time.Second)
		defer cancel()
		n.getUntil(ctx, s.Contents[0])
		r.holds("up", got.rate(func(from, _ netip.AddrPort) bool { return from == n.At }), limit)
		r.figure("%.0f bytes a second down", got.rate(func(_, to netip.AddrPort) bool { return to == n.At }))
	})
}

// rowTooLong has a seeder whose socket refuses what is longer than above, while one content is fetched, and
// then no more, while another one is.
func rowTooLong(above int) func(*testing.T, *result) {
	return func(t *testing.T, r *result) {
		link := netsim.Link{Delay: 10 * time.Millisecond, Rate: 50_000, Queue: 50_000, MTU: 9000}
		inBubble(t, Options{Link: link}, func(w *World) {
			s, f := w.FaultyNode(node.Config{StateDir: w.Path("state")})
			first, err := randomContent(w.Rand(), 3_000_000)
			second, err2 := randomContent(w.Rand(), 6_000_000)
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			s.SeedContents(first, second)
			n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
			var mu sync.Mutex
			var again time.Time // when the first long one came
			w.OnPacket(func(p netsim.Packet) {
				mu.Lock()
				defer mu.Unlock()
				if p.Outcome == netsim.Delivered && p.To == n.At && len(p.Data) > 4096 && again.IsZero() {
					again = p.At
				}
			})
			rule := f.Add(netsim.Fault{Above: above, Err: syscall.EMSGSIZE})
			got, _ := n.Fetch(first.BLAKE3())
			r.bar(rule.Hits() > 0 && rule.Hits() <= 8, "%d refused in %.0f s", rule.Hits(), got.Duration.Seconds())
			goodput := float64(got.Size) / got.Duration.Seconds()
			r.bar(goodput > 0.5*link.Rate, "%.0f bytes a second of a link of %.0f", goodput, link.Rate)
			mu.Lock()
			r.bar(again.IsZero(), "none longer came")
			mu.Unlock()
			f.Remove(rule)
			clear := time.Now()
			n.Fetch(second.BLAKE3())
			mu.Lock()
			defer mu.Unlock()
			r.bar(!again.IsZero() && again.Sub(clear) <= 2*time.Minute, "long ones again after %.0f s", again.Sub(clear).Seconds())
		})
	}
}
