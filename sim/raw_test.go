package sim

import (
	"bytes"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// answers counts what reaches a node of content, raw or in base64, of a block or of less, and what it asks for with raw.
type answers struct {
	mu                      sync.Mutex
	raw, plain, parts, asks int
	askedRaw                int
}

func (w *World) answers(of netip.AddrPort) *answers {
	a := &answers{}
	w.OnPacket(func(p netsim.Packet) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, e := range elements(p) {
			switch {
			case p.Outcome == netsim.Delivered && p.To == of && e.Name == "Content":
				m, err := w.watch.content(&e, of)
				switch {
				case err != nil || m.Raw <= 64:
				case m.For == 0:
					a.plain++
				case m.Raw <= 1232:
					a.parts++
				default:
					a.raw++
				}
			case p.Outcome == netsim.Sent && p.From == of && e.Name == "PleaseSendContent":
				a.asks++
				if m, err := wire.ParsePleaseSendContent(e.Payload); err == nil && m.Raw != 0 {
					a.askedRaw++
				}
			}
		}
	})
	return a
}

// Between our own nodes everything goes raw but what answers the first question; the tree, the content by its sha256, the short
// answers of a lossy link too.
func TestRawBetweenOurNodes(t *testing.T) {
	for name, tc := range map[string]struct {
		kind chunk.Kind
		size int
		loss float64
	}{
		"blake3": {chunk.BLAKE3, 2_000_003, 0}, "sha256": {chunk.SHA256, 2_000_003, 0}, "short": {chunk.BLAKE3, 8_000_003, 0.1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				link := plain
				link.Loss, link.MTU = tc.loss, 1500
				w := New(t, Options{Link: link})
				defer w.Close()
				s := w.Seeder(node.Config{}, tc.size)
				n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
				a := w.answers(n.At)
				if _, ok := n.Fetch(s.Contents[0].ID(tc.kind)); !ok {
					return
				}
				// Short ones are asked for until the path is known, and on after that where packets are lost.
				if a.plain > 4 || a.raw+a.parts/3 < tc.size/chunk.BlockSize || tc.loss > 0 && a.parts < 1000 || tc.loss == 0 && a.raw < 100 {
					t.Errorf("%d answers in base64, %d raw, %d short ones raw", a.plain, a.raw, a.parts)
				}
			})
		})
	}
}

// A peer that does not know the field answers as ever, and is not asked with it for long; one that takes nothing that it does
// not know is found all the same.
func TestRawIsNotNeeded(t *testing.T) {
	strict := Behaviour{Name: "strict", Heard: func(e *Evil, d wire.Datagram) bool { return bytes.Contains(d.Data, []byte(`"raw":`)) }}
	for name, bs := range map[string][]Behaviour{"old": nil, "strict": {strict}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := New(t, Options{Link: plain})
				defer w.Close()
				c := w.Seeder(node.Config{}, 2_000_003).Contents[0]
				peer := w.Evil(append(bs, Truth(c))...)
				n := w.Node(node.Config{Peers: []netip.AddrPort{peer.At}})
				a := w.answers(n.At)
				if _, ok := n.Fetch(c.BLAKE3()); !ok {
					return
				}
				if a.raw > 0 || a.plain < 489 || a.askedRaw == 0 || name == "old" && a.askedRaw > a.asks/8 {
					t.Errorf("%d answers in base64, %d raw; %d of %d questions asked for raw", a.plain, a.raw, a.askedRaw, a.asks)
				}
			})
		})
	}
}
