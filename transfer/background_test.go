package transfer

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestBackground: TCP keeps nearly all of a bottleneck that it shares with a download in the background, whether it fills the queue or keeps next to none; before and after,
// the download has the link to itself, and uses it.
func TestBackground(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	rivals := map[string]func() rival{"CUBIC": func() rival { return newCubicFlow() }, "BBR": func() rival { return newBBRFlow() }}
	for _, c := range []struct {
		rival  string
		path   shared
		answer int     // bytes
		keeps  float64 // of the link, at least
		back   float64 // what of it is used in the ten seconds after ten that follow
	}{
		{"CUBIC", shared{rate: 2.5e6, base: 40 * ms, queue: 750_000}, 4300, 0.95, 0.9},
		{"CUBIC", shared{rate: 2.5e6, base: 40 * ms, queue: 30_000}, 1300, 0.85, 0.9},
		{"BBR", shared{rate: 2.5e6, base: 40 * ms, queue: 750_000}, 1300, 0.9, 0.9},
		{"BBR", shared{rate: 2.5e6, base: 40 * ms, queue: 750_000, shake: 4 * ms}, 4300, 0.9, 0.9},
		{"BBR", shared{rate: 625e3, base: 40 * ms, queue: 62_500}, 4300, 0.9, 0.9},
	} {
		t.Run(fmt.Sprintf("%s, %.1f Mbit/s, %v, %v, answers of %d", c.rival, c.path.rate*8/1e6, c.path.base, c.path.shake, c.answer), func(t *testing.T) {
			const from, until, end = 10 * s, 40 * s, 60 * s
			var keeps, alone, back float64
			var waits []time.Duration
			c.path.ride(newBackground(maxWindow), c.answer, rivals[c.rival](), from, until, end, func(a arrived) {
				part := float64(a.bytes) / c.path.rate
				switch {
				case a.at < 3*s:
				case a.at < from:
					alone += part / (from - 3*s).Seconds()
					waits = append(waits, a.waited-c.path.shake)
				case a.at < until && !a.ours:
					keeps += part / (until - from).Seconds()
				case a.at >= end-10*s && a.ours:
					back += part / 10
				}
			})
			slices.Sort(waits)
			standing := waits[len(waits)/2]
			t.Logf("alone %.1f %%, %v of queue; %s keeps %.1f %%; then %.1f %%", 100*alone, standing, c.rival, 100*keeps, 100*back)
			if alone < 0.9 || back < c.back {
				t.Errorf("%.1f %% of the link is used alone, %.1f %% when it is free again", 100*alone, 100*back)
			}
			if keeps < c.keeps {
				t.Errorf("%s keeps %.1f %% of the link, want %.0f", c.rival, 100*keeps, 100*c.keeps)
			}
			if standing > c.path.base {
				t.Errorf("a queue of %v stands where nobody else is", standing)
			}
		})
	}
}
