package node

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sharer/internal/netsim"
)

// One seeder on a link of 100 Mbit/s, 20 ms and bursty loss each way: loss slows
// a download down, it does not stop it. At the full rate 4 MB take 0.45 s.
func TestLossSlowsAndDoesNotStop(t *testing.T) {
	for _, tc := range []struct {
		loss float64
		bar  time.Duration
	}{{0, 2 * time.Second}, {0.01, 2 * time.Second}, {0.05, 4 * time.Second}, {0.10, 10 * time.Second}, {0.30, 60 * time.Second}} {
		t.Run(fmt.Sprintf("loss %.0f %%", 100*tc.loss), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, netsim.Link{Delay: 10 * time.Millisecond, Jitter: 2 * time.Millisecond, Rate: 12.5e6, Queue: 256 << 10, Loss: tc.loss, Burst: 2})
				defer w.close()
				_, seeder, contents := w.seeder(Config{}, 4_000_000)
				n, at := w.start(Config{})
				n.swarm.Give(seeder)
				got := fetch(t, n, contents[0].blake3(), contents[0].data)
				c := w.Counts(seeder.Addr(), at.Addr())
				t.Logf("%v; %d of %d datagrams lost", got.Duration, c.Lost, c.Sent)
				if float64(c.Lost) < tc.loss*float64(c.Sent)/4 {
					t.Errorf("%d of %d datagrams were lost, want about %.0f %%", c.Lost, c.Sent, 100*tc.loss)
				}
				if got.Duration > tc.bar {
					t.Errorf("it took %v, want at most %v", got.Duration, tc.bar)
				}
			})
		})
	}
}
