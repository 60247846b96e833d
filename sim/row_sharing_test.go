package sim

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
	"sharer/transfer"
	"sharer/wire"
)

// Rows of several who share something: a bottleneck, a queue, a download.
var sharingRows = []row{
	{id: "N11", fault: "two sharers at one bottleneck", bar: "Jain index ≥ 0.9", where: "test", run: rowFair},
	{id: "N12", fault: "bufferbloat, queue of 2 s, background mode", bar: "induced delay ≤ 150 ms", where: "long", run: rowBloat},
	{id: "N14", fault: "1 fast peer (10 Mbit/s) and 20 slow (50 kbit/s)", bar: "≤ 1.1 × fast alone, last 1 % ≤ 5 % of the time, duplicates ≤ 2 %", where: "long", run: rowSlowPeers},
}

// getUntil downloads until a time and then gives up.
func (h *Host) getUntil(ctx context.Context, c *Content) {
	_, _ = h.Get(ctx, node.Get{ID: c.BLAKE3(), Size: -1, Path: h.w.Path("got")}) // it ends with the context, or with everything there
}

func jain(xs ...float64) float64 {
	sum, squares := 0.0, 0.0
	for _, x := range xs {
		sum += x
		squares += x * x
	}
	return sum * sum / (float64(len(xs)) * squares)
}

func rowFair(t *testing.T, r *result) {
	link := netsim.Link{Rate: 2.5e6, Queue: 250_000, Delay: 20 * time.Millisecond, MTU: 1500}
	span := size(20*time.Second, 60*time.Second)
	inBubble(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond, MTU: 1500}}, func(w *World) {
		bytes := int(link.Rate * span.Seconds())
		var seeders, nodes []*Host
		var ways []netsim.Direction
		for range 2 {
			s := w.Seeder(node.Config{}, bytes)
			n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
			seeders, nodes = append(seeders, s), append(nodes, n)
			ways = append(ways, netsim.Direction{From: s.At.Addr(), To: n.At.Addr()})
		}
		w.Share(link, ways...)
		ctx, cancel := context.WithTimeout(w.Context(), span)
		defer cancel()
		var wg sync.WaitGroup
		for i, n := range nodes {
			wg.Go(func() { n.getUntil(ctx, seeders[i].Contents[0]) })
		}
		wg.Wait()
		var rates []float64
		sum := 0.0
		for i, n := range nodes {
			rate := float64(w.Carried(seeders[i].At, n.At).Came) / span.Seconds()
			rates, sum = append(rates, rate), sum+rate
		}
		index := jain(rates...)
		r.bar(index >= 0.9, "Jain index %.3f over %v: %s and %s, together %.0f %% of the link", index, span, mbit(rates[0]), mbit(rates[1]), 100*sum/link.Rate)
	})
}

// delays is how long datagrams waited in the queue of a link that neither loses nor reorders.
type delays struct {
	sent  []time.Time
	waits []time.Duration
}

// follow measures one direction; base is how long a datagram takes without a queue.
func (q *delays) follow(w *World, from, to netip.AddrPort, base func(bytes int) time.Duration) {
	w.OnPacket(func(p netsim.Packet) {
		if p.From != from || p.To != to {
			return
		}
		switch p.Outcome {
		case netsim.Sent:
			q.sent = append(q.sent, p.At)
		case netsim.Delivered:
			q.waits = append(q.waits, p.At.Sub(q.sent[0])-base(len(p.Data)))
			q.sent = q.sent[1:]
		default: // it never entered the queue
			q.sent = q.sent[:len(q.sent)-1]
		}
	})
}

// worst is the mean, and what a share of the datagrams did not exceed.
func (q *delays) worst(share float64) (mean, most time.Duration) {
	if len(q.waits) == 0 {
		return 0, 0
	}
	sum := time.Duration(0)
	for _, d := range q.waits {
		sum += d
	}
	slices.Sort(q.waits)
	return sum / time.Duration(len(q.waits)), q.waits[int(share*float64(len(q.waits)-1))]
}

func rowBloat(t *testing.T, r *result) {
	link := netsim.Link{Rate: 1.25e6, Queue: 2_500_000, Delay: 20 * time.Millisecond}
	inBubble(t, Options{Link: link}, func(w *World) {
		s := w.Seeder(node.Config{}, size(16<<20, 32<<20))
		c := node.Config{Peers: []netip.AddrPort{s.At}}
		c.Congestion = transfer.Background
		n := w.Node(c)
		var q delays
		q.follow(w, s.At, n.At, func(bytes int) time.Duration {
			return link.Delay + time.Duration(float64(bytes+wire.HeaderBytes)/link.Rate*1e9)
		})
		got, _ := n.Fetch(s.Contents[0].BLAKE3())
		mean, p99 := q.worst(0.99)
		_, all := q.worst(1)
		r.bar(p99 <= 150*time.Millisecond, "queue of %v on the mean, 99 %% ≤ %v, all ≤ %v", mean.Round(time.Millisecond), p99.Round(time.Millisecond), all.Round(time.Millisecond))
		r.figure("%s", mbit(float64(len(s.Contents[0].Data))/got.Duration.Seconds()))
	})
}

func rowSlowPeers(t *testing.T, r *result) {
	fast := netsim.Link{Rate: 1.25e6, Queue: 125_000, Delay: 20 * time.Millisecond, MTU: 1500}
	slow := netsim.Link{Rate: 6250, Queue: 24_000, Delay: 100 * time.Millisecond, MTU: 1500}
	bytes := size(4<<20, 16<<20)
	alone := oneToOne(t, fast, bytes, nil)
	inBubble(t, Options{Link: fast}, func(w *World) {
		s := w.Seeder(node.Config{}, bytes)
		c := s.Contents[0]
		seeders := []*Host{s}
		for range 20 {
			seeders = append(seeders, w.SeederOf(node.Config{}, c))
		}
		n := w.Node(node.Config{})
		for _, p := range seeders[1:] {
			w.SetLink(p.At.Addr(), n.At.Addr(), slow)
		}
		line := w.timeline(n.At, c)
		for _, p := range seeders {
			n.Give(p.At)
		}
		got, ok := n.Fetch(c.BLAKE3())
		if !ok {
			return
		}
		ratio := got.Duration.Seconds() / alone.got.Duration.Seconds()
		r.bar(ratio <= 1.1, "%.1f s, fast alone %.1f s: %.2f", got.Duration.Seconds(), alone.got.Duration.Seconds(), ratio)
		last := float64(line.at(1)-line.at(0.99)) / float64(got.Duration)
		r.bar(last <= 0.05, "last 1 %% took %.1f %% of the time", 100*last)
		dup := float64(line.came-c.Size()) / float64(c.Size())
		r.bar(dup <= 0.02, "duplicates %.2f %%", 100*dup)
		givers := 0
		for _, p := range seeders[1:] {
			if w.Carried(p.At, n.At).Came > 0 {
				givers++
			}
		}
		r.figure("%d of 20 slow ones gave something", givers)
	})
}

// timeline tells when which share of a content had come, each block counted once.
type timeline struct {
	size  int64
	came  int64 // with duplicates
	seen  map[int64]bool
	steps []struct {
		at   time.Duration
		have int64
	}
}

func (w *World) timeline(to netip.AddrPort, c *Content) *timeline {
	l := &timeline{size: c.Size(), seen: map[int64]bool{}}
	id := c.BLAKE3().String()
	have := int64(0)
	w.OnPacket(func(p netsim.Packet) {
		if p.To != to || p.Outcome != netsim.Delivered {
			return
		}
		for _, e := range elements(p) {
			if e.Name != "Content" {
				continue
			}
			m, err := w.watch.content(&e, to)
			if err != nil || string(m.ID) != id {
				continue
			}
			n := int64(m.Raw)
			l.came += n
			for at := m.Offset; at < m.Offset+n; at++ {
				if at%512 != 0 || l.seen[at] {
					continue
				}
				l.seen[at] = true
				have += min(512, l.size-at)
			}
			l.steps = append(l.steps, struct {
				at   time.Duration
				have int64
			}{p.At.Sub(w.Start), have})
		}
	})
	return l
}

// at is when a share had come.
func (l *timeline) at(share float64) time.Duration {
	for _, s := range l.steps {
		if float64(s.have) >= share*float64(l.size) {
			return s.at
		}
	}
	return 0
}
