package netsim_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sharer/internal/netsim"
	"sharer/wire"
)

// How a test uses the network: all of it inside one bubble.
func TestExample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Links are like this one unless SetLink says otherwise.
		w := netsim.New(1, netsim.Link{Rate: 1e6, Queue: 100_000, Delay: 20 * time.Millisecond, Loss: 0.1, MTU: 1500})
		defer w.Close() // after the nodes were closed
		a := w.Host(netip.MustParseAddrPort("192.0.2.1:24254"))
		b := w.Host(netip.MustParseAddrPort("198.51.100.1:24254"))

		arrived := 0
		ended := make(chan struct{})
		go func() { // as a node reads
			defer close(ended)
			for {
				ds, err := b.Readers()[0].ReadBatch()
				if err != nil {
					return // net.ErrClosed
				}
				arrived += len(ds) // valid until the next call, then overwritten
			}
		}()

		for range 1000 {
			d := wire.Datagram{Addr: b.LocalAddrs()[0], Data: []byte(`[{"PleaseSendPeers":{}}]`)}
			if _, err := a.WriteBatch([]wire.Datagram{d}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond) // virtual, and costs nothing
		}
		time.Sleep(time.Second) // for what is under way
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		<-ended

		// Assert that the faults did happen, or the test proves nothing.
		c := w.Counts(a.LocalAddrs()[0].Addr(), b.LocalAddrs()[0].Addr())
		if c.Lost < 50 || c.Lost > 150 || arrived != 1000-c.Lost {
			t.Errorf("%d arrived, %+v", arrived, c)
		}
	})
}
