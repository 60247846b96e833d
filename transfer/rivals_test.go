package transfer

import (
	"math"
	"time"
)

// shared is a bottleneck with one queue, of packets in order: requests of a control are answered over it beside a flow of TCP. What finds the queue full is
// dropped, and known to be lost when what follows it comes.
type shared struct {
	rate  float64 // bytes a second
	base  time.Duration
	queue int           // bytes
	shake time.Duration // what arrives is up to so much later than it should
}

// rival is a flow of TCP that always has something to send, in segments.
type rival interface {
	allows(now time.Duration) bool
	sent(now time.Duration) segment
	answered(now time.Duration, s segment)
	lost(now time.Duration, s segment)
}

// segment is what a flow remembers of a packet.
type segment struct {
	at, turned time.Duration
	delivered  int
	seq        int
	inFlight   int
}

const segmentBytes = 1500

// parcel is a packet on its way.
type parcel struct {
	due   time.Duration
	gone  bool
	ours  bool
	stamp stamp
	seg   segment
}

// arrived is a packet that has come.
type arrived struct {
	at     time.Duration
	ours   bool
	bytes  int
	waited time.Duration // longer than the base
}

// ride runs a control, whose answers have n bytes, from the start on, and a rival in its span; each is told of the time and of every packet that comes.
func (p shared) ride(c control, n int, r rival, from, until, end time.Duration, each func(arrived)) {
	const step = 250 * time.Microsecond
	var ours, theirs []parcel
	var pacing pacer
	start := time.Unix(1000, 0)
	inFlight, free, chance := 0, time.Duration(0), uint32(1)
	enter := func(now time.Duration, bytes int) (due time.Duration, dropped bool) {
		free = max(free, now)
		waits := free - now
		chance = chance*1664525 + 1013904223
		late := time.Duration(float64(chance>>8) / (1 << 24) * float64(p.shake))
		if waits.Seconds()*p.rate > float64(p.queue-bytes) {
			return free + p.base, true
		}
		free += time.Duration(float64(bytes) / p.rate * float64(time.Second))
		return free + p.base + late, false
	}
	come := func(q *[]parcel, now time.Duration, f func(parcel)) {
		for len(*q) > 0 && (*q)[0].due <= now {
			x := (*q)[0]
			*q = (*q)[1:]
			f(x)
		}
	}
	first := c.sent(start, 100, 100)
	c.answered(start.Add(p.base), first, 100, 0)
	for now := p.base; now < end; now += step {
		come(&ours, now, func(x parcel) {
			inFlight -= n
			if x.gone {
				c.lost(start.Add(x.due), x.stamp, n, inFlight)
				return
			}
			c.answered(start.Add(x.due), x.stamp, n, inFlight)
			each(arrived{now, true, n, x.due - x.stamp.at - p.base})
		})
		come(&theirs, now, func(x parcel) {
			if x.gone {
				r.lost(now, x.seg)
				return
			}
			r.answered(now, x.seg)
			each(arrived{now, false, segmentBytes, x.due - x.seg.at - p.base})
		})
		for inFlight == 0 || inFlight+n <= c.window() {
			if ok, _ := pacing.allows(start.Add(now), c.pace(), n); !ok {
				break
			}
			pacing.spend(n)
			inFlight += n
			x := parcel{ours: true, stamp: c.sent(start.Add(now), n, inFlight)}
			x.due, x.gone = enter(now, n)
			if len(ours) > 0 {
				x.due = max(x.due, ours[len(ours)-1].due)
			}
			ours = append(ours, x)
		}
		for r != nil && now >= from && now < until && r.allows(now) {
			x := parcel{seg: r.sent(now)}
			x.due, x.gone = enter(now, segmentBytes)
			if len(theirs) > 0 {
				x.due = max(x.due, theirs[len(theirs)-1].due)
			}
			theirs = append(theirs, x)
		}
	}
}

// cubicFlow is TCP CUBIC (RFC 9438) without pacing, in segments.
type cubicFlow struct {
	window, ends, before float64 // segments: now, of slow start, when it last lost
	epoch                time.Duration
	rtt                  time.Duration
	inFlight, seq        int
	recover              int // losses of what was sent before are the same event
}

func newCubicFlow() *cubicFlow { return &cubicFlow{window: 10, ends: math.Inf(1)} }

func (c *cubicFlow) allows(time.Duration) bool { return float64(c.inFlight) < c.window }

func (c *cubicFlow) sent(now time.Duration) segment {
	c.inFlight++
	c.seq++
	return segment{at: now, seq: c.seq}
}

func (c *cubicFlow) answered(now time.Duration, s segment) {
	c.inFlight--
	c.rtt = now - s.at
	if c.window < c.ends {
		c.window++
		return
	}
	const steep, back = 0.4, 0.7
	t := (now - c.epoch + c.rtt).Seconds()
	k := math.Cbrt(c.before * (1 - back) / steep)
	aim := c.before + steep*math.Pow(t-k, 3)
	reno := c.before*back + 3*(1-back)/(1+back)*t/c.rtt.Seconds()
	if aim = min(max(aim, reno), 1.5*c.window); aim > c.window {
		c.window += (aim - c.window) / c.window
	}
}

func (c *cubicFlow) lost(now time.Duration, s segment) {
	c.inFlight--
	if s.seq <= c.recover {
		return
	}
	c.before, c.epoch, c.recover = c.window, now, c.seq
	c.window = max(0.7*c.window, 2)
	c.ends = c.window
}

// bbrFlow is BBR version 1, as Linux has it, in segments.
type bbrFlow struct {
	phase           bbrPhase
	entered         time.Duration
	cycle           int
	rates           [10]float64 // largest of each of the last rounds, segments a second
	round, roundEnd int
	flat            int
	best            float64
	least           time.Duration
	leastAt         time.Duration
	inFlight, seq   int
	delivered       int
	turned          time.Duration
	next            time.Duration // when the pace lets another out
	roundsIn        int
	probeUntil      time.Duration
}

type bbrPhase uint8

const (
	bbrStartup bbrPhase = iota
	bbrDrain
	bbrCycle
	bbrLook
)

var bbrGains = [...]float64{1.25, 0.75, 1, 1, 1, 1, 1, 1}

func newBBRFlow() *bbrFlow { return &bbrFlow{} }

func (b *bbrFlow) rate() (most float64) {
	for _, r := range b.rates {
		most = max(most, r)
	}
	return most
}

func (b *bbrFlow) product() float64 { return b.rate() * b.least.Seconds() }

func (b *bbrFlow) gains() (pace, window float64) {
	switch b.phase {
	case bbrStartup:
		return 2.89, 2.89
	case bbrDrain:
		return 1 / 2.89, 2.89
	case bbrLook:
		return 1, 0
	}
	return bbrGains[b.cycle], 2
}

func (b *bbrFlow) allows(now time.Duration) bool {
	if b.least == 0 {
		return b.inFlight < 10
	}
	_, g := b.gains()
	return now >= b.next && float64(b.inFlight) < max(g*b.product()+3*g/2, 4)
}

func (b *bbrFlow) sent(now time.Duration) segment {
	if b.inFlight == 0 {
		b.turned = now
	}
	b.inFlight++
	b.seq++
	if r := b.rate(); r > 0 {
		g, _ := b.gains()
		b.next = max(b.next, now-time.Millisecond) + time.Duration(float64(time.Second)/(0.99*g*r))
	}
	return segment{at: now, turned: b.turned, delivered: b.delivered, seq: b.seq, inFlight: b.inFlight}
}

func (b *bbrFlow) lost(time.Duration, segment) { b.inFlight-- }

func (b *bbrFlow) answered(now time.Duration, s segment) {
	b.inFlight--
	b.delivered++
	b.turned = now
	rtt := now - s.at
	old := now-b.leastAt > 10*time.Second
	if b.least == 0 || rtt <= b.least || old && b.phase != bbrLook {
		b.least, b.leastAt = rtt, now
	}
	if s.delivered >= b.roundEnd {
		b.roundEnd = b.delivered
		b.round++
		b.rates[b.round%len(b.rates)] = 0
		b.roundsIn++
		b.startupRound()
	}
	if span := now - s.turned; span >= b.least && span > 0 {
		i := b.round % len(b.rates)
		b.rates[i] = max(b.rates[i], float64(b.delivered-s.delivered)/span.Seconds())
	}
	b.advance(now)
	if old && b.phase != bbrLook && b.phase != bbrStartup {
		b.enter(bbrLook, now)
		b.probeUntil = 0
	}
}

func (b *bbrFlow) startupRound() {
	if b.phase != bbrStartup {
		return
	}
	if r := b.rate(); r >= 1.25*b.best {
		b.best, b.flat = r, 0
		return
	}
	b.flat++
}

func (b *bbrFlow) enter(p bbrPhase, now time.Duration) { b.phase, b.entered, b.roundsIn = p, now, 0 }

func (b *bbrFlow) advance(now time.Duration) {
	spent := now-b.entered > b.least
	switch b.phase {
	case bbrStartup:
		if b.flat >= 3 {
			b.enter(bbrDrain, now)
		}
	case bbrDrain:
		if float64(b.inFlight) <= b.product() {
			b.enter(bbrCycle, now)
			b.cycle = 2
		}
	case bbrCycle:
		if b.cycle == 0 {
			spent = spent && float64(b.inFlight) >= 1.25*b.product()
		}
		if spent || b.cycle == 1 && float64(b.inFlight) <= b.product() {
			b.cycle = (b.cycle + 1) % len(bbrGains)
			b.enter(bbrCycle, now)
		}
	case bbrLook:
		if b.probeUntil == 0 {
			if b.inFlight <= 4 {
				b.probeUntil, b.roundsIn = now+200*time.Millisecond, 0
			}
		} else if now >= b.probeUntil && b.roundsIn >= 1 {
			b.leastAt = now
			b.enter(bbrCycle, now)
			b.cycle = 2
		}
	}
}
