package sim

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sharer/node"
	"sharer/wire"
)

// Pings that leave faster than answers come are answered each by its own: what is lost is lost.
func TestPingsWaitForTheirOwnPong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		var lossy atomic.Bool
		heard := 0
		peer := w.Evil(Behaviour{Heard: func(e *Evil, d wire.Datagram) bool {
			es, _, err := wire.Split(nil, d.Data)
			if err != nil {
				t.Error(err)
			}
			i := slices.IndexFunc(es, func(el wire.Element) bool { return el.Name == "PleaseReturnThisMessage" })
			if !lossy.Load() || i < 0 {
				return false
			}
			if heard++; heard == 2 {
				value := slices.Clone(es[i].Payload)
				time.AfterFunc(200*time.Millisecond, func() {
					e.mu.Lock()
					defer e.mu.Unlock()
					e.sendLocked(d.Addr, wire.ReturnedMessage{Value: value})
				})
			}
			return true
		}})
		n := w.Node(node.Config{Peers: []netip.AddrPort{peer.At}})
		ping := func(patience time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := n.Ping(ctx, peer.At)
			return err
		}
		if err := ping(time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		lossy.Store(true)
		var answered atomic.Int32
		var pings sync.WaitGroup
		for range 4 {
			pings.Go(func() {
				if ping(900*time.Millisecond) == nil {
					answered.Add(1)
				}
			})
			time.Sleep(20 * time.Millisecond)
		}
		pings.Wait()
		if heard != 4 || answered.Load() != 1 {
			t.Errorf("of %d pings one was answered, %d say so", heard, answered.Load())
		}
	})
}
