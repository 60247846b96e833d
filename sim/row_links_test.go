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
	{id: "N4", fault: "1 % of packets lost at 100 Mbit/s, then none", bar: "never 2 s without a verified block, ≥ 0.85 of the attainable, answers of one packet within 3 s, of 4 KiB again within 60 s of the last loss", where: "test", run: rowBlackout},
	{id: "N5", fault: "fragments blocked entirely", bar: "first verified byte < 3 s, completes", where: "test", run: rowNoFragments},
	{id: "N6/1280", fault: "path MTU 1280", bar: "completes, no stall > 3 s", where: "test", run: rowNarrow(1280)},
	{id: "N6/1400", fault: "path MTU 1400", bar: "completes, no stall > 3 s", where: "test", run: rowNarrow(1400)},
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

// pace is how a download went on, as the node told of what was verified.
type pace struct {
	first   time.Duration // from the start of the world to the first verified byte
	longest time.Duration // between two looks at which more was verified
}

const paceTick = 50 * time.Millisecond

// pace follows the one download of a node, by timers alone: nothing is left when the world closes.
func (w *World) pace(n *Host, p *pace) {
	done, last := int64(0), w.Now()
	var look func()
	look = func() {
		for _, d := range n.Stats().Downloads {
			if d.Done == done {
				continue
			}
			if done == 0 {
				p.first = w.Now()
			} else {
				p.longest = max(p.longest, w.Now()-last)
			}
			done, last = d.Done, w.Now()
		}
		time.AfterFunc(paceTick, look)
	}
	time.AfterFunc(paceTick, look)
}

// rowBlackout: at 1 % of packets lost, broken datagrams fill the pool in which a receiver puts fragments together.
func rowBlackout(t *testing.T, r *result) {
	lossy := netsim.Link{Rate: 12.5e6, Queue: 1_250_000, Delay: 8 * time.Millisecond, Loss: 0.01, MTU: 1500}
	clean := lossy
	clean.Loss = 0
	span := size(5*time.Second, 60*time.Second) // of loss
	type answers struct{ short, long int }
	var seconds [300]answers
	var p pace
	var reached, possible float64
	f := oneToOne(t, lossy, size(64<<20, 1<<30), func(w *World, s, n *Host) {
		w.pace(n, &p)
		w.OnPacket(func(p netsim.Packet) {
			if p.Outcome != netsim.Sent || p.From != s.At || p.To != n.At || len(p.Data) < 1000 {
				return
			}
			if a := &seconds[p.At.Sub(w.Start)/time.Second]; len(p.Data) > 1472 {
				a.long++
			} else {
				a.short++
			}
		})
		time.AfterFunc(span, func() {
			c := w.Carried(s.At, n.At)
			reached = float64(c.Came) / span.Seconds()
			possible = attainable(lossy, c.Sent, w.Counts(s.At.Addr(), n.At.Addr()))
			w.SetDefault(clean)
		})
	})
	r.bar(f.got.Duration > span, "%v in all, %v of them with loss", f.got.Duration.Round(time.Millisecond), span)
	r.bar(p.longest <= 2*time.Second, "%v without a verified block at most", p.longest)
	r.bar(reached >= 0.85*possible, "%s of %s attainable while packets were lost: %.1f %%", mbit(reached), mbit(possible), 100*reached/possible)
	fits, back := -1, -1
	for i, a := range seconds[:int(f.got.Duration.Seconds())] {
		in := i < int(span.Seconds())
		if in && fits < 0 && a.short > a.long {
			fits = i
		}
		if !in && back < 0 && a.long > a.short {
			back = i - int(span.Seconds())
		}
	}
	r.bar(fits >= 0 && fits <= 3, "most answers fit a packet from second %d on", fits)
	if *long {
		r.bar(back >= 0 && back <= 60, "most answers are of 4 KiB again %d s after the last loss", back)
	}
}

func rowNoFragments(t *testing.T, r *result) {
	link := netsim.Link{Rate: 2.5e6, Queue: 250_000, Delay: 20 * time.Millisecond, MTU: 1500, NoFrags: true}
	var p pace
	f := oneToOne(t, link, size(4<<20, 32<<20), func(w *World, _, n *Host) { w.pace(n, &p) })
	r.bar(f.ok && p.first <= 3*time.Second, "first verified byte after %v", p.first)
	r.bar(p.longest <= 3*time.Second, "%v without a verified block at most", p.longest)
	r.bar(f.counts.Blocked > 0, "%d datagrams blocked; %s of %s attainable: %.1f %%", f.counts.Blocked, mbit(f.goodput()), mbit(f.attainable), 100*f.share())
}

func rowNarrow(mtu int) func(t *testing.T, r *result) {
	return func(t *testing.T, r *result) {
		link := netsim.Link{Rate: 2.5e6, Queue: 250_000, Delay: 20 * time.Millisecond, MTU: mtu}
		var p pace
		f := oneToOne(t, link, size(4<<20, 32<<20), func(w *World, _, n *Host) { w.pace(n, &p) })
		r.bar(f.ok && p.longest <= 3*time.Second, "%v without a verified block at most", p.longest)
		r.figure("%s of %s attainable: %.1f %%", mbit(f.goodput()), mbit(f.attainable), 100*f.share())
	}
}
