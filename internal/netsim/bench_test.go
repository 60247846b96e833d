package netsim

import (
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/wire"
)

// BenchmarkDatagram is a datagram of 5.6 KB from host to host in real time, over a link with fragments and losses.
func BenchmarkDatagram(b *testing.B) {
	w := New(1, Link{Loss: 0.01, Burst: 3, MTU: 1500})
	x, y := w.Host(here), w.Host(there)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := y.ReadBatch(); err != nil {
				return
			}
		}
	}()
	ds := []wire.Datagram{{Addr: there, Data: make([]byte, 5600)}}
	b.SetBytes(5600)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.WriteBatch(ds); err != nil {
			b.Fatal(err)
		}
	}
	w.Close()
	<-ended
}

// inBubble runs f in virtual time, as a benchmark.
func inBubble(b *testing.B, f func()) {
	run := func(t *testing.T) { synctest.Test(t, func(*testing.T) { f() }) }
	all := func(string, string) (bool, error) { return true, nil }
	if !testing.RunTests(all, []testing.InternalTest{{Name: b.Name(), F: run}}) {
		b.Fatal("it failed")
	}
}

// BenchmarkCrowd is a swarm of 100 hosts that keep 16 requests of 200 bytes each under way to one another, which are answered by
// 5.6 KB: one operation is a request and its answer, two datagrams. Most of it is what it costs to let a goroutine run and to
// move the time of a bubble, which a tick saves.
func BenchmarkCrowd(b *testing.B) {
	b.Run("exact", func(b *testing.B) { crowd(b, 0) })
	b.Run("tick=1ms", func(b *testing.B) { crowd(b, time.Millisecond) })
}

func crowd(b *testing.B, tick time.Duration) {
	const hosts, window, delay = 100, 16, 20 * time.Millisecond
	link := Link{Rate: 1.25e6, Queue: 1 << 20, Delay: delay, Jitter: time.Millisecond, MTU: 1500}
	b.ReportAllocs()
	inBubble(b, func() {
		w := New(1, link)
		w.SetTick(tick)
		var conns []*Conn
		var all []netip.AddrPort
		for i := range hosts {
			all = append(all, netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(i), 0, 1}), 24254))
			conns = append(conns, w.Host(all[i]))
		}
		ask, answer := make([]byte, 200), make([]byte, 5600)
		each := b.N/hosts + 1
		var wg, readers sync.WaitGroup
		for i, c := range conns {
			wg.Add(1)
			readers.Go(func() {
				asked, got := 0, 0
				next := func() {
					asked++
					to := all[(i+1+asked*7)%hosts]
					_, _ = c.WriteBatch([]wire.Datagram{{Addr: to, Data: ask}})
				}
				for range min(window, each) {
					next()
				}
				for {
					ds, err := c.ReadBatch()
					if err != nil {
						return
					}
					for _, d := range ds {
						if len(d.Data) == len(ask) {
							_, _ = c.WriteBatch([]wire.Datagram{{Addr: d.Addr, Data: answer}})
							continue
						}
						if got++; got == each {
							wg.Done()
						}
						if asked < each {
							next()
						}
					}
				}
			})
		}
		wg.Wait()
		w.Close()
		readers.Wait()
	})
}
