// Package netsim is a network in memory, for simulations inside a testing/synctest
// bubble: time is virtual, and nothing leaves the process.
//
// It promises that a datagram meets what its link says (rate, queue, delay, loss and
// the like), that every fate is counted, so that a simulation can assert that the faults
// it asked for did happen, and that all chance comes from one seed. The order in which
// goroutines send at one instant is Go's; see [Network.TraceHash].
//
// A datagram above the MTU is lost as its fragments are: one lost is all lost.
package netsim

import (
	"container/heap"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"sharer/wire"
)

// Link is one direction between two hosts. The zero Link is perfect.
type Link struct {
	Rate      float64       // bytes a second, headers counted; 0: infinite
	Queue     int           // bytes that wait at most, the last ones dropped; 0: unbounded
	Delay     time.Duration // one way
	Jitter    time.Duration // uniform, added; order is kept
	Loss      float64       // share of packets
	Burst     float64       // mean length of a run of losses in packets (Gilbert-Elliott); ≤ 1: independent
	Duplicate float64       // share of datagrams that come twice
	Reorder   float64       // share that comes ReorderBy later, overtaken by others
	ReorderBy time.Duration
	Corrupt   float64 // share with one bit flipped
	MTU       int     // bytes of an IP packet; 0: no fragments
	Down      bool    // nothing passes
}

// Counts is what became of datagrams.
type Counts struct {
	Sent, Delivered                         int
	Lost, Overflow, Down, Unreachable, Full int // Full: the receiver's buffer
	Duplicated, Reordered, Corrupted        int
	Bytes                                   int // sent, with headers
}

// Dropped is the number of datagrams that did not arrive.
func (c Counts) Dropped() int { return c.Lost + c.Overflow + c.Down + c.Unreachable + c.Full }

type pair struct{ from, to netip.Addr }

// lane is the state of one link.
type lane struct {
	link   Link
	free   time.Time // when the bottleneck has sent what waits
	last   time.Time // arrival of the datagram before, for jitter in order
	bad    bool      // in a run of losses
	counts Counts
}

// Network joins hosts.
type Network struct {
	mu       sync.Mutex
	rng      *rand.Rand
	hosts    map[netip.AddrPort]*Conn
	order    []*Conn // hosts by time of creation, so that nothing depends on the map's order
	standard Link
	lanes    map[pair]*lane
	events   events
	seq      uint64
	wake     chan struct{}
	done     chan struct{}
	ended    chan struct{}
	tap      func(Packet)
	hash     maphash.Hash
}

// Packet is a datagram as a tap sees it when it is sent.
type Packet struct {
	At       time.Time
	From, To netip.AddrPort
	Data     []byte // valid during the call
}

type event struct {
	at   time.Time
	seq  uint64
	from netip.AddrPort
	to   *Conn
	data []byte
	lane *lane
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return x
}

// New starts a network whose links are like standard. Close ends it.
func New(seed uint64, standard Link) *Network {
	n := &Network{
		rng:      rand.New(rand.NewPCG(seed, 0x6e657473696d)),
		hosts:    make(map[netip.AddrPort]*Conn),
		standard: standard,
		lanes:    make(map[pair]*lane),
		wake:     make(chan struct{}, 1),
		done:     make(chan struct{}),
		ended:    make(chan struct{}),
	}
	n.hash.SetSeed(traceSeed)
	go n.run()
	return n
}

// traceSeed makes hashes of one process comparable.
var traceSeed = maphash.MakeSeed()

// SetLink sets both directions between two hosts.
func (n *Network) SetLink(a, b netip.Addr, l Link) {
	n.SetOneWay(a, b, l)
	n.SetOneWay(b, a, l)
}

// SetOneWay sets one direction. What is under way arrives as before.
func (n *Network) SetOneWay(from, to netip.Addr, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.laneLocked(from, to).link = l
}

// Tap has f called with every datagram that is sent, in order; f must not call
// the network.
func (n *Network) Tap(f func(Packet)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = f
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
	for _, l := range n.lanes {
		c := &l.counts
		t.Sent += c.Sent
		t.Delivered += c.Delivered
		t.Lost += c.Lost
		t.Overflow += c.Overflow
		t.Down += c.Down
		t.Unreachable += c.Unreachable
		t.Full += c.Full
		t.Duplicated += c.Duplicated
		t.Reordered += c.Reordered
		t.Corrupted += c.Corrupted
		t.Bytes += c.Bytes
	}
	return t
}

// TraceHash is a hash over time, addresses and bytes of all that was sent so far.
// Two runs of a seed have the same one when Go scheduled both alike, which is likely
// with few hosts and not certain with many.
func (n *Network) TraceHash() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hash.Sum64()
}

// Inject sends a datagram from any address: a forged one.
func (n *Network) Inject(from, to netip.AddrPort, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sendLocked(from, to, data)
}

// Close ends the network and waits for its goroutine. Hosts are closed by whoever
// opened them.
func (n *Network) Close() {
	close(n.done)
	<-n.ended
}

func (n *Network) laneLocked(from, to netip.Addr) *lane {
	p := pair{from, to}
	l := n.lanes[p]
	if l == nil {
		l = &lane{link: n.standard}
		n.lanes[p] = l
	}
	return l
}

// sendLocked decides the fate of a datagram.
func (n *Network) sendLocked(from, to netip.AddrPort, data []byte) {
	now := time.Now()
	n.traceLocked(now, from, to, data)
	l := n.laneLocked(from.Addr(), to.Addr())
	k := &l.link
	size := len(data) + wire.HeaderBytes
	l.counts.Sent++
	l.counts.Bytes += size
	host := n.hosts[to]
	switch {
	case host == nil:
		l.counts.Unreachable++
		return
	case k.Down:
		l.counts.Down++
		return
	}
	at := now
	if k.Rate > 0 {
		if l.free.Before(now) {
			l.free = now
		}
		if waiting := l.free.Sub(now).Seconds() * k.Rate; k.Queue > 0 && waiting+float64(size) > float64(k.Queue) {
			l.counts.Overflow++
			return
		}
		l.free = l.free.Add(time.Duration(float64(size) / k.Rate * float64(time.Second)))
		at = l.free
	}
	if n.loseLocked(l, size) {
		l.counts.Lost++
		return
	}
	at = at.Add(k.Delay)
	if k.Jitter > 0 {
		at = at.Add(time.Duration(n.rng.Int64N(int64(k.Jitter))))
		if at.Before(l.last) {
			at = l.last
		}
	}
	if n.chance(k.Reorder) {
		l.counts.Reordered++
		at = at.Add(k.ReorderBy)
	} else {
		l.last = at
	}
	copied := append([]byte(nil), data...)
	if len(copied) > 0 && n.chance(k.Corrupt) {
		l.counts.Corrupted++
		copied[n.rng.IntN(len(copied))] ^= 1 << n.rng.IntN(8)
	}
	n.pushLocked(event{at: at, from: from, to: host, data: copied, lane: l})
	if n.chance(k.Duplicate) {
		l.counts.Duplicated++
		n.pushLocked(event{at: at.Add(time.Millisecond), from: from, to: host, data: copied, lane: l})
	}
}

// loseLocked says whether any packet of a datagram is lost.
func (n *Network) loseLocked(l *lane, size int) bool {
	k := &l.link
	if k.Loss <= 0 {
		return false
	}
	packets := 1
	if k.MTU > 0 {
		packets = max(1, int(math.Ceil(float64(size-20)/float64(k.MTU-20))))
	}
	lost := false
	for range packets {
		lost = n.loseOneLocked(l) || lost
	}
	return lost
}

// loseOneLocked is Gilbert's model: in the bad state every packet is lost, and the
// state is left with 1/Burst, entered so that the share of losses is Loss.
func (n *Network) loseOneLocked(l *lane) bool {
	k := &l.link
	if k.Burst <= 1 {
		return n.chance(k.Loss)
	}
	if l.bad {
		l.bad = !n.chance(1 / k.Burst)
	} else {
		l.bad = n.chance(k.Loss / (1 - k.Loss) / k.Burst)
	}
	return l.bad
}

func (n *Network) chance(p float64) bool { return p > 0 && n.rng.Float64() < p }

func (n *Network) traceLocked(now time.Time, from, to netip.AddrPort, data []byte) {
	if n.tap != nil {
		n.tap(Packet{At: now, From: from, To: to, Data: data})
	}
	maphash.WriteComparable(&n.hash, now.UnixNano())
	maphash.WriteComparable(&n.hash, from)
	maphash.WriteComparable(&n.hash, to)
	n.hash.Write(data)
}

func (n *Network) pushLocked(e event) {
	n.seq++
	e.seq = n.seq
	heap.Push(&n.events, e)
	if n.events[0].seq == e.seq {
		select {
		case n.wake <- struct{}{}:
		default: // it will look
		}
	}
}

// run delivers what is due, until Close.
func (n *Network) run() {
	defer close(n.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := time.Hour
		n.mu.Lock()
		for now := time.Now(); len(n.events) > 0; {
			if wait = n.events[0].at.Sub(now); wait > 0 {
				break
			}
			e := heap.Pop(&n.events).(event)
			if e.to.deliver(wire.Datagram{Addr: e.from, Via: 1, Data: e.data}) {
				e.lane.counts.Delivered++
			} else {
				e.lane.counts.Full++
			}
			wait = time.Hour
		}
		n.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-n.done:
			return
		case <-n.wake:
		case <-timer.C:
		}
	}
}
