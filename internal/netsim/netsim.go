// Package netsim is a network in memory, for simulations inside a testing/synctest bubble: time is
// virtual, and nothing leaves the process.
//
//	synctest.Test(t, func(t *testing.T) {
//		w := netsim.New(seed, netsim.Link{Rate: 3e6, Queue: 1 << 18, Delay: 20 * time.Millisecond, Loss: 0.01, MTU: 1500})
//		defer w.Close()
//		a := w.Host(netip.MustParseAddrPort("192.0.2.1:24254")) // a swarm.Conn
//		…
//	})
//
// What it promises:
//   - A datagram meets what its [Link] says: rate, queue, delay, loss by packet and not by datagram
//     (one lost fragment is all lost, and what is left of it fills the receiver's reassembly pool), and the rest.
//   - Every fate is counted, so that a simulation can assert that the faults it asked for did happen:
//     Sent + Duplicated = Delivered + Dropped() + what is under way.
//   - It is the same in every run of a seed, as far as hosts send the same. A datagram that is sent at one
//     instant enters its link a nanosecond later, when every goroutine has come to rest, and those of one instant
//     enter in the order of their addresses: which goroutine ran first changes nothing. Two goroutines of
//     one host that send to one destination at one instant are the exception. Each link has its own chance.
//   - Waiting is durable in the sense of synctest, and Close leaves no goroutine.
//   - A reader that keeps a datagram beyond the next ReadBatch finds it overwritten.
//
// One goroutine carries everything; outside of a bubble it does so in real time. Hosts may be closed
// and opened again at the same address. What it does not do: NAT, a UDP checksum.
package netsim

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Network joins hosts.
type Network struct {
	seed  uint64
	start time.Time
	wake  chan struct{} // one token when the first event may be another
	done  chan struct{}
	ended chan struct{}
	close sync.Once

	mu         sync.Mutex
	closed     bool
	standard   Link
	lanes      map[pair]*lane
	made       []*lane // lanes by time of creation, so that nothing depends on the map's order
	sides      map[netip.Addr]int
	hosts      []*Conn // the same for hosts
	socks      map[netip.AddrPort]*sock
	broadcasts map[netip.Addr]netip.Prefix // of all LANs
	pools      map[netip.Addr]*pool
	events     events
	seq        uint64
	tap        func(Packet) // of what is sent
	tapAll     func(Packet)
	trace      uint64
}

// New starts a network whose links are like standard where nothing else is said. Close ends it.
func New(seed uint64, standard Link) *Network {
	n := &Network{
		seed: seed, start: time.Now(), standard: standard,
		wake: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{}),
		lanes: map[pair]*lane{}, sides: map[netip.Addr]int{}, socks: map[netip.AddrPort]*sock{},
		broadcasts: map[netip.Addr]netip.Prefix{}, pools: map[netip.Addr]*pool{}, trace: fnvOffset,
	}
	go n.run()
	return n
}

// Close ends the network, waits for its goroutine, and closes hosts that are still open.
func (n *Network) Close() {
	n.close.Do(func() {
		close(n.done)
		<-n.ended
		n.mu.Lock()
		n.closed = true
		left := slices.Clone(n.hosts)
		n.mu.Unlock()
		for _, c := range left {
			_ = c.Close() // net.ErrClosed where its owner was faster
		}
	})
}

// SetDefault changes all links that were not set themselves.
func (n *Network) SetDefault(l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.standard = l
}

// SetLink sets both directions between two addresses.
func (n *Network) SetLink(a, b netip.Addr, l Link) {
	n.SetOneWay(a, b, l)
	n.SetOneWay(b, a, l)
}

// SetOneWay sets one direction. What waits on it keeps its time of arrival, the counts go on.
func (n *Network) SetOneWay(from, to netip.Addr, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	lane := n.laneLocked(from, to)
	if lane.pipe.shared {
		lane.pipe = newPipe(n.seed, lane.pair)
	}
	lane.pipe.own, lane.pipe.link = true, l
}

// Share gives several directions one link: they wait in one queue and have one rate, such as the uplink of
// a host or a bottleneck. Each still has its counts.
func (n *Network) Share(l Link, directions ...Direction) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var shared *pipe
	for _, d := range directions {
		lane := n.laneLocked(d.From, d.To)
		if shared == nil {
			shared = newPipe(n.seed^sharedSalt, lane.pair)
			shared.shared, shared.own, shared.link = true, true, l
		}
		lane.pipe = shared
	}
}

// Direction names one way between two hosts.
type Direction struct{ From, To netip.Addr }

// Partition cuts everything between hosts of different groups, also what is under way. Hosts
// that are in no group reach everybody. A new partition replaces the one before.
func (n *Network) Partition(groups ...[]netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.sides)
	for i, g := range groups {
		for _, a := range g {
			n.sides[a.Unmap().WithZone("")] = i
		}
	}
}

// Heal ends a partition.
func (n *Network) Heal() { n.Partition() }

// Inject sends a datagram from any address, whether a host is there or not: a forged one.
func (n *Network) Inject(from, to netip.AddrPort, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sendLocked(bare(from), bare(to), data)
}

// Packet is a datagram as a tap sees it.
type Packet struct {
	At       time.Time
	From, To netip.AddrPort // of the fate of a broadcast: To is the host
	Data     []byte         // valid during the call
	Outcome  Outcome
}

// Tap has f called with every datagram that is sent, once, whatever becomes of it, by one goroutine
// and in order of time. f must not call the network. nil ends it.
func (n *Network) Tap(f func(Packet)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = f
}

// TapAll is Tap, and f is called once more for each copy when its fate is known. What a host
// receives, f sees before that host does.
func (n *Network) TapAll(f func(Packet)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tapAll = f
}

// Counts returns what became of the datagrams of one direction.
func (n *Network) Counts(from, to netip.Addr) Counts {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.laneLocked(from, to).counts
}

// Total adds all links up.
func (n *Network) Total() (t Counts) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.made {
		t.add(l.counts)
	}
	return t
}

// TraceHash is a hash over the time, addresses, bytes and outcome of all that happened so far. It is
// comparable between processes.
func (n *Network) TraceHash() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trace
}

// FNV-1a, 64 bits.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (n *Network) traceLocked(p *Packet, sum uint32) {
	h := n.trace
	word := func(v uint64) {
		for range 8 {
			h = (h ^ v&0xff) * fnvPrime
			v >>= 8
		}
	}
	addr := func(a netip.AddrPort) {
		for _, b := range a.Addr().As16() {
			h = (h ^ uint64(b)) * fnvPrime
		}
		word(uint64(a.Port()))
	}
	word(uint64(p.At.Sub(n.start)))
	addr(p.From)
	addr(p.To)
	word(uint64(sum)<<8 | uint64(p.Outcome))
	n.trace = h
}

// seeded is the chance of one link: it depends on the seed and the addresses, not on what was used first.
func seeded(seed uint64, p pair) *rand.Rand {
	from, to := p.from.As16(), p.to.As16()
	h := uint64(fnvOffset)
	for _, b := range append(from[:], to[:]...) {
		h = (h ^ uint64(b)) * fnvPrime
	}
	return rand.New(rand.NewPCG(seed, h))
}

// sharedSalt tells the chance of a shared link from that of the same direction alone.
const sharedSalt = 0x736861726564

// bare is an address as links and sockets are found by: zones are of hosts, not of the network.
func bare(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}
