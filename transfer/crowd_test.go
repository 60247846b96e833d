package transfer

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"sharer/chunk"
)

// Who has lost its place in a crowd gives what was begun with it, and no more: nobody else is asked for that.
func TestCrowdEndsWhatWasBegun(t *testing.T) {
	d, _ := near(6, "192.0.2.1:5")
	s, now := d.sources[0], time.Now()
	s.length.short, s.length.probed = true, now
	d.pick.crowd, d.crowd.few, s.asked = true, true, true
	if !d.askOne(s, now) || s.flights.live != 1 || len(s.parts.units) != 1 {
		t.Fatalf("%d parts of %d blocks are out", s.flights.live, len(s.parts.units))
	}
	s.asked = false
	d.request(now)
	if s.flights.live != 4 || len(s.parts.units) != 1 {
		t.Errorf("%d parts of %d blocks are out, want the four of one", s.flights.live, len(s.parts.units))
	}
}

// A piece of the tree that is lost when everybody has been asked for all blocks is asked for again: who may bring it gets a place.
func TestCrowdAsksForLostPieces(t *testing.T) {
	const size = 300*chunk.BlockSize - 100
	root, _ := treeFor(t, size)
	file, err := chunk.OpenPartial(t.TempDir()+"/x", chunk.ID{Kind: chunk.BLAKE3, Hash: root}, chunk.PartialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	q, now := &questions{}, time.Now()
	d := newDownload(Config{
		ID: chunk.ID{Kind: chunk.BLAKE3, Hash: root}, File: file, Batch: q, Peers: nobody{}, Rand: rand.New(rand.NewPCG(1, 2)),
		Find: func(int) []netip.AddrPort { return nil },
	}, func() int { return maxWindow })
	d.started, d.lastGood = now, now
	d.setSize(size, now)
	d.prove()
	for i := range byte(crowdLeast + 1) {
		d.addSources([]netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, i}), 5)})
		s := d.sources[i]
		s.answers, s.claim, s.sworn, s.gave, s.reach = true, size, true, 1, holding(chunk.Range{From: 0, To: 300})
	}
	for i := range int64(5) { // all that can be asked for has come, and waits for its leaves
		st := d.pick.open(i, maxStripes)
		st.got, st.since = st.want, now.Add(time.Hour)
	}
	for range 100 {
		for _, s := range d.sources {
			s.answered, s.polled, s.run.dry = now, now, d.pick.news
		}
		d.plan(now)
		d.closeAsk(now)
		for _, m := range q.asked {
			if bytes.Equal(m.ID, d.treeID) {
				return
			}
		}
		now = now.Add(50 * time.Millisecond)
	}
	t.Errorf("%d peers, %d pieces are wanted, and nobody is asked for one", len(d.sources), len(d.tree.queue))
}
