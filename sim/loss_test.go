package sim

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
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
				w := New(t, Options{Seed: 2, Link: netsim.Link{Delay: 10 * time.Millisecond, Jitter: 2 * time.Millisecond, Rate: 12.5e6, Queue: 256 << 10, Loss: tc.loss, Burst: 2}})
				defer w.Close()
				s := w.Seeder(node.Config{}, 4_000_000)
				n := w.Node(node.Config{})
				n.Give(s.At)
				got, _ := n.Fetch(s.Contents[0].BLAKE3())
				c := w.Counts(s.At.Addr(), n.At.Addr())
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

// One seeder, four downloaders and a liar, on lossy links: everybody ends with
// equal bytes, the losses and the lies did happen, and no honest peer is banned.
func TestSwarmWithLossAndALiar(t *testing.T) {
	for _, loss := range []float64{0, 0.01, 0.05, 0.10} {
		for _, kind := range []chunk.Kind{chunk.BLAKE3, chunk.SHA256} {
			t.Run(fmt.Sprintf("loss %.0f %%, kind %d", 100*loss, kind), func(t *testing.T) {
				if loss != map[chunk.Kind]float64{chunk.SHA256: 0.01, chunk.BLAKE3: 0.05}[kind] {
					variation(t)
				}
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { swarmWithLoss(t, loss, kind) })
			})
		}
	}
}

func swarmWithLoss(t *testing.T, loss float64, kind chunk.Kind) {
	w := New(t, Options{Link: netsim.Link{Delay: 10 * time.Millisecond, Jitter: 2 * time.Millisecond, Rate: 12.5e6, Queue: 256 << 10, Loss: loss, Burst: 2}})
	defer w.Close()
	s := w.Seeder(node.Config{}, 4_000_000)
	c := s.Contents[0]
	liar := w.Evil(liars["flips a bit in one block of ten"](c)...)
	const downloaders = 4
	var nodes []*Host
	for range downloaders {
		nodes = append(nodes, w.Node(node.Config{Peers: []netip.AddrPort{s.At, liar.At}}))
	}
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			got, _ := n.Fetch(c.ID(kind))
			t.Logf("downloader %d: %v, %d bytes fetched", i, got.Duration, got.Fetched)
		})
	}
	wg.Wait()
	total := w.Total()
	if loss > 0 && total.Lost < int(loss*float64(total.Sent)/2) {
		t.Errorf("%d of %d datagrams were lost, want about %.0f %%", total.Lost, total.Sent, 100*loss)
	}
	if liar.Lies() == 0 {
		t.Error("the liar never lied")
	}
	t.Logf("%d datagrams, %d lost, %d lies", total.Sent, total.Lost, liar.Lies())
	for _, n := range nodes {
		for _, honest := range append(nodes, s) {
			if n.Banned(honest.At) {
				t.Errorf("%s, which is honest, is banned by %s", honest, n)
			}
		}
	}
}

// The downloaders of one content find each other through the seeder and give each
// other what they have: the seeder sends less than every downloader needs.
func TestDownloadersShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 10 * time.Millisecond, Rate: 12.5e6, Queue: 256 << 10}})
		defer w.Close()
		s := w.Seeder(node.Config{Up: 500_000}, 8_000_000)
		c := s.Contents[0]
		const downloaders = 4
		var wg sync.WaitGroup
		for i := range downloaders {
			n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
			wg.Go(func() {
				got, _ := n.Fetch(c.BLAKE3())
				t.Logf("downloader %d: %+v, sent %+v", i, got, n.Stats().Uploads)
			})
		}
		wg.Wait()
		sent := s.Stats().Uploads.Bytes
		copies := float64(sent) / float64(len(c.Data))
		t.Logf("the seeder sent %.2f copies to %d downloaders", copies, downloaders)
		if copies < 1 || copies > 0.85*downloaders {
			t.Errorf("the seeder sent %.2f copies to %d downloaders", copies, downloaders)
		}
	})
}
