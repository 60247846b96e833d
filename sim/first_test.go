package sim

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
)

// From a new peer the first verified byte of a file is here three and a half round trips after the first datagram to it: one for cookie
// and size, then the path of the tree and the last block, which prove the size: seven answers of 4 KiB, of which the first
// window of RFC 6928 holds three, paced. A small file's tree is one answer, and two round trips are enough.
func TestFirstVerifiedByte(t *testing.T) {
	for bytes, most := range map[int]float64{64 << 20: 3.6, 200_000: 2.6} {
		synctest.Test(t, func(t *testing.T) { firstByte(t, bytes, most) })
	}
}

func firstByte(t *testing.T, bytes int, most float64) {
	const rtt = 800 * time.Millisecond // less than the first timeout, and long beside the 50 ms at which pace looks
	w := New(t, Options{Link: netsim.Link{Delay: rtt / 2, Rate: 125e6, Queue: 64 << 20}})
	defer w.Close()
	s := w.Seeder(node.Config{}, bytes)
	begun := time.Duration(-1)
	w.OnPacket(func(p netsim.Packet) {
		if begun < 0 && p.Outcome == netsim.Sent && p.To == s.At {
			begun = p.At.Sub(w.Start)
		}
	})
	n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
	var p pace
	w.pace(n, &p)
	if _, ok := n.Fetch(s.Contents[0].BLAKE3()); !ok {
		return
	}
	if took := (p.first - begun).Seconds() / rtt.Seconds(); took > most {
		t.Errorf("%d bytes: the first verified byte is here %.2f round trips after the first datagram, want %.1f", bytes, took, most)
	}
}
