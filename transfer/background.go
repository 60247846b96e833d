package transfer

import (
	"math"
	"time"
)

// backgroundControl takes what nobody else on the link wants, as LEDBAT and LEDBAT++ mean to (RFC 6817,
// draft-irtf-iccrg-ledbat-plus-plus). Against CUBIC, which fills a queue, any target does. BBR keeps a queue of one base round trip
// at most beside others, and next to none alone, so a target of 60 ms is one that it never reaches on paths shorter than that
// (Bagnulo and Garcia-Martinez 2022): the target is a third of the base. And BBR finds room only one round trip in eight, so
// the window grows by a fraction of a packet until many rounds in a row have met no queue. It falls by as much as the queue is
// too long, below two answers if need be: then the pace alone holds it down.
type backgroundControl struct {
	steered               // size: below floorAnswers it is the pace that binds
	queued  int           // answers in a row that met a queue, in a slow start
	clear   int           // rounds in a row that met none
	lately  round         // outcomes since losses were judged
	shallow time.Duration // the target by this, as the queue overflows before it is met; 0: whole

	// What was seen in this minute (tally.base has its smallest round trip), and in the ones before: a queue of others may stand for minutes.
	minute time.Duration // when it began
	peak   float64       // bytes a second at which answers came at most
	before [pastMinutes]pastMinute
}

type pastMinute struct {
	least time.Duration // 0: nothing came
	peak  float64
}

const (
	pastMinutes = 9 // RFC 6817 remembers ten, this one counted: a path that has become longer is believed after that

	meekShare  = 3 // the target is the base by this,
	meekLeast  = 8 * time.Millisecond
	meekMost   = 60 * time.Millisecond // LEDBAT++'s
	meekFloor  = 0.5                   // answers a round trip: as many sources as share a link are there
	meekRounds = 2                     // answers without which rounds are judged together
	meekCut    = 0.5                   // for losses beyond noise
	meekGain   = 750                   // bytes a round: half a packet,
	meekDouble = 16                    // and twice that after so many clear rounds, two of BBR's cycles,
	meekGrowth = 0.25                  // of the window at most
	clearShare = 0.9                   // of the target: less is a clear round
	brakeAfter = 4

	latelyLeast = 48 // outcomes, that a run of losses is not most of
	shallowMost = 4
)

// newBackground returns one that takes only what nobody else wants.
func newBackground(most int) *backgroundControl {
	return &backgroundControl{steered: steered{tally: opened(most)}}
}

func (b *backgroundControl) sent(now time.Time, n, inFlight int) stamp {
	st := b.noteSent(now, n, inFlight)
	b.round.full = b.round.full || b.binds()
	return st
}

func (b *backgroundControl) answered(now time.Time, st stamp, n, inFlight int) {
	ended := b.noteAnswer(now, st, n, inFlight)
	at := b.since(now)
	b.turnMinute(at)
	if span := at - st.at; span > 0 && !st.again && !st.late && n >= littleAnswer {
		b.peak = max(b.peak, float64(b.delivered-st.delivered)/span.Seconds())
	}
	if b.size == 0 && b.base.is > 0 {
		b.size = float64(b.start())
	}
	if b.opening {
		b.brake()
	}
	if b.opening && b.round.full {
		b.size = min(b.size+float64(n), float64(b.most))
	}
	if ended && b.round.got+b.round.lost >= meekRounds {
		b.endRound(at)
		b.round = round{full: b.round.full && b.binds()}
	}
}

// turnMinute remembers a minute that is over, and forgets what is too old.
func (b *backgroundControl) turnMinute(at time.Duration) {
	if at-b.minute < time.Minute {
		return
	}
	copy(b.before[1:], b.before[:])
	b.before[0] = pastMinute{b.base.next, b.peak}
	b.minute, b.peak = at, 0
	b.shallow = b.shallow * 3 / 4
	b.base.is, b.base.next = 0, 0
	for _, m := range b.before {
		if m.least > 0 && (b.base.is == 0 || m.least < b.base.is) {
			b.base.is = m.least
		}
	}
}

// target is the delay above the base to steer to. What an answer takes on the path by itself is no queue: the smallest round trip
// was that of a short one.
func (b *backgroundControl) target() time.Duration {
	peak := b.peak
	for _, m := range b.before {
		peak = max(peak, m.peak)
	}
	t := min(max(b.base.is/meekShare, meekLeast), meekMost) / max(b.shallow, 1)
	if peak > 0 {
		t += time.Duration(min(float64(b.unit)/peak, 1) * float64(time.Second))
	}
	return t
}

// brake ends a slow start as soon as brakeAfter answers in a row have met a queue, not with its round, which a queue makes long.
// What they met is half of what is on its way.
func (b *backgroundControl) brake() {
	if float64(b.queue()) <= slowExit*float64(b.target()) {
		b.queued = 0
		return
	}
	if b.queued++; b.queued < brakeAfter {
		return
	}
	b.size = max(b.size/2, b.least())
	b.opening, b.queued, b.knee = false, 0, 0
}

func (b *backgroundControl) timeout(time.Time) {
	if !b.opening || b.knee == 0 {
		b.knee = b.size / 2
	}
	b.size = b.least()
	b.opening, b.until, b.clear = true, 0, 0
}

func (b *backgroundControl) window() int { return b.windowAt(b.target()) }

// least is the smallest size; slow says that it is below the smallest window; binds that window or pace hold the asking down.
func (b *backgroundControl) least() float64 { return meekFloor * float64(b.unit) }
func (b *backgroundControl) slow() bool     { return b.size < float64(floorAnswers*b.unit) }
func (b *backgroundControl) binds() bool    { return b.slow() || b.inFlight+b.unit > b.window() }

// An answer a second at least, or the breaker would have nothing to judge.
func (b *backgroundControl) pace() float64 { return b.paceOf(b.size, float64(b.unit)) }

// gain is by how many bytes an empty queue lets the window grow in a round.
func (b *backgroundControl) gain() float64 {
	most := meekGrowth * b.size
	if b.slow() {
		return most
	}
	return min(meekGain*math.Exp2(float64(b.clear)/meekDouble), most)
}

// overflows says whether more was lost than noise explains, of enough to tell, where a round met half of the longest queue: on a path
// that shows one, losses without are noise. One that is full before the target is met has a queue shorter than that.
func (b *backgroundControl) overflows(queue time.Duration) bool {
	b.lately.got, b.lately.lost = b.lately.got+b.round.got, b.lately.lost+b.round.lost
	l := b.lately
	if l.got+l.lost < latelyLeast {
		return false
	}
	b.lately = round{}
	if !b.noise.excess(l.lost, l.lost+l.got) || b.noise.top > 4*noQueue && queue < b.noise.top/2 {
		return false
	}
	if queue <= b.target() {
		b.shallow = min(2*max(b.shallow, 1), shallowMost)
	}
	return true
}

func (b *backgroundControl) endRound(at time.Duration) {
	r := &b.round
	if b.until > 0 {
		if b.until--; b.until == 0 {
			b.lowered = at
		}
		return
	}
	if r.min == 0 {
		return
	}
	over := float64(max(r.min-b.base.is, 0)) / float64(b.target())
	excess := b.overflows(max(r.min-b.base.is, 0))
	if excess || over > clearShare {
		b.clear = 0
	}
	switch {
	case excess:
		b.opening = false
		b.size *= meekCut
	case over > 1:
		b.opening = false
		b.size *= max(leastCut, 2-over)
	case b.opening:
		if over > slowExit || b.knee > 0 && b.size >= b.knee {
			b.opening, b.knee = false, 0
			b.lowered = at - lowEvery // a first slowdown soon: the start has built a queue
		}
	case r.full:
		b.clear++
		b.size += b.gain() * (1 - over)
	}
	b.size = min(max(b.size, b.least()), float64(b.most))
	if !b.opening && !b.slow() && at-b.lowered > max(lowEvery, lowRounds*b.base.is) {
		b.until = lowFor
	}
}
