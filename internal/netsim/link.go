package netsim

import (
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

// lane is one direction between two hosts. All that a datagram needs of it lies together: with thousands of lanes
// most of their cost is that of reaching memory.
type lane struct {
	pair   pair
	pipe   *pipe // own, or shared with other lanes
	counts Counts
	own    pipe
}

// pipe is the state of a link.
type pipe struct {
	link   *Link         // nil: the standard of the realm
	shared bool          // by several lanes
	free   time.Duration // when the bottleneck has sent what waits
	last   time.Duration // arrival of the datagram before, for jitter that keeps order
	simple chain         // of Link.Loss and Link.Burst
	bursty chain         // of Link.Bursty
	rng    *rand.Rand    // of source
	source rand.PCG
}

// reset makes p a link at rest with a chance of its own, which depends on the seed and the addresses, not on what was used first.
func (p *pipe) reset(seed uint64, at pair) {
	*p = pipe{source: *seeded(seed, at)}
	p.rng = rand.New(&p.source)
}

func seeded(seed uint64, p pair) *rand.PCG {
	h := mixAddr(mixAddr(traceStart, netip.AddrPortFrom(p.from, 0)), netip.AddrPortFrom(p.to, 0))
	return rand.NewPCG(seed, h)
}

// sharedSalt tells the chance of a shared link from that of the same direction alone.
const sharedSalt = 0x736861726564

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

// passage is what a link does to a datagram, or to a single packet.
type passage struct {
	outcome   Outcome // Delivered, Lost, Overflow (of some packet), Blocked
	left, due time.Duration
	lost      int // of its packets
	inBurst   bool
	reordered bool
	twice     bool
}

// pass takes so many packets of size bytes together into the queue at a time, all but the last of them of each bytes, and decides
// their fate. A queue that is full drops packets: what fits of a datagram takes its time on the link though the rest does not. The
// order in which chance is asked is part of what makes a seed the same in every run.
func (p *pipe) pass(l *Link, now time.Duration, size, packets, each int, fragments bool) (r passage) {
	left, fit := now, 0
	for i := range packets {
		n := each
		if i == packets-1 {
			n = size - i*each
		}
		if at, room := p.enqueue(l, now, n); room {
			left, fit = at, fit+1
		}
	}
	if fit == 0 {
		return passage{outcome: Overflow, lost: packets}
	}
	if fragments && l.NoFrags {
		return passage{outcome: Blocked, left: left}
	}
	r.outcome, r.left = Delivered, left
	r.lost, r.inBurst = p.lose(l, fit)
	r.due = left + l.Delay
	if l.Jitter > 0 {
		r.due = max(r.due+time.Duration(p.rng.Int64N(int64(l.Jitter))), p.last)
	}
	if chance(p.rng, l.Reorder) {
		r.reordered = true
		r.due += l.ReorderBy
	} else {
		p.last = r.due
	}
	r.twice = chance(p.rng, l.Duplicate)
	switch {
	case fit < packets:
		r.outcome, r.lost = Overflow, r.lost+packets-fit
	case r.lost > 0:
		r.outcome = Lost
	}
	return r
}

// carryLocked takes a datagram across the link from and to the addresses that it has in its realm, and decides its fate, but for
// what the receiver decides.
func (n *Network) carryLocked(e *event) {
	lane := e.realm.lane(pair{e.from.Addr(), e.to.Addr()})
	link, p, c := e.realm.link(lane), lane.pipe, &lane.counts
	size := e.embark(lane, link)
	if n.cutLocked(e, link, e.sent) {
		n.dropLocked(e, e.sent, Down)
		return
	}
	r := p.pass(link, e.sent, size, e.packets, fragmentOf(link.MTU, e.to.Addr().Is6()), e.packets > 1)
	if r.outcome != Delivered && r.outcome != Lost && (r.outcome != Overflow || r.lost == e.packets) {
		n.dropLocked(e, e.sent, r.outcome)
		return
	}
	if r.reordered {
		c.Reordered++
	}
	lost, inBurst, twice := r.lost, r.inBurst, r.twice
	e.due = max(r.due, e.due) // a perfect link takes a nanosecond
	if lost > 0 {
		if inBurst {
			c.InBurst++
		}
		n.fateLocked(e, e.sent, r.outcome)
		if lost == e.packets {
			n.store.give(e)
			return
		}
		e.kind, e.packets = remains, e.packets-lost // the rest of it waits for what never comes
		n.pushLocked(e)
		return
	}
	e.kind = arrives
	copies := [2]*event{e}
	if twice {
		c.Duplicated++
		copies[1] = n.cloneLocked(e)
	}
	for _, e := range copies {
		if e == nil {
			break
		}
		if len(e.data) > 0 && chance(p.rng, link.Corrupt) {
			c.Corrupted++
			e.data[p.rng.IntN(len(e.data))] ^= 1 << p.rng.IntN(8)
			e.sum = checksum(e.data)
		}
		n.pushLocked(e)
	}
}

// embark counts a datagram on the lane that it takes, and returns its bytes there.
func (e *event) embark(lane *lane, link *Link) (size int) {
	e.lane = lane
	e.packets, size = packetsOf(len(e.data), link.MTU, e.to.Addr().Is6())
	lane.counts.Sent++
	lane.counts.Bytes += size
	lane.counts.Packets += e.packets
	return size
}
