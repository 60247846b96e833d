package transfer

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestLength drives the choice of lengths through paths: fragments that die, loss that
// fills a reassembly pool, clean ones, and back.
func TestLength(t *testing.T) {
	type phase struct {
		seconds   int
		perSecond int     // long answers asked a second, or five times as many short ones
		packets   float64 // share of packets lost; a long answer is four
		noFrags   bool
		short     bool // what it must have come to at the end
		within    int  // seconds until then, 0: any
	}
	for name, phases := range map[string][]phase{
		"clean stays long":                {{60, 200, 0, false, false, 0}},
		"1 % at 4 Mbit/s stays long":      {{120, 80, 0.01, false, false, 0}},
		"1 % at 80 Mbit/s fills the pool": {{60, 1800, 0.01, false, true, 4}, {60, 1800, 0, false, false, 60}},
		"5 % and more is short":           {{30, 100, 0.06, false, true, 3}, {60, 100, 0, false, false, 60}},
		"no fragments is short":           {{30, 50, 0, true, true, 2}, {60, 50, 0, false, false, 20}},
		"0.1 % at 100 Mbit/s stays long":  {{120, 2000, 0.0005, false, false, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			var l length
			now := time.Unix(1000, 0)
			for i, p := range phases {
				changed := -1
				for s := range p.seconds {
					came := 0
					for k := range p.perSecond {
						at := now.Add(time.Duration(k) * time.Second / time.Duration(p.perSecond))
						if !l.short || l.probe(at) {
							lost := p.noFrags
							for range fragmentsFor {
								lost = lost || rng.Float64() < p.packets
							}
							if p.noFrags && !l.everLong {
								continue // nothing newer comes, so nothing is lost by order
							}
							l.outcome(at, true, lost)
							if !lost {
								came++
							}
							continue
						}
						for range blockParts {
							lost := rng.Float64() < p.packets
							l.outcome(at, false, lost)
							came++
						}
					}
					now = now.Add(time.Second)
					if came == 0 {
						l.silent(now, 1)
					}
					if l.short != p.short {
						changed = -1
					} else if changed < 0 {
						changed = s
					}
				}
				if changed < 0 || p.within > 0 && changed > p.within {
					t.Errorf("phase %d: short %v at the end, settled after %d s, want %v within %d s", i, l.short, changed, p.short, p.within)
				}
			}
		})
	}
}

// A loss that turns out to be a late answer counts for nothing.
func TestLengthFound(t *testing.T) {
	var l length
	now := time.Unix(1000, 0)
	for i := range 10 * longSamples {
		now = now.Add(10 * time.Millisecond)
		l.outcome(now, true, i%2 == 0)
		if i%2 == 0 {
			l.found(true)
		}
	}
	if l.short {
		t.Error("late answers were taken for lost ones")
	}
	for range 10 * longSamples {
		now = now.Add(10 * time.Millisecond)
		l.outcome(now, true, true)
	}
	if !l.short {
		t.Error("lost ones were not")
	}
}

// TestLengthTry: of who answers raw, short ones are asked for at first; their losses, which come in runs, say what is next.
func TestLengthTry(t *testing.T) {
	const most = 4 * triedSamples // until it must be decided
	for _, c := range []struct {
		loss  float64
		few   bool
		short bool
	}{
		{0, false, false}, {0.02, false, false}, {0.06, false, false}, {0.25, false, true},
		{0, true, false}, {0.01, true, false}, {0.1, true, true},
	} {
		wrong := 0
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 3))
			now := time.Unix(1000, 0)
			l := length{raw: true, few: c.few}
			bad := false
			for range most {
				if !l.unsure() {
					break
				}
				// Runs of 2.5 on the mean, as on the ladder.
				bad = rng.Float64() < 0.6 && bad || rng.Float64() < c.loss*0.4/(1-c.loss)
				now = now.Add(time.Millisecond)
				l.outcome(now, false, bad)
			}
			if l.unsure() {
				t.Fatalf("%+v: not decided after %d", c, most)
			}
			if l.short != c.short {
				wrong++
			}
		}
		if wrong > 5 {
			t.Errorf("%+v: decided otherwise %d times of 20", c, wrong)
		}
	}
}
