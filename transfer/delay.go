package transfer

import (
	"math"
	"time"
)

// delayControl steers the window to a delay, as TCP Vegas and LEDBAT do (Brakmo 1994,
// RFC 6817), with what LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus) has added: a slow
// start that ends before the target is reached, decreases in proportion to what
// is too much, and slowdowns in which the base shows. It steers once per round
// by the smallest round trip in it, so jitter does not count.
type delayControl struct {
	steered
	target time.Duration // delay above the base to steer to
}

const (
	// Alone on a link we may keep a standing queue of 100 ms (reliability.md N10),
	// and a window must fill a link whose scheduler wakes up late: a quarter does both.
	queueTarget = 25 * time.Millisecond

	lossCut = 0.85 // for losses beyond noise
)

// newDelay returns a control that steers to 25 ms of queue.
func newDelay(most int) *delayControl {
	return &delayControl{steered: steered{tally: opened(most)}, target: queueTarget}
}

func (d *delayControl) sent(now time.Time, n, inFlight int) stamp {
	st := d.noteSent(now, n, inFlight)
	if d.inFlight+d.unit > d.window() {
		d.round.full = true
	}
	return st
}

func (d *delayControl) answered(now time.Time, st stamp, n, inFlight int) {
	ended := d.noteAnswer(now, st, n, inFlight)
	if d.size == 0 && d.base.is > 0 {
		d.size = float64(d.start())
	}
	if d.opening && d.round.full {
		d.size = min(d.size+float64(n), float64(d.most))
	}
	if ended {
		d.endRound(d.since(now))
		full := d.round.full && d.inFlight+d.unit > d.window()
		d.round = round{full: full}
	}
}

func (d *delayControl) timeout(time.Time) {
	if !d.opening || d.knee == 0 {
		d.knee = max(d.size/2, float64(d.start()))
	}
	d.size = float64(floorAnswers * d.unit)
	d.opening, d.until = true, 0
}

func (d *delayControl) window() int { return d.windowAt(d.target) }

func (d *delayControl) pace() float64 { return d.paceOf(max(d.size, float64(d.unit)), 1) }

// gain is by how many bytes an empty queue lets the window grow in a round trip.
// It grows slower than the window, so that of two flows with one queue the smaller one
// catches up, and faster than TCP's one segment, as the root, so that a long fat path is filled in time.
func (d *delayControl) gain() float64 {
	unit := float64(max(d.unit, 1))
	return unit * max(1, math.Sqrt(d.size/unit))
}

func (d *delayControl) endRound(at time.Duration) {
	r := &d.round
	if d.until > 0 {
		if d.until--; d.until == 0 {
			d.base.turn(at)
			d.lowered = at
		}
		return
	}
	if r.min == 0 {
		return
	}
	queue := max(r.min-d.base.is, 0)
	over := float64(queue) / float64(d.target)
	excess := d.noise.excess(r.lost, r.lost+r.got)
	switch {
	case excess:
		d.opening = false
		d.size *= lossCut
	case over > 1:
		d.opening = false
		d.size *= max(leastCut, float64(d.base.is+d.target)/float64(d.base.is+queue))
	case d.opening:
		if over > slowExit || d.knee > 0 && d.size >= d.knee {
			d.opening, d.knee = false, 0
			d.lowered = at - lowEvery // a first slowdown soon: the start has built a queue
		}
	case r.full:
		d.size += d.gain() * (1 - over)
	}
	d.size = min(max(d.size, float64(floorAnswers*d.unit)), float64(d.most))
	every := max(lowEvery, lowRounds*d.base.is)
	if !d.opening && at-d.lowered > every {
		d.until = lowFor
		d.base.next = 0
	}
}
