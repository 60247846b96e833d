package transfer

import "time"

// steered is what controls have in common that steer a window to a delay.
type steered struct {
	tally
	size    float64       // bytes
	knee    float64       // bytes at which a slow start ends; 0: at the target
	lowered time.Duration // when the last slowdown ended
	until   int           // rounds that the slowdown that is on still takes; 0: none is
}

const (
	slowExit  = 0.75 // of the target: what the last doubling adds is not seen yet
	leastCut  = 0.5  // a round never takes more than half away
	pacedGain = 1.25 // above window per round trip, so that the window is what binds
	slowGain  = 2
	lowShare  = 0.5 // of the window without its queue, in a slowdown
	lowFor    = 2   // rounds
	lowEvery  = 10 * time.Second
	lowRounds = 20 // between slowdowns at least: they cost half a round trip each
)

func (s *steered) lost(now time.Time, _ stamp, _, inFlight int) { s.noteLost(now, inFlight) }

func (s *steered) restart(time.Time) {
	if rest := float64(max(s.start(), restAnswers*s.unit)); s.size > rest {
		s.knee = s.size
		s.size, s.opening, s.until = rest, true, 0
	}
}

func (s *steered) starved(time.Time) { s.round.full = false }

// windowAt is the window of one that steers to so much delay above the base.
func (s *steered) windowAt(target time.Duration) int {
	w := s.size * s.breaker.factor()
	if s.size == 0 {
		w = float64(s.start())
	}
	if s.until > 0 {
		w *= lowShare * float64(s.base.is) / float64(max(s.base.is+target, 1))
	}
	return s.clamp(w)
}

func (s *steered) fits() int {
	if s.opening {
		return 0
	}
	return int(s.size)
}

// paceOf is the pace of so many bytes in a round trip, at least so much; 0: none is needed.
func (s *steered) paceOf(size, least float64) float64 {
	if s.rtt < wakeGrain || s.base.is < wakeGrain {
		return 0
	}
	gain := pacedGain
	if s.opening {
		gain = slowGain
	}
	return max(gain*size*s.breaker.factor()/s.rtt.Seconds(), least)
}
