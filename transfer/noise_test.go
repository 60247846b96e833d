package transfer

import "testing"

// On a path with a short queue what overflows is lost all the time and without a delay that tells: what is lost when it is asked more
// slowly decides how much of that is noise.
func TestNoiseOfAShortQueue(t *testing.T) {
	for name, tc := range map[string]struct {
		strict   bool
		calm     sample
		from, to float64
	}{
		"nothing told":       {false, sample{}, 0.35, 0.45},
		"not told yet":       {true, sample{}, noiseFirst, noiseFirst},
		"calm loses little":  {true, sample{4, 48}, 0.08, 0.16},
		"calm loses as much": {true, sample{20, 48}, 0.35, 0.45},
	} {
		t.Run(name, func(t *testing.T) {
			n := noise{strict: tc.strict}
			for range noiseKept {
				for i := range 2 * noiseLeast {
					if i%5 < 2 {
						n.gone()
					} else {
						n.answered(0)
					}
				}
				n.turn()
			}
			n.quiet(int(tc.calm.lost), int(tc.calm.all))
			if p := n.share(); p < tc.from || p > tc.to {
				t.Errorf("a share of %.3f, want %.2f to %.2f", p, tc.from, tc.to)
			}
		})
	}
}

// What was seen long ago is forgotten.
func TestNoiseForgets(t *testing.T) {
	var n noise
	for range 100 {
		n.quiet(0, 24)
	}
	if n.calm.all > 2*calmMost {
		t.Errorf("%.0f outcomes are remembered", n.calm.all)
	}
}
