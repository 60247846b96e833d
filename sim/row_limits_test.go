package sim

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// Rows of rate limits. That no second holds more than the rate and a burst, C7 sees to.
var limitRows = []row{
	{id: "N20/up", fault: "1 Mbit/s up", bar: "within 5 % over 10 s, no 1 s > rate + burst (C7)", where: "test", run: rowLimit(node.Config{Up: megabit}, node.Config{}, 2, megabit/2)},
	{id: "N20/peer", fault: "1 Mbit/s up for each peer", bar: "within 5 % over 10 s, no 1 s > rate + burst (C7)", where: "test", run: rowLimit(node.Config{UpPerPeer: megabit}, node.Config{}, 2, megabit)},
	{id: "N20/down", fault: "1 Mbit/s down", bar: "within 5 % over 10 s, no 1 s > rate + burst (C7)", where: "test", run: rowLimit(node.Config{}, node.Config{Down: megabit}, 1, megabit)},
}

// megabit is 1 Mbit/s in bytes a second.
const megabit = 125_000

// rowLimit has downloaders fetch from one seeder, and expects so many bytes a second of each, on the wire with headers.
func rowLimit(seeder, downloader node.Config, downloaders int, each float64) func(*testing.T, *result) {
	return func(t *testing.T, r *result) {
		// Ten seconds that begin when the buckets are empty: they hold half a second of the limit.
		const from, span = 3 * time.Second, 10 * time.Second
		link := netsim.Link{Delay: 20 * time.Millisecond, Rate: 12.5e6, Queue: 250_000, MTU: 1500}
		inBubble(t, Options{Link: link}, func(w *World) {
			s := w.Seeder(seeder, 8_000_000)
			downloader.Peers = []netip.AddrPort{s.At}
			got := map[netip.AddrPort]int64{}
			total := int64(0)
			w.OnPacket(func(p netsim.Packet) {
				if at := p.At.Sub(w.Start); p.From == s.At && p.Outcome == netsim.Delivered && at >= from && at < from+span {
					got[p.To] += int64(len(p.Data) + wire.HeaderBytes)
					total += int64(len(p.Data) + wire.HeaderBytes)
				}
			})
			ctx, cancel := context.WithTimeout(w.Context(), from+span+time.Second)
			defer cancel()
			var wg sync.WaitGroup
			for range downloaders {
				n := w.Node(downloader)
				wg.Go(func() { n.getUntil(ctx, s.Contents[0]) })
			}
			wg.Wait()
			rate := float64(total) / span.Seconds()
			want := each * float64(downloaders)
			r.bar(rate >= 0.95*want && rate <= 1.05*want, "%.0f bytes a second of %.0f: %+.1f %%", rate, want, 100*(rate/want-1))
			for _, n := range got {
				r.figure("one got %.0f a second", float64(n)/span.Seconds())
			}
		})
	}
}
