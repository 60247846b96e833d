package sim

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sharer/catalog"
	"sharer/chunk"
	"sharer/node"
	"sharer/wire"
)

// What peers have is asked for and told, both ways, also over a lossy link: seeded files, what was fetched last, what
// is recommended. Who has nothing, who is silent and who lies of sizes does no harm.
func TestOffers(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.2} {
		synctest.Test(t, func(t *testing.T) {
			link := plain
			link.Loss = loss
			w := New(t, Options{Link: link})
			defer w.Close()
			s := w.Seeder(node.Config{}, 1, 100_000, 5000)
			s.Recommend(s.Contents[2].BLAKE3(), 5000)
			m := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
			if _, ok := m.Fetch(s.Contents[1].SHA256()); !ok {
				return
			}
			silent := w.Evil(Silent())
			n := w.Node(node.Config{Peers: []netip.AddrPort{m.At, silent.At}}) // hears of s from m
			w.Node(node.Config{Peers: []netip.AddrPort{n.At}})                 // has nothing
			time.Sleep(5 * time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			offers, asked, err := n.Offers(ctx, nil)
			if err != nil || asked.Answered != 4 {
				t.Fatalf("loss %g: %+v, %v", loss, asked, err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("loss %g: it took %v", loss, took)
			}
			t.Logf("loss %g: %+v in %v: %d offers", loss, asked, time.Since(start), len(offers))
			how := map[chunk.ID]catalog.How{}
			peers := map[chunk.ID][]netip.AddrPort{}
			for _, o := range offers {
				how[o.ID], peers[o.ID] = o.How, o.Peers
			}
			for i, want := range []struct {
				how   catalog.How
				peers []netip.AddrPort
			}{
				{catalog.Listed, []netip.AddrPort{s.At}},
				{catalog.Listed | catalog.Seen, []netip.AddrPort{s.At, m.At}},
				{catalog.Listed | catalog.Recommended, []netip.AddrPort{s.At}},
			} {
				id := s.Contents[i].BLAKE3()
				slices.SortFunc(want.peers, netip.AddrPort.Compare)
				if how[id] != want.how || !slices.Equal(peers[id], want.peers) {
					t.Errorf("loss %g: content %d is offered %b by %v, want %b by %v", loss, i, how[id], peers[id], want.how, want.peers)
				}
			}
			if len(offers) != 3 {
				t.Errorf("loss %g: %d offers", loss, len(offers))
			}
			// One alone.
			offers, asked, err = n.Offers(ctx, []netip.AddrPort{m.At})
			if err != nil || asked != (node.Asked{Peers: 1, Answered: 1}) || len(offers) != 1 {
				t.Errorf("loss %g: %d offers, %+v, %v", loss, len(offers), asked, err)
			}
			// The same, named twice: nobody else is waited for.
			start = time.Now()
			mapped := netip.AddrPortFrom(netip.AddrFrom16(m.At.Addr().As16()), m.At.Port())
			_, asked, err = n.Offers(ctx, []netip.AddrPort{m.At, mapped})
			if took := time.Since(start); err != nil || asked.Peers != 1 || took > 10*time.Second {
				t.Errorf("loss %g: %+v, %v after %v", loss, asked, err, took)
			}
		})
	}
}

// A list has room for some seventy contents.
func TestOffersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		sizes := make([]int, 100)
		for i := range sizes {
			sizes[i] = 10 + i
		}
		s := w.Seeder(node.Config{}, sizes...)
		n := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		offers, _, err := n.Offers(ctx, nil)
		if err != nil || len(offers) < 60 || len(offers) > 70 {
			t.Errorf("%d offers, %v", len(offers), err)
		}
	})
}

// The answer to an earlier ping is none to the question for a list, though it comes after it was asked.
func TestOffersWaitForTheirOwnPong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		id := chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{1}}
		var held []byte // of the ping that came first
		late := w.Evil(Behaviour{Heard: func(e *Evil, d wire.Datagram) bool {
			es, _, err := wire.Split(nil, d.Data)
			if err != nil {
				t.Error(err)
				return true
			}
			list := slices.ContainsFunc(es, func(el wire.Element) bool { return el.Name == wire.PleaseListContent{}.Name() })
			for _, el := range es {
				if el.Name == "PleaseAlwaysReturnThisMessage" {
					e.theirs[d.Addr] = slices.Clone(el.Payload)
				}
			}
			for _, el := range es {
				switch value := slices.Clone(el.Payload); {
				case el.Name != "PleaseReturnThisMessage":
				case !list && held == nil: // with the cookie this proves the address, and no pong has come yet
					held = value
					e.sendLocked(d.Addr, wire.Peers{})
				case list && held != nil:
					e.Note("a pong of another ping")
					e.sendLocked(d.Addr, wire.ReturnedMessage{Value: held})
					time.AfterFunc(200*time.Millisecond, func() {
						e.mu.Lock()
						defer e.mu.Unlock()
						e.sendLocked(d.Addr, wire.ContentList{Results: []wire.Listing{{ID: []byte(id.String()), Size: 7}}}, wire.ReturnedMessage{Value: value})
					})
				}
			}
			return true
		}})
		n := w.Node(node.Config{Peers: []netip.AddrPort{late.At}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		offers, asked, err := n.Offers(ctx, []netip.AddrPort{late.At})
		if err != nil || asked.Answered != 1 || len(offers) != 1 || offers[0].ID != id {
			t.Errorf("%v, %+v, %v", offers, asked, err)
		}
		if late.Count("a pong of another ping") == 0 {
			t.Error("no pong came too early")
		}
	})
}
