package sim

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
)

// Two nodes give the same content and one of them ends in the middle: who fetches hears of it and goes on with the other at once,
// instead of finding out by timeouts.
func TestLeavingIsSaid(t *testing.T) {
	const size = 28_000_000 // more than both give until a second and a half after one has ended
	link := netsim.Link{Rate: 2.5e6, Queue: 250_000, Delay: 10 * time.Millisecond, MTU: 1500}
	inBubble(t, Options{Link: link}, func(w *World) {
		stays := w.Seeder(node.Config{}, size)
		c := stays.Contents[0]
		leaves := w.Seeder(node.Config{}, 1)
		leaves.SeedContents(c)
		n := w.Node(node.Config{Peers: []netip.AddrPort{stays.At, leaves.At}})
		begun, closed := time.Now(), make(chan time.Duration)
		go func() {
			time.Sleep(5 * time.Second) // of virtual time
			if err := leaves.Close(); err != nil {
				t.Error(err)
			}
			closed <- time.Since(begun)
		}()
		asked := 0 // of who has left
		w.OnPacket(func(p netsim.Packet) {
			if p.Outcome == netsim.Sent && p.From == n.At && p.To == leaves.At && time.Since(begun) > 5100*time.Millisecond && len(p.Data) < 400 {
				asked++
			}
		})
		if _, err := n.Get(context.Background(), node.Get{ID: c.BLAKE3(), Size: -1, Path: w.Path("copy")}); err != nil {
			t.Error(err)
		}
		at := <-closed
		given := w.Carried(leaves.At, n.At)
		if given.Came < size/8 {
			t.Fatalf("who left gave %d bytes: nothing is shown", given.Came)
		}
		whole := 500 * time.Millisecond // ticks are counted from the start of the world
		got := w.Carried(stays.At, n.At).Between(at+whole, at+whole+time.Second)
		t.Logf("closed after %v; in a second after that the other gave %d bytes; %d datagrams went to who had left", at, got, asked)
		if got < 1_600_000 {
			t.Errorf("%d bytes in a second from who stayed, of 2,200,000", got)
		}
		if asked > 12 {
			t.Errorf("%d datagrams were sent to who had left", asked)
		}
	})
}
