package sim

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
)

var (
	longSeeds  = flag.Int("sim.seeds", 4, "TestLong: number of worlds, each drawn from its seed")
	longFirst  = flag.Uint64("sim.seed", 1, "TestLong: the first seed")
	longFaults = flag.String("sim.faults", "loss,reorder,dup,corrupt,partition,churn,evil,nat", "TestLong: faults that may be drawn")
	longSize   = flag.String("sim.size", "1MB", "TestLong: largest content")
	longNodes  = flag.Int("sim.nodes", 6, "TestLong: most nodes of a world")
	longTime   = flag.Duration("sim.time", 30*time.Second, "TestLong: virtual time with faults; downloads end after it at the latest when patience does")
	longTwice  = flag.Int("sim.twice", 4, "TestLong: each so many'th seed runs twice, to compare traces; 0: none")
)

// patience is how long a download may take when all faults that come and go have gone.
const patience = 15 * time.Minute

// realPatience is after how long a world names itself that does not end: it may keep a processor busy at one instant for ever.
const realPatience = 30 * time.Second

// faultNames are what -sim.faults may hold.
var faultNames = []string{"loss", "reorder", "dup", "corrupt", "partition", "churn", "evil", "nat"}

// draw is a world as its seed has it.
type draw struct {
	seed   uint64
	rng    *rand.Rand
	faults map[string]bool // that happen in this world: each that is allowed by half
	size   int
	nodes  int
	span   time.Duration
}

func newDraw(seed uint64, allowed []string, size, nodes int, span time.Duration) *draw {
	d := &draw{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x6c6f6e67)), faults: map[string]bool{}, span: span}
	for _, name := range faultNames { // drawn for all, so that a world without one fault is otherwise the same
		if happens := d.rng.IntN(2) == 0; happens && slices.Contains(allowed, name) {
			d.faults[name] = true
		}
	}
	d.size = 1 + d.rng.IntN(size)
	d.nodes = 2 + d.rng.IntN(max(nodes-1, 1))
	return d
}

// between draws from a range whose ends are orders of magnitude apart.
func (d *draw) between(low, high float64) float64 {
	return low * math.Pow(high/low, d.rng.Float64())
}

// link draws a link, with the faults of this world.
func (d *draw) link() netsim.Link {
	rate := d.between(100_000, 12.5e6)
	l := netsim.Link{
		Rate: rate, Queue: max(int(rate*d.between(0.02, 0.5)), 24_000), Delay: time.Duration(d.between(1e6, 150e6)),
		Jitter: time.Duration(d.rng.IntN(3)) * time.Millisecond, MTU: []int{0, 1500, 1500, 1280}[d.rng.IntN(4)],
	}
	if d.faults["loss"] {
		l.Loss, l.Burst = d.rng.Float64()*0.10, 1+2*d.rng.Float64()
	}
	if d.faults["reorder"] {
		l.Reorder, l.ReorderBy = d.rng.Float64()*0.10, time.Duration(d.rng.IntN(50))*time.Millisecond
	}
	if d.faults["dup"] {
		l.Duplicate = d.rng.Float64() * 0.20
	}
	if d.faults["corrupt"] {
		l.Corrupt = d.rng.Float64() * 1e-4 // what the checksum of UDP lets pass is rarer by far
	}
	return l
}

func (d *draw) String() string {
	var fs []string
	for _, name := range faultNames {
		if d.faults[name] {
			fs = append(fs, name)
		}
	}
	return fmt.Sprintf("%d bytes, %d nodes, %s", d.size, d.nodes, strings.Join(fs, " "))
}

// participant is a downloader of a drawn world.
type participant struct {
	home bool // behind a NAT
	mu   sync.Mutex
	h    *Host
	nat  *Behind // nil: it is not at home
	conf node.Config
	id   chunk.ID
	path string
}

func (p *participant) start(w *World) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.home {
		p.nat = w.NodeBehind(netsim.PortRestricted, p.conf) // after a crash it is at another home
		p.h = p.nat.Host
		return
	}
	p.h = w.Node(p.conf)
}

// host is the node as it runs now.
func (p *participant) host() *Host {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.h
}

// rebind moves a node at home.
func (p *participant) rebind(elsewhere bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.home {
		p.nat.Rebind(elsewhere)
	}
}

// play runs a drawn world to its end and returns the hash of its trace. Every download must end with equal bytes; the checkers of
// the world see to everything else.
func (d *draw) play(t *testing.T) (hash uint64) {
	w := New(t, Options{Seed: d.seed, Link: d.link(), Poll: time.Second})
	defer w.Close()
	c, err := randomContent(w.Rand(), d.size)
	if err != nil {
		t.Fatal(err)
	}
	seeders := []*Host{w.SeederOf(node.Config{}, c)}
	if d.rng.IntN(2) == 0 {
		seeders = append(seeders, w.SeederOf(node.Config{}, c))
	}
	var given []netip.AddrPort
	if d.faults["evil"] {
		names := slices.Sorted(maps.Keys(liars))
		for range 1 + d.rng.IntN(3) {
			given = append(given, w.Evil(liars[names[d.rng.IntN(len(names))]](c)...).At)
		}
	}
	for _, s := range seeders {
		given = append(given, s.At)
	}
	var all []*participant
	for i := range d.nodes {
		p := &participant{conf: node.Config{Peers: given, StateDir: w.Path("state")}, id: c.BLAKE3(), path: w.Path("got")}
		if d.rng.IntN(4) == 0 {
			p.id = c.SHA256()
		}
		if d.faults["nat"] && d.rng.IntN(2) == 0 {
			p.home = true
		}
		p.start(w)
		if i%2 == 0 && !p.home {
			w.SetLink(p.h.At.Addr(), seeders[0].At.Addr(), d.link())
		}
		all = append(all, p)
	}
	var wg sync.WaitGroup
	for _, p := range all {
		delay, crash := time.Duration(d.rng.Int64N(int64(5*time.Second))), time.Duration(0)
		if d.faults["churn"] && d.rng.IntN(2) == 0 {
			crash = delay + 1 + time.Duration(d.rng.Int64N(int64(d.span)))
		}
		wg.Go(func() { d.download(w, p, delay, crash) })
	}
	wg.Go(func() { d.meanwhile(w, all) })
	wg.Wait()
	return w.TraceHash()
}

// download gets the content, across one end and new start of the node if crash is not zero.
func (d *draw) download(w *World, p *participant, delay, crash time.Duration) {
	time.Sleep(delay)
	get := func(ctx context.Context) error {
		_, err := p.host().Get(ctx, node.Get{ID: p.id, Size: -1, Path: p.path, FindTimeout: patience, StallTimeout: patience})
		return err
	}
	ctx, cancel := context.WithTimeout(w.Context(), d.span+patience)
	defer cancel()
	if crash > 0 {
		first, end := context.WithTimeout(ctx, crash-delay)
		err := get(first)
		end()
		if err == nil {
			return
		}
		if err := p.host().Close(); err != nil {
			w.t.Errorf("%s: close: %v", p.host(), err)
		}
		time.Sleep(2 * time.Second)
		p.start(w)
	}
	if err := get(ctx); err != nil {
		w.t.Errorf("%s: %s after %v: %v", p.host(), p.id, w.Now(), err)
	}
}

// meanwhile partitions and moves.
func (d *draw) meanwhile(w *World, all []*participant) {
	for w.Now() < d.span {
		time.Sleep(time.Duration(d.rng.Int64N(int64(d.span/4) + 1)))
		if d.faults["partition"] {
			var sides [2][]netip.Addr
			for _, h := range w.Hosts() {
				k := d.rng.IntN(2)
				sides[k] = append(sides[k], h.At.Addr())
			}
			w.Partition(sides[0], sides[1])
			time.Sleep(time.Duration(d.rng.Int64N(int64(d.span/4) + 1)))
			w.Heal()
		}
		if d.faults["nat"] {
			all[d.rng.IntN(len(all))].rebind(d.rng.IntN(2) == 0)
		}
	}
}

// TestLong draws a world from each seed. A failure tells the one command that repeats it.
func TestLong(t *testing.T) {
	allowed := strings.Split(*longFaults, ",")
	for _, name := range allowed {
		if name != "" && !slices.Contains(faultNames, name) {
			t.Fatalf("-sim.faults: %q is none of %s", name, strings.Join(faultNames, ","))
		}
	}
	size, err := parseSize(*longSize)
	if err != nil {
		t.Fatal(err)
	}
	var same, compared, green atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d of %d seeds green; of %d worlds that ran twice %d had the same trace", green.Load(), *longSeeds, compared.Load(), same.Load())
	})
	for i := range *longSeeds {
		seed := *longFirst + uint64(i)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			once := func() (hash uint64) {
				stuck := time.AfterFunc(realPatience, func() { fmt.Printf("seed %d runs for %v of real time\n", seed, realPatience) })
				defer stuck.Stop()
				d := newDraw(seed, allowed, size, *longNodes, *longTime)
				synctest.Test(t, func(t *testing.T) { hash = d.play(t) })
				return hash
			}
			first := once()
			if *longTwice > 0 && i%*longTwice == 0 {
				compared.Add(1)
				if once() == first {
					same.Add(1)
				}
			}
			if !t.Failed() {
				green.Add(1)
				return
			}
			t.Logf("%s: go test ./sim -run '^TestLong$' -sim.seeds=1 -sim.seed=%d -sim.faults=%s -sim.size=%s -sim.nodes=%d -sim.time=%v",
				newDraw(seed, allowed, size, *longNodes, *longTime), seed, *longFaults, *longSize, *longNodes, *longTime)
		})
	}
}

// TestHour is an hour of 20 nodes that mostly rest: keepalives, and a download each at some time.
func TestHour(t *testing.T) {
	if !*long {
		t.Skip("runs with -sim.long")
	}
	start := time.Now()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain, Poll: 5 * time.Second})
		defer w.Close()
		s := w.Seeder(node.Config{}, 4_000_000)
		rng := w.Rand()
		var wg sync.WaitGroup
		for range 19 {
			n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
			wait := time.Duration(rng.Int64N(int64(50 * time.Minute)))
			wg.Go(func() {
				time.Sleep(wait)
				n.Fetch(s.Contents[0].BLAKE3())
			})
		}
		wg.Wait()
		time.Sleep(time.Hour - w.Now())
		total := w.Total()
		t.Logf("%d datagrams, %.1f MB", total.Sent, float64(total.Bytes)/1e6)
	})
	took := time.Since(start)
	t.Logf("an hour of 20 nodes took %.1f s", took.Seconds())
	if took > time.Minute {
		t.Errorf("it took %v, want less than a minute", took)
	}
}

func parseSize(s string) (int, error) {
	digits, unit := strings.TrimRight(s, "kKMGB"), 1
	switch strings.ToUpper(strings.TrimPrefix(s, digits)) {
	case "", "B":
	case "K", "KB":
		unit = 1000
	case "M", "MB":
		unit = 1_000_000
	case "G", "GB":
		unit = 1_000_000_000
	default:
		return 0, fmt.Errorf("-sim.size: %q is no size such as 4MB", s)
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("-sim.size: %q is no size such as 4MB", s)
	}
	return n * unit, nil
}
