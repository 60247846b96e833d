package transfer

import (
	"testing"
	"time"
)

// narrow is a path with one bottleneck: answers of one length leave it in the order of asking, what finds its queue full is dropped, and
// lose says which of the others are lost behind it.
type narrow struct {
	rate  float64 // bytes a second
	base  time.Duration
	queue int // bytes
	lose  func(i int) bool
	deaf  func(i int) bool // the request itself is lost: nothing leaves the bottleneck for it
}

// ride asks as the model allows for a span, and calls each with what became of a request: dropped by the queue or never heard, or lost behind it. What is
// lost is given up a round trip after its time.
func (p narrow) ride(m *modelControl, n int, span time.Duration, each func(at time.Duration, dropped, lost bool)) {
	type flight struct {
		st            stamp
		due           time.Duration
		dropped, lost bool
	}
	var out []flight
	var pacing pacer
	start := time.Unix(1000, 0)
	inFlight, free := 0, time.Duration(0)
	for now, i := time.Duration(0), 0; now < span; now += time.Millisecond {
		for len(out) > 0 && out[0].due <= now {
			f := out[0]
			out, inFlight = out[1:], inFlight-n
			if f.lost || f.dropped {
				m.lost(start.Add(now), f.st, n, inFlight)
			} else {
				m.answered(start.Add(f.due), f.st, n, inFlight)
			}
			each(now, f.dropped, f.lost)
		}
		for inFlight == 0 || inFlight+n <= m.window() {
			if ok, _ := pacing.allows(start.Add(now), m.pace(), n); !ok {
				break
			}
			pacing.spend(n)
			inFlight += n
			f := flight{st: m.sent(start.Add(now), n, inFlight)}
			free = max(free, now)
			switch {
			case p.deaf != nil && p.deaf(i), float64(free-now)*p.rate/float64(time.Second) > float64(p.queue-n):
				f.dropped = true
			default:
				free += time.Duration(float64(n) / p.rate * float64(time.Second))
				f.lost = p.lose != nil && p.lose(i)
			}
			f.due = free + p.base
			i++
			out = append(out, f)
		}
	}
}

// TestOpening: the way up ends when the path is full, not when its queue is, on paths from slow to long and fat.
func TestOpening(t *testing.T) {
	for name, p := range map[string]narrow{
		"3 Mbit/s, 200 ms":   {rate: 375e3, base: 200 * time.Millisecond, queue: 37_500},
		"25 Mbit/s, 40 ms":   {rate: 3.125e6, base: 40 * time.Millisecond, queue: 312_500},
		"100 Mbit/s, 16 ms":  {rate: 12.5e6, base: 16 * time.Millisecond, queue: 1_250_000},
		"0.8 Mbit/s, 450 ms": {rate: 100e3, base: 450 * time.Millisecond, queue: 12_000},
	} {
		m := newModel(maxWindow)
		dropped, all := 0, 0
		p.ride(m, 1400, 20*p.base, func(_ time.Duration, d, _ bool) {
			all++
			if d {
				dropped++
			}
		})
		if m.fits() == 0 {
			t.Errorf("%s: it does not know the path after twenty round trips", name)
		}
		if dropped > all/12 { // the looks for more, after it, drop some too
			t.Errorf("%s: %d of %d overflowed", name, dropped, all)
		}
		if r := m.rate() / p.rate; r < 0.9 || r > 1.05 {
			t.Errorf("%s: the rate is taken for %.2f of what it is", name, r)
		}
	}
}

// TestRunsOfNoise: runs of losses on a path without a queue are no reason to ask for less.
func TestRunsOfNoise(t *testing.T) {
	p := narrow{rate: 375e3, base: 200 * time.Millisecond, queue: 37_500, lose: func(i int) bool { return i%120 < 9 && i > 300 }}
	m := newModel(maxWindow)
	came := 0
	const from, span = 10 * time.Second, 60 * time.Second
	p.ride(m, 1400, span, func(at time.Duration, dropped, lost bool) {
		if at > from && !dropped {
			came += 1400
		}
	})
	if used := float64(came) / p.rate / (span - from).Seconds(); used < 0.95 {
		t.Errorf("%.0f %% of the path was used", 100*used)
	}
}

// TestHolesAreFilled: requests that are lost, in runs, leave no holes in which the path stands still.
func TestHolesAreFilled(t *testing.T) {
	p := narrow{rate: 375e3, base: 200 * time.Millisecond, queue: 37_500, deaf: func(i int) bool { return i%125 < 5 }}
	m := newModel(maxWindow)
	came, lost := 0, 0
	const from, span = 10 * time.Second, 60 * time.Second
	p.ride(m, 4200, span, func(at time.Duration, dropped, _ bool) {
		switch {
		case at <= from:
		case dropped:
			lost++
		default:
			came += 4200
		}
	})
	if used := float64(came) / p.rate / (span - from).Seconds(); used < 0.97 {
		t.Errorf("%.1f %% of the path was used", 100*used)
	}
	if lost*4200 > came/14 {
		t.Errorf("%d lost, beside %d that came: it overflows", lost, came/4200)
	}
}
