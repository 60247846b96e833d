package sim

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// inquiries counts the inquiries of a node for content: those for ten packets and more at once, and those for one.
type inquiries struct {
	mu         sync.Mutex
	many, part int
}

func (w *World) inquiries(of netip.AddrPort) *inquiries {
	a := &inquiries{}
	w.OnPacket(func(p netsim.Packet) {
		if p.Outcome != netsim.Sent || p.From != of {
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, e := range elements(p) {
			if m, err := wire.ParsePleaseSendContent(e.Payload); err == nil && e.Name == "PleaseSendContent" && m.Raw != 0 {
				switch {
				case m.Each > 0 && m.Length >= 10*m.Each:
					a.many++
				case m.Length <= 1232:
					a.part++
				}
			}
		}
	})
	return a
}

// On a fast link a node asks for tens of packets at once, and takes what comes where it is read. Packets that are lost, and a peer that lies in one
// of them, change nothing of what is promised: all comes, little of it twice, and the link is used.
func TestFastLink(t *testing.T) {
	const size = 24_000_003
	for _, tc := range []struct {
		name  string
		loss  float64
		liar  bool
		share float64 // of the attainable, at least
	}{
		{name: "clean", share: 0.5}, {name: "loss of 0.1 %", loss: 0.001, share: 0.5}, {name: "loss of 1 %", loss: 0.01, share: 0.4}, {name: "liar", liar: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			link := netsim.Link{Rate: 125e6, Queue: 1 << 20, Delay: time.Millisecond, MTU: 1500, Loss: tc.loss}
			inBubble(t, Options{Link: link}, func(w *World) {
				s := w.Seeder(node.Config{}, size)
				c := s.Contents[0]
				peers := []netip.AddrPort{s.At}
				if tc.liar {
					peers = append(peers, w.Evil(Truth(c), Raw(), Flip(0.01, Blocks)).At)
				}
				n := w.Node(node.Config{Peers: peers})
				a := w.inquiries(n.At)
				got, ok := n.Fetch(c.ID(chunk.BLAKE3))
				if !ok {
					return
				}
				counts := w.Counts(s.At.Addr(), n.At.Addr())
				if (counts.Dropped() > 0) != (tc.loss > 0) && !tc.liar {
					t.Errorf("%d datagrams were lost", counts.Dropped())
				}
				if a.many < 100 {
					t.Errorf("%d questions for many packets, %d for one", a.many, a.part)
				}
				if tc.loss == 0 && !tc.liar && a.part > 700 { // until the path is known they are asked for by themselves
					t.Errorf("%d inquiries for one packet, and nothing was lost", a.part)
				}
				carried := w.Carried(s.At, n.At)
				if share := size / got.Duration.Seconds() / attainable(link, carried.Sent, counts); share < tc.share {
					t.Errorf("%.1f %% of the attainable in %v", 100*share, got.Duration)
				}
				if twice := float64(carried.Came-size) / size; twice > 0.05 {
					t.Errorf("%.2f %% came twice", 100*twice)
				}
				t.Logf("%v, %d lost, asked for many %d, for one %d, %d of %d came", got.Duration, counts.Dropped(), a.many, a.part, carried.Came, carried.Sent)
			})
		})
	}
}
