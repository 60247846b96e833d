package netsim

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"sharer/wire"
)

// act is one line of a random script.
type act struct {
	what     int
	from, to int // places
	size     int
	count    int // of datagrams
	link     Link
	after    time.Duration // pause before the next
}

const (
	doSend = iota
	doInject
	doLink
	doShare
	doPartition
	doHeal
	doRebind
	doMove // rebind to a new address
	doReopen
	doBuffer
	doAnnounce
)

// whats is half sending.
var whats = append(slices.Repeat([]int{doSend}, 10), doInject, doLink, doShare, doPartition, doHeal, doRebind, doMove, doReopen, doBuffer, doAnnounce)

// script is a random simulation: hosts outside, two NATs with two hosts each, a firewall with one, and what happens to them.
type script struct {
	seed  uint64
	tick  time.Duration
	link  Link
	kinds [3]NATKind
	acts  []act
}

var links = rapid.Custom(func(t *rapid.T) Link {
	share := rapid.SampledFrom([]float64{0, 0, 0.1, 0.5})
	return Link{
		Rate: rapid.SampledFrom([]float64{0, 10_000, 1e6}).Draw(t, "rate"), Queue: rapid.SampledFrom([]int{0, 7000, 100_000}).Draw(t, "queue"),
		Delay: time.Duration(rapid.IntRange(0, 50).Draw(t, "delay")) * time.Millisecond, Jitter: rapid.SampledFrom([]time.Duration{0, 3 * time.Millisecond}).Draw(t, "jitter"),
		Loss: share.Draw(t, "loss"), Burst: rapid.Float64Range(0, 4).Draw(t, "burst"), Duplicate: share.Draw(t, "duplicate"),
		Reorder: share.Draw(t, "reorder"), ReorderBy: 20 * time.Millisecond, Corrupt: share.Draw(t, "corrupt"),
		MTU: rapid.SampledFrom([]int{0, 1280, 1500}).Draw(t, "mtu"), NoFrags: rapid.Bool().Draw(t, "no fragments"), Down: rapid.IntRange(0, 9).Draw(t, "down") == 0,
	}
})

var natKinds = rapid.Custom(func(t *rapid.T) NATKind {
	dependence := rapid.SampledFrom([]Dependence{EndpointIndependent, AddressDependent, AddressAndPortDependent})
	return NATKind{
		Mapping: dependence.Draw(t, "mapping"), Filtering: dependence.Draw(t, "filtering"),
		Timeout: rapid.SampledFrom([]time.Duration{0, 100 * time.Millisecond}).Draw(t, "timeout"), RefreshInbound: rapid.Bool().Draw(t, "inbound"),
		Hairpin: rapid.Bool().Draw(t, "hairpin"), PreservePorts: rapid.Bool().Draw(t, "preserve"), Ports: rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "ports"),
		LAN: rapid.SampledFrom([]Link{{}, {Delay: time.Millisecond, Loss: 0.3}}).Draw(t, "LAN"),
	}
})

// places is how many addresses a script can send to: of its hosts, of the two NATs, of nobody.
const (
	hostsOfScript = 8
	places        = hostsOfScript + 3
)

var scripts = rapid.Custom(func(t *rapid.T) (s script) {
	s.seed = rapid.Uint64().Draw(t, "seed")
	s.tick = rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond}).Draw(t, "tick")
	s.link = links.Draw(t, "standard")
	for i := range s.kinds {
		s.kinds[i] = natKinds.Draw(t, fmt.Sprint("kind ", i))
	}
	s.acts = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) act {
		return act{
			what: rapid.SampledFrom(whats).Draw(t, "what"),
			from: rapid.IntRange(0, hostsOfScript-1).Draw(t, "from"), to: rapid.IntRange(0, places-1).Draw(t, "to"),
			size:  rapid.SampledFrom([]int{0, 1, 100, 1472, 5600, 65507}).Draw(t, "size"),
			count: rapid.SampledFrom([]int{1, 1, 1, 40}).Draw(t, "count"), link: links.Draw(t, "link"),
			after: time.Duration(rapid.IntRange(0, 40).Draw(t, "after")) * time.Millisecond,
		}
	}), 10, 60).Draw(t, "acts")
	return s
})

// play runs a script. read is how many datagrams hosts have read; unread is whether some may not have been, as a host was closed.
func (s script) play(t *testing.T) (c Counts, trace uint64, read int, unread bool) {
	synctest.Test(t, func(t *testing.T) {
		w := New(s.seed, s.link)
		w.SetTick(s.tick)
		lan := netip.MustParsePrefix("192.168.1.0/24")
		at := func(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }
		outside := []netip.Addr{front, front2}
		first, second, wall := w.NAT(s.kinds[0], front), w.NAT(s.kinds[1], front2), w.NAT(s.kinds[2])
		homes := []struct {
			at   netip.AddrPort
			open func(...netip.AddrPort) *Conn
		}{
			{here, w.Host}, {there, w.Host}, {far6, w.Host},
			{inside, first.Host}, {inside2, first.Host}, {inside, second.Host}, {inside2, second.Host}, {here6, wall.Host},
		}
		var wg sync.WaitGroup
		var reads atomic.Int64
		conns := make([]*Conn, len(homes))
		open := func(i int) {
			c := homes[i].open(homes[i].at)
			c.SetLAN(lan)
			conns[i] = c
			wg.Go(func() { // answers every second of a hundred datagrams with half of it
				for k := 0; ; {
					ds, err := c.ReadBatch()
					if err != nil {
						return
					}
					reads.Add(int64(len(ds)))
					for _, d := range ds {
						if k++; k%2 == 0 && k < 100 {
							_, _ = c.WriteBatch([]wire.Datagram{{Addr: d.Addr, Data: d.Data[:len(d.Data)/2]}})
						}
					}
				}
			})
		}
		for i := range homes {
			open(i)
		}
		target := func(i int) netip.AddrPort {
			switch {
			case i < len(homes):
				return homes[i].at
			case i < len(homes)+2:
				return netip.AddrPortFrom(outside[i-len(homes)], inside.Port())
			}
			return at("203.0.113.99:9")
		}
		moves := 0
		for _, a := range s.acts {
			from, to := target(a.from), target(a.to)
			switch a.what {
			case doSend:
				ds := slices.Repeat([]wire.Datagram{{Addr: to, Data: make([]byte, a.size)}}, a.count)
				if _, err := conns[a.from].WriteBatch(ds); err != nil && from.Addr().Is4() == to.Addr().Is4() {
					t.Error(err)
				}
			case doInject:
				w.Inject(from, to, make([]byte, a.size))
			case doLink:
				w.SetOneWay(from.Addr(), to.Addr(), a.link)
			case doShare:
				w.Share(a.link, Direction{from.Addr(), to.Addr()}, Direction{front, to.Addr()})
			case doPartition:
				w.Partition([]netip.Addr{from.Addr(), front}, []netip.Addr{to.Addr()})
			case doHeal:
				w.Heal()
			case doRebind:
				first.Rebind()
			case doMove:
				moves++
				outside[1] = netip.AddrFrom4([4]byte{198, 51, 101, byte(moves)})
				second.Rebind(outside[1])
			case doReopen:
				if err := conns[a.from].Close(); err != nil {
					t.Error(err)
				}
				unread = true
				open(a.from)
			case doBuffer:
				conns[a.from].SetRecvBuffer(a.size)
			case doAnnounce:
				_, _ = conns[a.from].WriteBatch([]wire.Datagram{{Addr: netip.AddrPortFrom(allHosts4, from.Port()), Data: make([]byte, a.size)}})
			}
			// Not with a tick or what arrives: a host that answers just then would be two goroutines that send at one instant.
			time.Sleep(a.after + 137)
		}
		time.Sleep(24 * time.Hour) // the slowest link needs five hours for all that sixty times forty datagrams can be
		synctest.Wait()
		c, trace, read = w.Total(), w.TraceHash(), int(reads.Load())
		for _, c := range conns {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		w.Close()
		wg.Wait()
		if err := conns[0].Close(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return c, trace, read, unread
}

// check is what must hold of each script: each datagram has one fate, and what is delivered is read.
func (s script) check(t *testing.T) (c Counts, trace uint64, err error) {
	c, trace, read, unread := s.play(t)
	if c.Sent+c.Duplicated != c.Delivered+c.Dropped() {
		return c, trace, fmt.Errorf("%d sent and %d duplicated, %d delivered and %d dropped", c.Sent, c.Duplicated, c.Delivered, c.Dropped())
	}
	if read > c.Delivered || read < c.Delivered && !unread {
		return c, trace, fmt.Errorf("%d delivered, %d read", c.Delivered, read)
	}
	return c, trace, nil
}

func TestNothingIsLostUncounted(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		if c, _, err := scripts.Draw(rt, "script").check(t); err != nil {
			rt.Fatalf("%v: %+v", err, c)
		}
	})
}

// The same for scripts that are always the same ones, each of them twice with one trace; together they meet every fate but that
// of a full reassembly pool.
func TestScriptsRepeat(t *testing.T) {
	var all Counts
	for i := range 60 {
		s := scripts.Example(i)
		c, trace, err := s.check(t)
		if err != nil {
			t.Errorf("script %d: %v: %+v", i, err, c)
		}
		if d, again, _ := s.check(t); again != trace {
			t.Errorf("script %d has two traces: %+v, %+v", i, c, d)
		}
		all.add(c)
	}
	for name, n := range map[string]int{
		"delivered": all.Delivered, "lost": all.Lost, "overflow": all.Overflow, "down": all.Down, "unreachable": all.Unreachable, "full": all.Full,
		"blocked": all.Blocked, "filtered": all.Filtered, "unmapped": all.Unmapped, "duplicated": all.Duplicated,
	} {
		if n == 0 {
			t.Errorf("no datagram was %s: %+v", name, all)
		}
	}
}
