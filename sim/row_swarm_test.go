package sim

import (
	"context"
	"flag"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
	"sharer/swarm"
)

// Rows of many nodes.
var swarmRows = []row{
	{id: "N16", fault: "partition of 30 s, 20 nodes, IPv4, IPv6 and both, seeded on one side", bar: "all complete ≤ 30 s after it heals; no IPv4-mapped peers", where: "test", run: rowPartition},
	{id: "N17", fault: "churn: a node lives exp(60 s)", bar: "p99 of completion ≤ 3 × without churn; tables ≤ caps (C4)", where: "test", run: rowChurn},
	{id: "N18", fault: "flash crowd: a seeder of 10 Mbit/s, everybody at once", bar: "seeder uploads ≤ 3 copies, last ≤ 4 × size ÷ rate", where: "long", run: rowCrowd},
}

// sized is what a flag was set to, and otherwise what size says: N17 and N18 run at any size with -sim.nodes, -sim.size and -sim.time.
func sized[T any](t *testing.T, name string, short, full T, value func() (T, error)) T {
	t.Helper()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	if !set {
		return size(short, full)
	}
	v, err := value()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sizedNodes(t *testing.T, short, full int) int {
	return sized(t, "sim.nodes", short, full, func() (int, error) { return *longNodes, nil })
}

func sizedBytes(t *testing.T, short, full int) int {
	return sized(t, "sim.size", short, full, func() (int, error) { return parseSize(*longSize) })
}

func sizedTime(t *testing.T, short, full time.Duration) time.Duration {
	return sized(t, "sim.time", short, full, func() (time.Duration, error) { return *longTime, nil })
}

// uplinks gives each address one link for all that it sends to the others, as an access line is.
func (w *World) uplinks(link netsim.Link, at ...netip.AddrPort) {
	for _, a := range at {
		var ways []netsim.Direction
		for _, b := range at {
			if a != b {
				ways = append(ways, netsim.Direction{From: a.Addr(), To: b.Addr()})
			}
		}
		w.Share(link, ways...)
	}
}

// access is the line of a node in rows of many: 10 Mbit/s upwards.
var access = netsim.Link{Rate: 1.25e6, Queue: 250_000, Delay: 20 * time.Millisecond, MTU: 1500}

func rowPartition(t *testing.T, r *result) {
	const nodes, heal = 20, 32 * time.Second
	inBubble(t, Options{Link: access}, func(w *World) {
		// A third has IPv4 only, a third IPv6 only; the others, and the seeder, have both.
		four := func() netip.AddrPort { return w.Addr() }
		six := func() netip.AddrPort {
			b := w.Addr().Addr().As4()
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, b[0], b[1], 15: 1}), node.DefaultPort)
		}
		at := []netip.AddrPort{four(), six()}
		s := w.Node(node.Config{StateDir: w.Path("state")}, at...)
		c, err := randomContent(w.Rand(), size(2_000_000, 8_000_000))
		if err != nil {
			t.Fatal(err)
		}
		s.SeedContents(c)
		sides := [2][]netip.Addr{{at[0].Addr(), at[1].Addr()}, nil}
		var all []*Host
		for i := range nodes {
			own := [][]netip.AddrPort{{four()}, {six()}, {four(), six()}}[i%3]
			all = append(all, w.Node(node.Config{Peers: at}, own...))
			for _, a := range own {
				sides[i%2] = append(sides[i%2], a.Addr())
			}
		}
		go func() {
			time.Sleep(2 * time.Second)
			w.Partition(sides[0], sides[1])
			time.Sleep(heal - 2*time.Second)
			w.Heal()
		}()
		time.Sleep(3 * time.Second)
		var wg sync.WaitGroup
		ends := make([]time.Duration, nodes)
		for i, n := range all {
			wg.Go(func() {
				if _, ok := n.Fetch(c.BLAKE3()); ok {
					ends[i] = w.Now()
				}
			})
		}
		wg.Wait()
		early := 0
		for i, e := range ends {
			if i%2 == 1 && e < heal {
				early++
			}
		}
		r.bar(early == 0, "%d of the side without the seeder were done before it healed", early)
		last := slices.Max(ends) - heal
		r.bar(last <= 30*time.Second && slices.Min(ends) > 0, "the last one %.1f s after it healed", last.Seconds())
		mapped := 0
		for _, n := range append(all, s) {
			for _, p := range n.Peers() {
				if p.Addr.Addr().Is4In6() {
					mapped++
				}
			}
		}
		r.bar(mapped == 0, "%d mapped addresses in tables", mapped)
	})
}

// user is somebody who wants the content again and again: a node that comes and goes. The time of a download counts while the node is
// there.
type user struct {
	w     *World
	rng   *rand.Rand
	mean  time.Duration // of a life; 0: for ever
	peers []netip.AddrPort
	want  *Content
	until time.Duration
	took  func(time.Duration)
	knew  func(peers int)
}

// live is many lives, one after the other. Whoever is done stays and serves until it dies; the next one starts from nothing.
func (u *user) live() {
	state := u.w.Path("state")
	path, online := u.w.Path("got"), time.Duration(0)
	for u.w.Now() < u.until {
		life := u.until - u.w.Now()
		if u.mean > 0 {
			life = min(life, time.Duration(u.rng.ExpFloat64()*float64(u.mean)))
		}
		// Mostly a new address, as dynamic ones are; what it fetched and whom it knew it keeps.
		n := u.w.Node(node.Config{Peers: u.peers, StateDir: state, Up: int64(access.Rate)})
		ctx, cancel := context.WithTimeout(u.w.Context(), life)
		start := u.w.Now()
		_, err := n.Get(ctx, node.Get{ID: u.want.BLAKE3(), Size: -1, Path: path})
		online += u.w.Now() - start
		if err == nil {
			u.took(online)
			online = 0
			<-ctx.Done() // it serves
			state, path = u.w.Path("state"), u.w.Path("got")
		}
		cancel()
		u.knew(n.Stats().Peers)
		if err := n.Close(); err != nil {
			u.w.t.Errorf("%s: close: %v", n, err)
		}
		time.Sleep(time.Duration(u.rng.ExpFloat64() * float64(5*time.Second)))
	}
}

// churn runs users next to one seeder that stays, all with 10 Mbit/s upwards, and returns how long their downloads took, sorted.
func churn(t *testing.T, r *result, users, bytes int, mean, until time.Duration) (times []time.Duration, most int) {
	t.Helper()
	var mu sync.Mutex
	inBubble(t, Options{Link: access, Poll: 2 * time.Second}, func(w *World) {
		var p *sketch
		if mean > 0 {
			p = w.picture("churn")
		}
		s := w.Seeder(node.Config{Up: int64(access.Rate)}, bytes)
		var wg sync.WaitGroup
		for range users {
			u := &user{w: w, rng: w.Rand(), mean: mean, peers: []netip.AddrPort{s.At}, want: s.Contents[0], until: until}
			u.took = func(d time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				times = append(times, d)
			}
			u.knew = func(peers int) {
				mu.Lock()
				defer mu.Unlock()
				most = max(most, peers)
			}
			wg.Go(u.live)
		}
		wg.Wait()
		p.save(r)
	})
	slices.Sort(times)
	return times, most
}

func rowChurn(t *testing.T, r *result) {
	users, bytes, until := sizedNodes(t, 12, 50), sizedBytes(t, 2_000_000, 8_000_000), sizedTime(t, 4*time.Minute, time.Hour)
	calm, _ := churn(t, r, users, bytes, 0, size(time.Minute, 3*time.Minute))
	times, most := churn(t, r, users, bytes, time.Minute, until)
	if len(calm) < users || len(times) < users {
		r.bar(false, "%d of %d downloads without churn ended, %d with", len(calm), users, len(times))
		return
	}
	p99 := func(ts []time.Duration) time.Duration { return ts[(len(ts)-1)*99/100] }
	ratio := p99(times).Seconds() / p99(calm).Seconds()
	r.bar(ratio <= 3, "%d downloads of %.0f MB by %d nodes in %v: p99 %.1f s, without churn %.1f s: %.2f", len(times), float64(bytes)/1e6, users, until, p99(times).Seconds(), p99(calm).Seconds(), ratio)
	r.bar(most <= swarm.MaxPeers, "%d peers in a table at most", most)
}

func rowCrowd(t *testing.T, r *result) {
	bytes, leechers := sizedBytes(t, 2_000_000, 100_000_000), sizedNodes(t, 10, 100)
	inBubble(t, Options{Link: access, Poll: size(500*time.Millisecond, 2*time.Second)}, func(w *World) {
		p := w.picture("flash crowd")
		s := w.Seeder(node.Config{}, bytes)
		c := s.Contents[0]
		at := []netip.AddrPort{s.At}
		var nodes []*Host
		for range leechers {
			n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
			nodes, at = append(nodes, n), append(at, n.At)
		}
		w.uplinks(access, at...)
		start := w.Now()
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() { n.Fetch(c.BLAKE3()) })
		}
		wg.Wait()
		took := (w.Now() - start).Seconds()
		up, total := int64(0), int64(0)
		for _, n := range nodes {
			up += w.Carried(s.At, n.At).Sent
			for _, from := range at {
				total += w.Carried(from, n.At).Came
			}
		}
		copies := float64(up) / float64(bytes)
		ideal := float64(bytes) / access.Rate
		r.bar(copies <= 3, "%d × %.1f MB: the seeder sent %.2f copies", leechers, float64(bytes)/1e6, copies)
		r.bar(took <= 4*ideal, "the last one after %.1f s = %.2f × size ÷ rate", took, took/ideal)
		r.figure("%.1f %% came more than once", 100*(float64(total)/float64(int64(bytes)*int64(leechers))-1))
		p.save(r)
	})
}
