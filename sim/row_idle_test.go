package sim

import (
	"net/netip"
	"testing"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
)

// Rows of nodes at rest.
var idleRows = []row{
	{id: "IDLE", fault: "a day at rest with 50 active peers", bar: "≤ 20 MB sent", where: "test", run: rowIdle},
}

// rowIdle counts what one of many sends that all know each other and want nothing, after they have met.
func rowIdle(t *testing.T, r *result) {
	const bar = 20e6
	peers, span := size(20, 50), size(10*time.Minute, time.Hour)
	inBubble(t, Options{Link: plain, Poll: 30 * time.Second}, func(w *World) {
		s := w.Seeder(node.Config{}, 10_000)
		var last *Host
		for range peers {
			last = w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
		}
		time.Sleep(10 * time.Minute)
		var sent, datagrams int
		w.OnPacket(func(p netsim.Packet) {
			if p.From == last.At && p.Outcome == netsim.Sent {
				sent += len(p.Data) + 28
				datagrams++
			}
		})
		time.Sleep(span)
		w.Rest()
		day := float64(sent) * 24 * float64(time.Hour) / float64(span)
		r.bar(last.Stats().Peers >= peers && datagrams > peers, "%d peers known, %d datagrams in %v", last.Stats().Peers, datagrams, span)
		r.bar(day <= bar, "%.1f MB a day", day/1e6)
	})
}
