package transfer

import "time"

// control is the congestion control of one peer: how much may be in flight and
// how fast it may be asked. The downloader sends the requests, so it carries the
// control for the answers (RFC 8085 section 3.1); bytes are those of the answers
// on the wire, headers counted, since the requests are small beside them. Two
// algorithms stand behind it: [delayControl], which steers to a delay, and
// [modelControl], which measures the path. Both are pure and allocate nothing.
type control interface {
	// sent is told of a request whose answer takes about n bytes; inFlight counts it.
	sent(now time.Time, n, inFlight int) stamp
	// answered is told of the answer of n bytes; inFlight is what is left. Late
	// answers, to what was given up, are told too, with [stamp.late] set.
	answered(now time.Time, st stamp, n, inFlight int)
	// lost is told of a request that was given up, rightly or not.
	lost(now time.Time, st stamp, n, inFlight int)
	// timeout is told of a retransmission timeout without any answer, once for each.
	timeout(now time.Time)
	// restart is told that the peer was left alone for longer than a timeout.
	restart(now time.Time)
	// starved is told that the window was open and there was nothing to ask.
	starved(now time.Time)
	// fits is how many bytes the path holds without a queue, about; 0: not known yet, more may be asked for than it bears.
	fits() int
	// window is how many bytes may be in flight.
	window() int
	// pace is how many bytes a second may be asked for; 0: as the window allows.
	pace() float64
}

// stamp is what is remembered of the moment of sending until the answer comes.
type stamp struct {
	// Set by the owner.
	late  bool // it was given up meanwhile
	again bool // the same was asked before: the answer may be to either request, so it measures nothing (Karn)

	limited bool // the rate was held down by something else than the path

	at        time.Duration // since the first event, as all times of a tally
	delivered int64         // bytes answered by then
	asked     int64         // bytes asked for by then, itself counted
	group     uint32        // of requests that the model judges together
}

const (
	startBytes   = 14600 // initial window of RFC 6928,
	startAnswers = 4     // but enough answers that a lost one shows by order
	floorAnswers = 2     // below, a round trip teaches nothing
	roundLeast   = 8     // outcomes without which rounds are judged together
	littleAnswer = 600   // bytes: what is asked of a peer's state, or of a path, says nothing of how long large answers are
	restAnswers  = 10    // after silence, RFC 6928 in answers: the path was known, and they are paced

	wakeGrain = time.Millisecond // round trips below are the machine's own scheduling, not a network
	baseGrain = 2 * wakeGrain    // so a window covers at least this, and timers pace nothing
	baseSpan  = 10 * time.Second // how long a smallest round trip is believed unseen
)

// tally is what both algorithms count: what came, what did not, and in how long. A round
// is over when something is answered that was asked for after it began.
type tally struct {
	epoch    time.Time
	most     int // bytes that may be in flight at most
	unit     int // bytes of a large answer as they are now
	inFlight int

	asked     int64         // bytes
	delivered int64         // bytes
	turned    time.Duration // when delivered last grew
	starving  int64         // until delivered is more, we held the rate down ourselves

	rtt  time.Duration // smoothed over eight, for pacing
	last time.Duration // the latest round trip
	base base

	opening  bool // the path's rate is not known yet
	roundEnd int64
	round    round
	noise    noise
	breaker  breaker
}

// round is what one round trip's time showed.
type round struct {
	got, lost int           // answers
	min       time.Duration // smallest round trip, 0: none
	full      bool          // the window was used up
}

// opened is a tally before anything is known.
func opened(most int) tally { return tally{most: max(most, 1), opening: true} }

// since turns a time into one since the first event. The clock of arrivals may be
// a little behind that of sending.
func (t *tally) since(now time.Time) time.Duration {
	if t.epoch.IsZero() {
		t.epoch = now
	}
	return now.Sub(t.epoch)
}

// noteSent counts a request and stamps it.
func (t *tally) noteSent(now time.Time, n, inFlight int) stamp {
	n = min(max(n, 1), t.most)
	t.inFlight = max(inFlight, n)
	if n >= littleAnswer || t.unit == 0 {
		t.unit = max(n, t.unit-t.unit/16)
	}
	t.asked += int64(n)
	return stamp{
		at: t.since(now), delivered: t.delivered, asked: t.asked,
		limited: t.starving > t.delivered || t.breaker.open(),
	}
}

// noteAnswer counts an answer and returns whether it ended a round.
func (t *tally) noteAnswer(now time.Time, st stamp, n, inFlight int) (ended bool) {
	at := t.since(now)
	t.inFlight = max(inFlight, 0)
	t.delivered += int64(min(max(n, 1), t.most))
	t.turned = max(t.turned, at)
	if !st.again {
		t.noteTrip(at, max(at-st.at, time.Microsecond))
	}
	t.round.got++
	if st.late {
		t.round.lost = max(t.round.lost-1, 0)
		t.noise.found()
		t.breaker.found()
	} else {
		if !st.again {
			t.noise.answered(t.queue())
		}
		t.breaker.outcome(at, false, t.noise.share())
	}
	if st.again || st.delivered < t.roundEnd {
		return false
	}
	t.roundEnd = t.delivered
	t.noise.turn()
	return true
}

// noteTrip takes in a round trip.
func (t *tally) noteTrip(at, rtt time.Duration) {
	t.last = rtt
	if t.rtt == 0 {
		t.rtt = rtt
	}
	t.rtt += (rtt - t.rtt) / 8
	t.base.note(at, rtt)
	if t.round.min == 0 || rtt < t.round.min {
		t.round.min = rtt
	}
}

// noteLost counts a request that was given up.
func (t *tally) noteLost(now time.Time, inFlight int) {
	at := t.since(now)
	t.inFlight = max(inFlight, 0)
	t.round.lost++
	t.noise.gone()
	t.breaker.outcome(at, true, t.noise.share())
}

// queue is the delay above the base that the latest answer met.
func (t *tally) queue() time.Duration { return max(t.last-t.base.is, 0) }

// noteStarved marks what is in flight, and what goes out before it has come, as
// telling nothing about the path's rate.
func (t *tally) noteStarved() { t.starving = t.delivered + int64(max(t.inFlight, 1)) }

// start is the window at first. Until a round trip is known nothing can be paced,
// so then it is the floor.
func (t *tally) start() int {
	if t.base.is == 0 {
		return floorAnswers * t.unit
	}
	return max(startAnswers*t.unit, startBytes)
}

// clamp keeps a window between its bounds. The floor is two answers, one once
// the breaker has opened.
func (t *tally) clamp(w float64) int {
	floor := floorAnswers * max(t.unit, 1)
	if t.breaker.open() {
		floor = max(t.unit, 1)
	}
	if !(w < float64(t.most)) {
		w = float64(t.most)
	}
	return min(max(int(w), floor), t.most)
}

// base is the smallest round trip, in two spans, so that an old one is forgotten.
type base struct {
	is   time.Duration // 0: not known
	next time.Duration // smallest since the last turn
	seen time.Duration // when a round trip last came as close to it as jitter allows
	own  time.Duration // that a large answer takes on the path by itself, as far as is known: the smallest round trip is that of a short one
}

func (b *base) note(at, rtt time.Duration) {
	if b.next == 0 || rtt < b.next {
		b.next = rtt
	}
	if b.is == 0 || rtt < b.is {
		b.is, b.seen = rtt, at
		return
	}
	if rtt <= b.is+max(b.is/32, noQueue/2)+b.own {
		b.seen = at
	}
}

// turn makes the smallest round trip since the last turn the base.
func (b *base) turn(at time.Duration) {
	if b.next > 0 {
		b.is = b.next
	}
	b.next, b.seen = 0, at
}
