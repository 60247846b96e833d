package transfer

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// link is a path with one queue: what a window of requests does to it and what
// it does to them, answer by answer.
type link struct {
	base  time.Duration // round trip of an empty link
	per   time.Duration // time that one answer takes on the bottleneck
	queue int           // answers that the queue holds
	loss  float64
}

// drive runs a window over the link and returns the share of the link's
// capacity that was used and the largest standing queue after the first third.
func (l link) drive(t *testing.T, span time.Duration) (used float64, standing time.Duration) {
	t.Helper()
	type answer struct{ sent, at time.Time }
	var (
		w       = newWindow(maxWindow)
		rng     = rand.New(rand.NewPCG(1, 2))
		start   = time.Unix(1000, 0)
		now     = start
		free    = start // when the bottleneck is idle
		inAir   []answer
		arrived int
		pending int // lost, not noticed yet
	)
	for now.Sub(start) < span {
		for w.allows(len(inAir)+pending) > 0 {
			switch begin := maxOf(free, now.Add(l.base/2)); {
			case rng.Float64() < l.loss, begin.Sub(now.Add(l.base/2)) > time.Duration(l.queue)*l.per:
				pending++
			default:
				free = begin.Add(l.per)
				inAir = append(inAir, answer{now, free.Add(l.base / 2)})
			}
		}
		if len(inAir) == 0 {
			now = now.Add(l.base)
			w.loss(pending)
			pending = 0
			w.timeout(now, l.base)
			continue
		}
		a := inAir[0]
		inAir = inAir[1:]
		now = a.at
		if pending > 0 && rng.IntN(len(inAir)+1) == 0 {
			w.loss(pending)
			pending = 0
		}
		w.answer(now, a.sent)
		if now.Sub(start) > span/3 {
			arrived++
			standing = max(standing, now.Sub(a.sent)-l.base)
		}
	}
	return float64(arrived) * float64(l.per) / float64(span*2/3), standing
}

func maxOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func TestWindowFillsLinksWithoutFillingQueues(t *testing.T) {
	ms := time.Millisecond
	for name, tc := range map[string]struct {
		link
		used     float64
		standing time.Duration
	}{
		"lan":            {link{base: 1 * ms, per: ms / 20, queue: 1000}, 0.95, 100 * ms},
		"wifi":           {link{base: 16 * ms, per: ms / 2, queue: 400}, 0.95, 100 * ms},
		"wifi with loss": {link{base: 16 * ms, per: ms / 2, queue: 400, loss: 0.05}, 0.90, 100 * ms},
		"dsl, deep":      {link{base: 40 * ms, per: 2 * ms, queue: 1000}, 0.90, 100 * ms},
		"satellite":      {link{base: 600 * ms, per: 2 * ms, queue: 50}, 0.60, 100 * ms},
		"modem":          {link{base: 100 * ms, per: 50 * ms, queue: 40}, 0.80, 300 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			used, standing := tc.drive(t, 60*time.Second)
			if used < tc.used || standing > tc.standing {
				t.Errorf("used %.2f of the link, want %.2f; queue %v, want at most %v", used, tc.used, standing, tc.standing)
			}
		})
	}
}

func TestWindowBacksOff(t *testing.T) {
	now := time.Unix(1000, 0)
	w := newWindow(maxWindow)
	w.size = 256
	for i := range 20 {
		before := w.size
		w.timeout(now, time.Second)
		w.timeout(now, time.Second) // the same timeout, seen by another request
		if want := math.Max(1, before/2); w.size != want {
			t.Fatalf("timeout %d: window %.1f, want %.1f", i, w.size, want)
		}
		now = now.Add(time.Second)
	}
	w.size = 256
	w.restart(now)
	if w.size > windowStart {
		t.Errorf("after silence the window is %.0f, want at most %d", w.size, windowStart)
	}
}
