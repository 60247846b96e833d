package netsim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/wire"
)

// chatter is a simulation in which everything happens that a network can do, much of it at the same instants.
type chatter struct {
	seed   uint64
	hosts  int // outside
	homes  int // NATs with two hosts each
	tick   time.Duration
	shaken bool // the network changes and hosts come and go, on the beat of those that send
	stir   bool // goroutines start in another order each time
}

const beat = 2 * time.Millisecond

// run returns the trace, and checks that all is accounted for.
func (ch chatter) run(t *testing.T) (hash uint64, c Counts) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := New(ch.seed, Link{
			Rate: 1e6, Queue: 20_000, Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.02, Bursty: Bursts(0.02, 3),
			Duplicate: 0.05, Reorder: 0.05, ReorderBy: 3 * time.Millisecond, Corrupt: 0.05, MTU: 1500,
		})
		w.SetTick(ch.tick)
		var conns []*Conn
		var all []netip.AddrPort // where they are reached, if they are
		host := func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 1)
		}
		for i := range ch.hosts {
			all = append(all, host(i))
			conns = append(conns, w.Host(all[i]))
		}
		var nats []*NAT
		for i := range ch.homes {
			kind := []NATKind{PortRestricted, Symmetric, FullCone}[i%3]
			kind.Timeout, kind.Hairpin, kind.PreservePorts = 20*time.Millisecond, true, i%2 == 0
			outside := netip.AddrFrom4([4]byte{20, 0, 0, byte(i)})
			nat := w.NAT(kind, outside)
			nats = append(nats, nat)
			for k := range 2 { // both NATs have the same addresses behind them
				inside := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 0, byte(k)}), 1)
				conns = append(conns, nat.Host(inside))
				all = append(all, []netip.AddrPort{netip.AddrPortFrom(outside, 1), inside}[k])
			}
		}
		var wg sync.WaitGroup
		chat := func(c *Conn) { // answers half of what it gets, seen as many bytes
			for {
				ds, err := c.ReadBatch()
				if err != nil {
					return
				}
				for _, d := range ds {
					if len(d.Data) > 1 {
						_, _ = c.WriteBatch([]wire.Datagram{{Addr: d.Addr, Data: d.Data[:len(d.Data)/2]}})
					}
				}
			}
		}
		talk := func(i int) {
			time.Sleep(time.Nanosecond) // not with a tick: the other goroutine of this host may send to the same then, which is the exception
			for k := range 30 {
				for j := range conns {
					if j != i {
						_, _ = conns[i].WriteBatch([]wire.Datagram{{Addr: all[j], Data: make([]byte, 100+k*(1+j)*50)}})
					}
				}
				time.Sleep(beat)
			}
		}
		order := rand.Perm(len(conns))
		for i := range order {
			if !ch.stir {
				order[i] = i
			}
			wg.Go(func() { chat(conns[order[i]]) })
			wg.Go(func() { talk(order[i]) })
		}
		if ch.shaken {
			wg.Go(func() {
				for k := range 20 {
					time.Sleep(beat)
					switch k % 4 {
					case 0:
						w.Partition([]netip.Addr{all[0].Addr(), nats[0].table.faces[0].addr}, []netip.Addr{all[1].Addr()})
					case 1:
						w.SetOneWay(all[0].Addr(), all[1].Addr(), Link{Delay: beat / 3})
						w.Heal()
					case 2:
						nats[k%len(nats)].Rebind()
					case 3: // at the same address another takes over
						guest := host(100)
						c := w.Host(guest)
						send(t, c, all[0], make([]byte, 999))
						wg.Go(func() { chat(c) })
						time.Sleep(beat)
						if err := c.Close(); err != nil {
							t.Error(err)
						}
						w.Inject(all[0], guest, []byte("who is there"))
					}
				}
			})
		}
		settle()
		hash, c = w.TraceHash(), w.Total()
		w.Close()
		wg.Wait()
	})
	if c.Sent+c.Duplicated != c.Delivered+c.Dropped() {
		t.Errorf("datagrams are missing: %+v", c)
	}
	return hash, c
}

// One seed is one run, whatever the order in which goroutines start and run, and on however many processors. The figure
// to look at is that of different traces: it has never been other than one.
func TestTraceIsOfTheSeed(t *testing.T) {
	const runs = 6
	for _, ch := range []chatter{
		{hosts: 2},
		{hosts: 5},
		{hosts: 5, tick: beat},
		{hosts: 3, homes: 2},
		{hosts: 3, homes: 3, shaken: true},
		{hosts: 3, homes: 3, shaken: true, tick: beat / 2},
	} {
		t.Run(fmt.Sprintf("%d hosts, %d NATs, tick %s, shaken %t", ch.hosts, ch.homes, ch.tick, ch.shaken), func(t *testing.T) {
			ch.seed = 1
			first, c := ch.run(t)
			if c.Lost == 0 || c.Overflow == 0 && ch.hosts > 2 || c.Duplicated == 0 || c.Reordered == 0 || c.Corrupted == 0 ||
				ch.homes > 0 && (c.Filtered == 0 || c.Unmapped == 0) || ch.shaken && (c.Down == 0 || c.Unreachable == 0) {
				t.Errorf("not everything happened: %+v", c)
			}
			traces := map[uint64]int{first: 1}
			ch.stir = true
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
			for i := range runs - 1 {
				runtime.GOMAXPROCS(1 + i%4)
				again, _ := ch.run(t)
				traces[again]++
			}
			if len(traces) != 1 {
				t.Errorf("%d runs of one seed have %d traces: %v", runs, len(traces), traces)
			}
			t.Logf("%d runs, %d trace, %d datagrams", runs, len(traces), c.Sent)
			ch.seed = 2
			if other, _ := ch.run(t); other == first {
				t.Errorf("two seeds, one trace: %x", first)
			}
		})
	}
}

// Each thing that a trace is said to hold changes it.
func TestTraceHoldsAll(t *testing.T) {
	run := func(from, to netip.AddrPort, data string, after time.Duration, seed uint64, l Link) (hash uint64) {
		synctest.Test(t, func(t *testing.T) {
			w := New(seed, l)
			defer w.Close()
			w.Host(there)
			time.Sleep(after)
			w.Inject(from, to, []byte(data))
			settle()
			hash = w.TraceHash()
		})
		return hash
	}
	flipped := Link{Corrupt: 1} // a bit, which is by the seed
	traces := map[uint64]bool{
		run(here, there, "x", 0, 1, Link{}):                                            true,
		run(here, there, "y", 0, 1, Link{}):                                            true,
		run(peerA, there, "x", 0, 1, Link{}):                                           true,
		run(here, peerA, "x", 0, 1, Link{}):                                            true,
		run(here, netip.AddrPortFrom(there.Addr(), 9), "x", 0, 1, Link{}):              true,
		run(here, there, "x", 1, 1, Link{}):                                            true,
		run(here, there, "x", 0, 1, Link{Delay: 5}):                                    true,
		run(here, there, "x", 0, 1, Link{Down: true}):                                  true,
		run(here, there, "eight bits of eight bytes", 0, 1, flipped):                   true,
		run(here, there, "eight bits of eight bytes", 0, 2, flipped):                   true,
		run(netip.AddrPortFrom(here.Addr(), there.Port()+1), there, "x", 0, 1, Link{}): true,
	}
	if len(traces) != 11 {
		t.Errorf("11 different runs have %d traces", len(traces))
	}
}
