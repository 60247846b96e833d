package netsim

import (
	"hash/crc32"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Link is one direction between two hosts. The zero Link is perfect.
type Link struct {
	Rate      float64        // bytes a second, IP and UDP headers counted; 0: infinite
	Queue     int            // bytes that wait at most, the one being sent counted, the last ones dropped; 0: unbounded
	Delay     time.Duration  // one way, after the queue
	Jitter    time.Duration  // uniform from 0, added; order is kept
	Loss      float64        // share of packets, after the queue: they cost rate
	Burst     float64        // mean length of a run of these losses in packets (Gilbert); ≤ 1: independent
	Bursty    GilbertElliott // a second cause of loss; zero: none
	Duplicate float64        // share of datagrams that come twice
	Reorder   float64        // share that comes ReorderBy later, overtaken by others
	ReorderBy time.Duration
	Corrupt   float64  // share with one bit flipped
	MTU       int      // bytes of an IP packet, fragments above; 0: no fragments
	NoFrags   bool     // a middlebox drops all fragments
	Down      bool     // nothing passes
	Dark      []Window // times when nothing passes
}

// Window is a span of time since the network was made, half-open.
type Window struct{ From, To time.Duration }

// Every is dark for dark at the end of each period, until a time: Every(5 s, 2 s, …) is light for
// 3 s, dark for 2 s, and so on.
func Every(period, dark, until time.Duration) (ws []Window) {
	for end := period; end <= until; end += period {
		ws = append(ws, Window{end - dark, end})
	}
	return ws
}

func (l *Link) dark(now time.Duration) bool {
	for _, w := range l.Dark {
		if w.From <= now && now < w.To {
			return true
		}
	}
	return l.Down
}

type pair struct{ from, to netip.Addr }

// lane is one direction between two hosts.
type lane struct {
	pair   pair
	pipe   *pipe // its own, or shared with other lanes
	counts Counts
}

// pipe is the state of a link.
type pipe struct {
	shared bool // by several lanes
	own    bool // has a link of its own; otherwise the network's standard
	link   Link
	rng    *rand.Rand
	free   time.Duration // when the bottleneck has sent what waits
	last   time.Duration // arrival of the datagram before, for jitter that keeps order
	simple chain         // of Link.Loss and Link.Burst
	bursty chain         // of Link.Bursty
}

func newPipe(seed uint64, p pair) *pipe { return &pipe{rng: seeded(seed, p)} }

func (n *Network) laneLocked(from, to netip.Addr) *lane {
	p := pair{from.Unmap().WithZone(""), to.Unmap().WithZone("")}
	l := n.lanes[p]
	if l == nil {
		l = &lane{pair: p, pipe: newPipe(n.seed, p)}
		n.lanes[p] = l
		n.made = append(n.made, l)
	}
	return l
}

func (n *Network) linkLocked(l *lane) *Link {
	if l.pipe.own {
		return &l.pipe.link
	}
	return &n.standard
}

// cutLocked reports whether nothing passes a lane at a time.
func (n *Network) cutLocked(l *lane, now time.Duration) bool {
	from, ok1 := n.sides[l.pair.from]
	to, ok2 := n.sides[l.pair.to]
	return ok1 && ok2 && from != to || n.linkLocked(l).dark(now)
}

func chance(rng *rand.Rand, p float64) bool { return p > 0 && rng.Float64() < p }

// enqueue puts size bytes into the queue of the bottleneck at a time, and returns when the last of
// them has left it.
func (p *pipe) enqueue(l *Link, now time.Duration, size int) (left time.Duration, ok bool) {
	if l.Rate <= 0 {
		return now, true
	}
	p.free = max(p.free, now)
	waiting := (p.free - now).Seconds() * l.Rate
	// Half a byte, as times are rounded to nanoseconds.
	if l.Queue > 0 && waiting+float64(size) > float64(l.Queue)+0.5 {
		return 0, false
	}
	p.free += time.Duration(float64(size) / l.Rate * float64(time.Second))
	return p.free, true
}

// carryLocked takes a datagram across the link to one host and decides its fate, but for what the
// receiver decides. It is the one place where addresses could be rewritten.
func (n *Network) carryLocked(e *event, to netip.AddrPort, data []byte) {
	lane := n.laneLocked(e.from.Addr(), to.Addr())
	link, p, c := n.linkLocked(lane), lane.pipe, &lane.counts
	packets, size := packetsOf(len(data), link.MTU, to.Addr().Is6())
	c.Sent++
	c.Bytes += size
	c.Packets += packets
	x := event{kind: arrives, from: e.from, to: to, data: data, sum: e.sum, lane: lane, packets: packets}
	if n.cutLocked(lane, e.sent) {
		n.fateLocked(&x, e.sent, Down)
		return
	}
	left, room := p.enqueue(link, e.sent, size)
	if !room {
		n.fateLocked(&x, e.sent, Overflow)
		return
	}
	if packets > 1 && link.NoFrags {
		n.fateLocked(&x, e.sent, Blocked)
		return
	}
	lost, inBurst := p.lose(link, packets)
	x.at = left + link.Delay
	if link.Jitter > 0 {
		x.at = max(x.at+time.Duration(p.rng.Int64N(int64(link.Jitter))), p.last)
	}
	if chance(p.rng, link.Reorder) {
		c.Reordered++
		x.at += link.ReorderBy
	} else {
		p.last = x.at
	}
	x.at = max(x.at, e.at) // a perfect link takes a nanosecond
	copies := 1
	if chance(p.rng, link.Duplicate) {
		copies = 2
	}
	if lost > 0 {
		if inBurst {
			c.InBurst++
		}
		n.fateLocked(&x, e.sent, Lost)
		if lost < packets { // the rest of it waits for what never comes
			n.pushLocked(event{kind: remains, at: x.at, from: e.from, to: to, packets: packets - lost})
		}
		return
	}
	c.Duplicated += copies - 1
	for i := range copies {
		y := x
		if i > 0 {
			y.data = append([]byte(nil), data...)
		}
		if len(data) > 0 && chance(p.rng, link.Corrupt) {
			c.Corrupted++
			y.data = append([]byte(nil), y.data...)
			y.data[p.rng.IntN(len(data))] ^= 1 << p.rng.IntN(8)
			y.sum = crc32.Checksum(y.data, castagnoli)
		}
		n.pushLocked(y)
	}
}
