package node

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
)

// One seeder, four downloaders and a liar, on lossy links: everybody ends with
// equal bytes, the losses and the lies did happen, and no honest peer is banned.
func TestSwarmWithLossAndALiar(t *testing.T) {
	for _, loss := range []float64{0, 0.01, 0.05, 0.10} {
		for _, kind := range []chunk.Kind{chunk.BLAKE3, chunk.SHA256} {
			t.Run(fmt.Sprintf("loss %.0f %%, kind %d", 100*loss, kind), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { swarmWithLoss(t, loss, kind) })
			})
		}
	}
}

func swarmWithLoss(t *testing.T, loss float64, kind chunk.Kind) {
	w := newWorld(t, netsim.Link{Delay: 10 * time.Millisecond, Jitter: 2 * time.Millisecond, Rate: 12.5e6, Queue: 256 << 10, Loss: loss, Burst: 2})
	defer w.close()
	_, seeder, contents := w.seeder(Config{}, 4_000_000)
	c := contents[0]
	liar := w.evil(liars["flips a bit in one block of ten"](c, treeOf(t, c.data)))
	defer liar.close()

	const downloaders = 4
	honest := []netip.AddrPort{seeder}
	var nodes []*Node
	for range downloaders {
		n, at := w.start(Config{Peers: []netip.AddrPort{seeder, liar.at}})
		nodes, honest = append(nodes, n), append(honest, at)
	}
	id := c.blake3()
	if kind == chunk.SHA256 {
		id = c.sha256()
	}
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			path := filepath.Join(dir, fmt.Sprint(i))
			got, err := n.Get(t.Context(), Get{ID: id, Size: -1, Path: path})
			if err != nil {
				t.Errorf("downloader %d: %v: %+v", i, err, got)
				return
			}
			if data, err := os.ReadFile(path); err != nil || string(data) != string(c.data) {
				t.Errorf("downloader %d has %d bytes, not those that were seeded (%v)", i, len(data), err)
			}
			t.Logf("downloader %d: %v, %d bytes fetched", i, got.Duration, got.Fetched)
		})
	}
	wg.Wait()
	total := w.Total()
	if loss > 0 && total.Lost < int(loss*float64(total.Sent)/2) {
		t.Errorf("%d of %d datagrams were lost, want about %.0f %%", total.Lost, total.Sent, 100*loss)
	}
	if liar.lied() == 0 {
		t.Error("the liar never lied")
	}
	t.Logf("%d datagrams, %d lost, %d lies", total.Sent, total.Lost, liar.lied())
	for _, n := range nodes {
		for _, at := range honest {
			if n.swarm.Table.Banned(at, time.Now()) {
				t.Errorf("%s, which is honest, is banned", at)
			}
		}
	}
}

// The downloaders of one content find each other through the seeder and give each
// other what they have: the seeder sends less than every downloader needs.
func TestDownloadersShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, netsim.Link{Delay: 10 * time.Millisecond, Rate: 12.5e6, Queue: 256 << 10})
		defer w.close()
		s, seeder, contents := w.seeder(Config{Up: 500_000}, 8_000_000)
		c := contents[0]
		const downloaders = 4
		var wg sync.WaitGroup
		dir := t.TempDir()
		for i := range downloaders {
			n, _ := w.start(Config{Peers: []netip.AddrPort{seeder}})
			wg.Go(func() {
				got, err := n.Get(t.Context(), Get{ID: c.blake3(), Size: -1, Path: filepath.Join(dir, fmt.Sprint(i))})
				if err != nil {
					t.Errorf("downloader %d: %v", i, err)
				}
				t.Logf("downloader %d: %+v, sent %+v", i, got, n.uploads.Stats())
			})
		}
		wg.Wait()
		sent := s.uploads.Stats().Bytes
		copies := float64(sent) / float64(len(c.data))
		t.Logf("the seeder sent %.2f copies to %d downloaders", copies, downloaders)
		if copies < 1 || copies > 0.85*downloaders {
			t.Errorf("the seeder sent %.2f copies to %d downloaders", copies, downloaders)
		}
	})
}
