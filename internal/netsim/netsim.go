// Package netsim is a network in memory, for simulations inside a testing/synctest bubble: time is
// virtual, and nothing leaves the process.
//
//	synctest.Test(t, func(t *testing.T) {
//		w := netsim.New(seed, netsim.Link{Rate: 3e6, Queue: 1 << 18, Delay: 20 * time.Millisecond, Loss: 0.01, MTU: 1500})
//		defer w.Close()
//		a := w.Host(netip.MustParseAddrPort("192.0.2.1:24254")) // a swarm.Conn
//		home := w.NAT(netsim.PortRestricted, netip.MustParseAddr("198.51.100.7"))
//		b := home.Host(netip.MustParseAddrPort("192.168.1.2:24254"))
//		…
//	})
//
// What it promises:
//   - A datagram meets what its [Link] says: rate, queue, delay, loss by packet and not by datagram
//     (one lost fragment is all lost, and what is left of it fills the receiver's reassembly pool), and the rest;
//     and the [NAT] or firewall on either side.
//   - Every fate is counted, so that a simulation can assert that the faults it asked for did happen:
//     Sent + Duplicated = Delivered + Dropped() + what is under way.
//   - It is the same in every run of a seed, as far as hosts send the same. A datagram that is sent at one
//     instant enters its link a nanosecond later, when every goroutine has come to rest, and those of one instant
//     enter in the order of their addresses: which goroutine ran first changes nothing. So do changes of the network
//     (of links, partitions, hosts, NATs): they hold from the next nanosecond on, before what enters then. Two goroutines
//     of one host that send to one destination at one instant are the exception, and two that change the same thing.
//     Each link has its own chance. [Network.TraceHash] tells whether two runs were the same.
//   - Waiting is durable in the sense of synctest, and Close leaves no goroutine.
//   - A reader that keeps a datagram beyond the next ReadBatch finds it overwritten.
//
// One goroutine carries everything; outside of a bubble it does so in real time. Hosts may be closed
// and opened again at the same address. [Faulty] makes a socket fail by script. What the network does not do: a UDP checksum,
// ICMP, a NAT behind a NAT.
package netsim

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Network joins hosts.
type Network struct {
	seed    uint64
	start   time.Time
	done    chan struct{}
	ended   chan struct{}
	once    sync.Once
	closed  atomic.Bool
	store   store
	postbox postbox

	mu      sync.Mutex
	outside *realm
	realms  []*realm // in order of creation, the outside first
	gates   map[netip.Addr]*NAT
	sides   map[netip.Addr]int // of the partition
	hosts   []*Conn            // that are open
	events  events
	seq     uint64
	now     time.Duration // of the running step
	tap     func(Packet)  // of what is sent
	tapAll  func(Packet)
	trace   uint64
}

// New starts a network whose links are like standard where nothing else is said. Close ends it.
func New(seed uint64, standard Link) *Network {
	n := &Network{
		seed: seed, start: time.Now(), done: make(chan struct{}), ended: make(chan struct{}),
		gates: map[netip.Addr]*NAT{}, sides: map[netip.Addr]int{}, trace: traceStart,
	}
	n.outside = n.realmLocked(nil, standard)
	n.postbox.wake, n.postbox.timer = never, time.NewTimer(time.Hour)
	n.postbox.timer.Stop()
	go n.run()
	return n
}

// Close ends the network, waits for its goroutine, and closes hosts that are still open.
func (n *Network) Close() {
	n.once.Do(func() {
		n.closed.Store(true)
		close(n.done)
		<-n.ended
		n.mu.Lock()
		left := slices.Clone(n.hosts)
		n.mu.Unlock()
		for _, c := range left {
			_ = c.Close() // net.ErrClosed where its owner was faster
		}
	})
}

// SetTick makes the network look only at multiples of d since it was made, and hand over all that is due then: a
// datagram reaches its reader up to d late, as from a network card that saves interrupts. Links and taps keep their
// exact times. It is for large simulations, which it makes cheaper; 0, as at the start, is exact.
func (n *Network) SetTick(d time.Duration) {
	n.postbox.mu.Lock()
	defer n.postbox.mu.Unlock()
	n.postbox.tick = max(d, 0)
}

// SetDefault changes all links outside of NATs that were not set themselves.
func (n *Network) SetDefault(l Link) {
	n.change(func() { n.outside.standard = l })
}

// SetLink sets both directions between two addresses. Of hosts behind a NAT the address is that of the NAT.
func (n *Network) SetLink(a, b netip.Addr, l Link) {
	n.SetOneWay(a, b, l)
	n.SetOneWay(b, a, l)
}

// SetOneWay sets one direction. What waits on it keeps its time of arrival, the counts go on.
func (n *Network) SetOneWay(from, to netip.Addr, l Link) {
	n.change(func() {
		lane := n.outside.lane(pair{plain(from), plain(to)})
		if lane.pipe.shared {
			lane.own.reset(n.outside.seed, lane.pair)
			lane.pipe = &lane.own
		}
		lane.pipe.link = &l
	})
}

// Share gives several directions one link: they wait in one queue and have one rate, such as the uplink of
// a host or a bottleneck. Each still has its counts.
func (n *Network) Share(l Link, directions ...Direction) {
	directions = slices.Clone(directions)
	n.change(func() {
		var shared *pipe
		for _, d := range directions {
			lane := n.outside.lane(pair{plain(d.From), plain(d.To)})
			if shared == nil {
				shared = &pipe{}
				shared.reset(n.outside.seed^sharedSalt, lane.pair)
				shared.shared, shared.link = true, &l
			}
			lane.pipe = shared
		}
	})
}

// Direction names one way between two hosts.
type Direction struct{ From, To netip.Addr }

// Partition cuts everything between hosts of different groups, also what is under way. Hosts
// that are in no group reach everybody. A new partition replaces the one before. Of hosts behind a NAT
// the address is that of the NAT; what stays behind one is never cut.
func (n *Network) Partition(groups ...[]netip.Addr) {
	sides := map[netip.Addr]int{}
	for i, g := range groups {
		for _, a := range g {
			sides[plain(a)] = i
		}
	}
	n.change(func() { n.sides = sides })
}

// Heal ends a partition.
func (n *Network) Heal() { n.Partition() }

// Inject sends a datagram from any address, whether a host is there or not: a forged one. It starts outside of all NATs.
func (n *Network) Inject(from, to netip.AddrPort, data []byte) {
	sent := time.Since(n.start)
	e := n.store.take(len(data))
	e.enter(n.outside, bare(from), bare(to), data, sent)
	n.post(e, e, e.due)
}

// Counts returns what became of the datagrams of one direction, outside of NATs.
func (n *Network) Counts(from, to netip.Addr) Counts {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.outside.countsLocked(from, to)
}

// Total adds all links up, those behind NATs with them.
func (n *Network) Total() (t Counts) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.realms {
		for _, l := range r.made {
			t.add(l.counts)
		}
	}
	return t
}

// plain is an address as links are found by: zones are of hosts, not of the network.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// bare is plain for sockets.
func bare(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(plain(a.Addr()), a.Port()) }
