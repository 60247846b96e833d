package transfer

import "time"

// Constants of tuning. The delay target follows from two bars: alone on a link
// we may keep a standing queue of at most 100 ms (reliability.md N10), and a
// window must still fill a link whose scheduler wakes up late; a quarter of the
// bar does both.
const (
	queueTarget   = 25 * time.Millisecond // delay above the base that the window steers to
	windowStart   = 10                    // requests; RFC 6928's initial window, in answers
	windowFloor   = 2                     // a round trip must teach something
	lossTolerated = 0.25                  // share of a round that may be lost without meaning congestion; 10 % each way are 19 %
	lossSamples   = 8                     // fewer requests in a round say nothing about a share
	baseMemory    = 30 * time.Second      // how long a smallest round trip counts as the base
)

// window says how many requests may be in flight to one peer. The downloader is
// the sender of requests, so it carries the congestion control for the answers
// (RFC 8085 section 3.1): delay-sensitive as TCP Vegas is (Brakmo 1994), with
// the additive target of LEDBAT (RFC 6817), and deaf to losses that random
// noise explains. It has no clock.
type window struct {
	size float64 // requests
	cap  float64 // what receive buffers bear

	slow       bool // doubling each round trip until delay or loss shows
	roundEnd   time.Time
	answered   int // in this round
	lost       int
	roundMin   time.Duration // smallest round trip of this round
	base       time.Duration // smallest round trip remembered
	baseSince  time.Time
	nextBase   time.Duration // smallest since baseSince, becomes base when that is old
	backedOff  time.Time     // last reaction to a timeout
	usedUpOnce bool          // the window was full at some time of this round
}

func newWindow(capacity int) window {
	return window{size: min(windowStart, float64(capacity)), cap: float64(capacity), slow: true}
}

// allows returns how many more requests may go out when inFlight are out.
func (w *window) allows(inFlight int) int {
	n := int(w.size) - inFlight
	if n <= 0 {
		w.usedUpOnce = true
		return 0
	}
	return n
}

// answer is told of an answered request that was sent at sent.
func (w *window) answer(now, sent time.Time) {
	rtt := now.Sub(sent)
	w.answered++
	if w.roundMin == 0 || rtt < w.roundMin {
		w.roundMin = rtt
	}
	w.noteBase(now, rtt)
	if w.slow && w.usedUpOnce {
		w.size = min(w.size+1, w.cap)
	}
	if w.roundEnd.IsZero() {
		w.roundEnd = now
	}
	if !sent.Before(w.roundEnd) {
		w.endRound(now)
	}
}

// loss is told of n requests that were given up.
func (w *window) loss(n int) { w.lost += n }

// timeout is told that a whole retransmission timeout passed without any
// answer: halve, once for each timeout, down to one request.
func (w *window) timeout(now time.Time, rto time.Duration) {
	if !w.backedOff.IsZero() && now.Sub(w.backedOff) < rto {
		return
	}
	w.backedOff = now
	w.slow = false
	w.size = max(1, w.size/2)
	w.startRound(now)
}

// restart is told that the peer was not used for a while: what is known of the
// path is old, so that the next burst must be small again (RFC 2861).
func (w *window) restart(now time.Time) {
	w.size = min(w.size, windowStart)
	w.slow = true
	w.startRound(now)
}

func (w *window) noteBase(now time.Time, rtt time.Duration) {
	if w.base == 0 || rtt < w.base {
		w.base = rtt
	}
	if w.nextBase == 0 || rtt < w.nextBase {
		w.nextBase = rtt
	}
	if w.baseSince.IsZero() {
		w.baseSince = now
	}
	if now.Sub(w.baseSince) > baseMemory {
		w.base, w.nextBase, w.baseSince = w.nextBase, 0, now
	}
}

// endRound steers once per round trip, by what that round has shown.
func (w *window) endRound(now time.Time) {
	queue := w.roundMin - w.base
	share := float64(w.lost) / float64(w.lost+w.answered)
	switch {
	case share > lossTolerated && w.lost+w.answered >= lossSamples:
		// More than noise: less, but not by half, since delay says the rest.
		w.slow = false
		w.size *= 0.8
	case queue > queueTarget:
		w.slow = false
		// Towards the size that would leave the target in the queue.
		w.size *= max(0.7, float64(w.base+queueTarget)/float64(w.base+queue))
	case w.slow:
		// It grew with each answer. Half the target filled in one doubling
		// would be twice the target after the next.
		if queue > queueTarget/2 {
			w.slow = false
		}
	case w.usedUpOnce:
		room := 1 - float64(queue)/float64(queueTarget)
		w.size += max(1, 0.05*w.size) * room
	}
	w.size = min(max(w.size, windowFloor), w.cap)
	w.startRound(now)
}

func (w *window) startRound(now time.Time) {
	w.roundEnd, w.roundMin, w.answered, w.lost, w.usedUpOnce = now, 0, 0, 0, false
}
