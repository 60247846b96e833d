package sim

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// Rows of one seeder and one downloader on one link.
var linkRows = concat(ladderRows(), lossRows(), []row{
	{id: "N7", fault: "reorder 10 % by 50 ms, duplicate 20 %", bar: "goodput ≥ 0.9 of clean, each block written once, no rate cut", where: "test", run: rowReorder},
	{id: "N8", fault: "round trip 750 ms, 10 Mbit/s, queue of 25 packets", bar: "≥ 80 % of the attainable within 20 round trips", where: "test", run: rowLongFat},
	{id: "N9", fault: "blackhole 2 s each 5 s", bar: "resumes ≤ 1 RTT + 500 ms after light; ≤ window + 10 % requests each blackout", where: "test", run: rowBlackhole},
})

// figures are what one download from one seeder has shown.
type figures struct {
	got        node.Got
	size       int64
	attainable float64 // bytes of content a second
	carried    Carried
	counts     netsim.Counts
	ok         bool
}

func (f figures) goodput() float64   { return float64(f.size) / f.got.Duration.Seconds() }
func (f figures) share() float64     { return f.goodput() / f.attainable }
func (f figures) duplicate() float64 { return float64(f.carried.Came-f.size) / float64(f.size) }

// attainable is rate × (1 − loss) × content ÷ IP bytes of the datagrams that carry it, as counted.
func attainable(link netsim.Link, content int64, c netsim.Counts) float64 {
	return link.Rate * (1 - link.Loss) * float64(content) / float64(c.Bytes)
}

// oneToOne downloads size bytes over a link that is the same in both directions.
func oneToOne(t *testing.T, link netsim.Link, size int, more func(w *World, s, n *Host)) (f figures) {
	t.Helper()
	inBubble(t, Options{Link: link}, func(w *World) {
		s := w.Seeder(node.Config{}, size)
		n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
		if more != nil {
			more(w, s, n)
		}
		f.got, f.ok = n.Fetch(s.Contents[0].BLAKE3())
		f.size = int64(size)
		f.carried, f.counts = w.Carried(s.At, n.At), w.Counts(s.At.Addr(), n.At.Addr())
		f.attainable = attainable(link, f.carried.Sent, f.counts)
	})
	return f
}

// elements are those of a packet, none if it is no array.
func elements(p netsim.Packet) []wire.Element {
	es, _, _ := wire.Split(nil, p.Data)
	return es
}

// mbit is bytes a second as people say it.
func mbit(bytes float64) string { return fmt.Sprintf("%.2f Mbit/s", bytes*8/1e6) }

func ladderRows() (out []row) {
	// Enough for half a minute at least where the link allows 64 MiB in that time; short: a few seconds.
	sizes := [][2]int{{8 << 20, 64 << 20}, {8 << 20, 64 << 20}, {4 << 20, 32 << 20}, {2 << 20, 16 << 20}, {1 << 20, 8 << 20}, {1 << 20, 4 << 20}, {16 << 20, 64 << 20}}
	for i, rung := range netsim.Ladder {
		bar := 0.90
		if i >= 4 {
			bar = 0.75
		}
		out = append(out, row{
			id: "N2/L" + fmt.Sprint(i), fault: "ladder " + rung.Name, bar: fmt.Sprintf("goodput ≥ %.0f %% of the attainable, duplicates ≤ 5 %%", 100*bar), where: "long",
			run: func(t *testing.T, r *result) {
				f := oneToOne(t, rung.Link, size(sizes[i][0], sizes[i][1]), nil)
				r.bar(f.share() >= bar, "%s of %s attainable on %s: %.1f %%", mbit(f.goodput()), mbit(f.attainable), mbit(rung.Link.Rate), 100*f.share())
				r.bar(f.duplicate() <= 0.05, "duplicates %.2f %%", 100*f.duplicate())
				r.figure("%.1f MiB in %.1f s, %d of %d datagrams lost", float64(f.size)/(1<<20), f.got.Duration.Seconds(), f.counts.Dropped(), f.counts.Sent)
			},
		})
	}
	return out
}

func lossRows() (out []row) {
	for _, c := range []struct{ loss, bar float64 }{{0.01, 0.9}, {0.05, 0.8}, {0.10, 0.7}, {0.30, 0.4}} {
		link := netsim.Link{Rate: 2.5e6, Queue: 250_000, Delay: 20 * time.Millisecond, Loss: c.loss, MTU: 1500}
		out = append(out, row{
			id: fmt.Sprintf("N3/%.0f", 100*c.loss), fault: fmt.Sprintf("independent loss %.0f %% of packets each way", 100*c.loss),
			bar: fmt.Sprintf("goodput ≥ %.1f of the attainable, redundant ≤ 1.15 × needed + losses", c.bar), where: "long",
			run: func(t *testing.T, r *result) {
				f := oneToOne(t, link, size(4<<20, 32<<20), nil)
				r.bar(f.share() >= c.bar, "%s of %s attainable: %.2f", mbit(f.goodput()), mbit(f.attainable), f.share())
				r.bar(float64(f.carried.Came) <= 1.15*float64(f.size), "%.2f × the content came, %.2f × was sent", float64(f.carried.Came)/float64(f.size), float64(f.carried.Sent)/float64(f.size))
				r.bar(f.counts.Lost > 0, "%d of %d datagrams lost", f.counts.Lost, f.counts.Sent)
			},
		})
	}
	return out
}

func rowReorder(t *testing.T, r *result) {
	link := netsim.Link{Rate: 2.5e6, Queue: 250_000, Delay: 20 * time.Millisecond, MTU: 1500}
	n := size(4<<20, 32<<20)
	clean := oneToOne(t, link, n, nil)
	link.Reorder, link.ReorderBy, link.Duplicate = 0.10, 50*time.Millisecond, 0.20
	f := oneToOne(t, link, n, nil)
	ratio := f.goodput() / clean.goodput()
	r.bar(ratio >= 0.9, "%s, clean %s: %.2f", mbit(f.goodput()), mbit(clean.goodput()), ratio)
	r.bar(f.got.Fetched == f.size, "%d bytes used of %d", f.got.Fetched, f.size)
	blocks := float64(f.size) / 4096
	r.bar(float64(f.carried.Requests) <= 1.2*float64(clean.carried.Requests), "%.2f requests a block, clean %.2f", float64(f.carried.Requests)/blocks, float64(clean.carried.Requests)/blocks)
	r.bar(f.counts.Reordered > 0 && f.counts.Duplicated > 0, "%d reordered, %d duplicated", f.counts.Reordered, f.counts.Duplicated)
}

func rowLongFat(t *testing.T, r *result) {
	const rtt = 750 * time.Millisecond
	// A queue of 25 packets of 1500 bytes.
	link := netsim.Link{Rate: 1.25e6, Queue: 25 * 1500, Delay: rtt / 2, MTU: 1500}
	var from, to time.Duration
	f := oneToOne(t, link, size(24<<20, 48<<20), func(w *World, _, _ *Host) {
		from = w.Now() + 20*rtt
		to = from + 10*rtt
	})
	reached := float64(f.carried.Between(from, to)) / (to - from).Seconds()
	r.bar(reached >= 0.8*f.attainable, "%s of %s attainable in the ten round trips after the twentieth: %.1f %%", mbit(reached), mbit(f.attainable), 100*reached/f.attainable)
	r.figure("whole: %.1f %% in %.1f s, %d of %d datagrams overflowed", 100*f.share(), f.got.Duration.Seconds(), f.counts.Overflow, f.counts.Sent)
}

func rowBlackhole(t *testing.T, r *result) {
	const period, dark, rtt = 5 * time.Second, 2 * time.Second, 40 * time.Millisecond
	link := netsim.Link{Rate: 2.5e6, Queue: 250_000, Delay: rtt / 2, MTU: 1500, Dark: netsim.Every(period, dark, time.Hour)}
	blackouts := map[int]int{} // bytes that the answers to the requests sent in each would take
	resumed := map[int]time.Duration{}
	window := 0
	f := oneToOne(t, link, size(24<<20, 64<<20), func(w *World, s, n *Host) {
		w.OnPacket(func(p netsim.Packet) {
			at := p.At.Sub(w.Start)
			k, in := int(at/period), at%period >= period-dark
			switch {
			case in && p.Outcome == netsim.Sent && p.From == n.At && p.To == s.At:
				for _, e := range elements(p) {
					if m, err := wire.ParsePleaseSendContent(e.Payload); e.Name == "PleaseSendContent" && err == nil {
						blackouts[k] += answerBytes(m)
					}
				}
			case !in && p.Outcome == netsim.Delivered && p.To == n.At && len(p.Data) > 1000 && k > 0 && resumed[k] == 0:
				resumed[k] = at % period
			}
			window = max(window, w.watch.windowOf(n.life, s.At))
		})
	})
	last := int(f.got.Duration / period)
	worst, most := time.Duration(0), 0
	for k := 1; k <= last; k++ {
		worst = max(worst, resumed[k])
	}
	for _, n := range blackouts {
		most = max(most, n)
	}
	r.bar(last >= 2, "%d blackouts", last)
	r.bar(worst <= rtt+500*time.Millisecond, "resumed %v after light at worst", worst)
	r.bar(float64(most) <= 1.1*float64(window), "answers of %d bytes asked for in a blackout at most, the largest window was %d", most, window)
	r.figure("%s", mbit(f.goodput()))
}
