package netsim

import (
	"bytes"
	"errors"
	"math"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sharer/wire"
)

var (
	here  = netip.MustParseAddrPort("192.0.2.1:24254")
	there = netip.MustParseAddrPort("192.0.2.2:24254")
)

// run sends n datagrams of size bytes at once from here to there and returns
// what arrived, with the times since sending.
func run(t *testing.T, seed uint64, l Link, n, size int) (got [][]byte, after []time.Duration, c Counts) {
	synctest.Test(t, func(t *testing.T) {
		w := New(seed, l)
		a, b := w.Host(here), w.Host(there)
		ended := make(chan struct{})
		start := time.Now()
		go func() {
			defer close(ended)
			for {
				ds, err := b.ReadBatch()
				if err != nil {
					return
				}
				for _, d := range ds {
					got = append(got, bytes.Clone(d.Data))
					after = append(after, time.Since(start))
				}
			}
		}()
		for i := range n {
			data := bytes.Repeat([]byte{byte(i)}, size)
			if _, err := a.WriteBatch([]wire.Datagram{{Addr: there, Data: data}}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		c = w.Counts(here.Addr(), there.Addr())
		for _, x := range []*Conn{a, b} {
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		}
		<-ended
		w.Close()
	})
	if c.Sent != n || c.Delivered != len(got) || c.Sent+c.Duplicated != c.Delivered+c.Dropped() {
		t.Errorf("sent %d, arrived %d, counted %+v", n, len(got), c)
	}
	return got, after, c
}

func TestDelayAndRate(t *testing.T) {
	_, after, _ := run(t, 1, Link{Delay: 30 * time.Millisecond}, 1, 100)
	if len(after) != 1 || after[0] != 30*time.Millisecond {
		t.Errorf("arrived after %v, want 30ms", after)
	}
	const n, size = 1000, 972 // with headers 1000 bytes
	_, after, _ = run(t, 1, Link{Rate: 100_000, Delay: 5 * time.Millisecond}, n, size)
	if want := 10*time.Second + 5*time.Millisecond; len(after) != n || (after[n-1]-want).Abs() > time.Millisecond {
		t.Errorf("%d arrived, the last after %v, want %d after %v", len(after), after[len(after)-1], n, want)
	}
}

func TestQueueDropsTheLast(t *testing.T) {
	got, _, c := run(t, 1, Link{Rate: 1000, Queue: 10_000}, 20, 972)
	if len(got) != 10 || c.Overflow != 10 || got[9][0] != 9 {
		t.Errorf("%d arrived, %d overflowed, want 10 and 10, the first ones", len(got), c.Overflow)
	}
}

func TestFaultsHappenAsOftenAsAsked(t *testing.T) {
	const n = 20_000
	near := func(name string, got int, share float64) {
		t.Helper()
		// Four standard deviations of a binomial, tripled for bursts.
		if tolerance := 12 * math.Sqrt(n*share*(1-share)); math.Abs(float64(got)-n*share) > tolerance {
			t.Errorf("%s: %d of %d, want about %.0f", name, got, n, n*share)
		}
	}
	_, _, c := run(t, 1, Link{Loss: 0.1}, n, 100)
	near("loss", c.Lost, 0.1)
	_, _, c = run(t, 2, Link{Loss: 0.1, MTU: 1500}, n, 5600)
	near("loss of four fragments", c.Lost, 1-math.Pow(0.9, 4))
	_, _, c = run(t, 3, Link{Loss: 0.05, Burst: 5}, n, 100)
	near("bursty loss", c.Lost, 0.05)
	_, _, c = run(t, 4, Link{Duplicate: 0.2, Delay: time.Millisecond}, n, 100)
	near("duplicates", c.Duplicated, 0.2)
	got, _, c := run(t, 5, Link{Corrupt: 0.1}, n, 100)
	near("corruption", c.Corrupted, 0.1)
	bad := 0
	for i, d := range got {
		if !bytes.Equal(d, bytes.Repeat([]byte{byte(i)}, 100)) {
			bad++
		}
	}
	if bad != c.Corrupted {
		t.Errorf("%d datagrams are not as sent, %d were corrupted", bad, c.Corrupted)
	}
	_, after, c := run(t, 6, Link{Reorder: 0.1, ReorderBy: 50 * time.Millisecond}, n, 100)
	near("reordering", c.Reordered, 0.1)
	late := 0
	for _, d := range after {
		if d == 50*time.Millisecond {
			late++
		}
	}
	if late != c.Reordered {
		t.Errorf("%d came late, %d were reordered", late, c.Reordered)
	}
}

func TestBurstsAreBursts(t *testing.T) {
	got, _, c := run(t, 7, Link{Loss: 0.05, Burst: 5}, 20_000, 1)
	runs, before := 0, byte(255)
	for _, d := range got {
		if d[0] != before+1 {
			runs++
		}
		before = d[0]
	}
	if mean := float64(c.Lost) / float64(runs); mean < 4 || mean > 6 {
		t.Errorf("losses come in runs of %.1f, want 5", mean)
	}
}

func TestDownAndUnreachable(t *testing.T) {
	if _, _, c := run(t, 1, Link{Down: true}, 5, 10); c.Down != 5 {
		t.Errorf("%+v, want 5 down", c)
	}
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		w.Inject(here, there, []byte("x"))
		if c := w.Total(); c.Unreachable != 1 {
			t.Errorf("%+v, want 1 unreachable", c)
		}
		c := w.Host(here)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := c.ReadBatch(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading a closed socket: %v", err)
		}
	})
}

func TestAnnouncementsReachTheLAN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		a, b := w.Host(here), w.Host(there)
		far := w.Host(netip.MustParseAddrPort("198.51.100.1:24254"))
		a.SetLAN(netip.MustParsePrefix("192.0.2.0/24"))
		if _, err := a.WriteBatch([]wire.Datagram{{Addr: netip.AddrPortFrom(a.AnnounceTo()[0], 24254), Data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(b.queue) != 1 || len(far.queue) != 0 || len(a.queue) != 0 {
			t.Errorf("the announcement reached %d, %d, %d, want 1, 0, 0", len(b.queue), len(far.queue), len(a.queue))
		}
	})
}

func TestSeedsRepeat(t *testing.T) {
	hash := func(seed uint64) (h uint64) {
		synctest.Test(t, func(t *testing.T) {
			w := New(seed, Link{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.01})
			a, b := w.Host(here), w.Host(there)
			echo := func(c *Conn) {
				for {
					ds, err := c.ReadBatch()
					if err != nil {
						return
					}
					for _, d := range ds {
						if _, err := c.WriteBatch([]wire.Datagram{{Addr: d.Addr, Data: d.Data}}); err != nil {
							return
						}
					}
				}
			}
			go echo(a)
			go echo(b)
			for i := range 50 {
				w.Inject(here, there, []byte{byte(i)})
			}
			time.Sleep(time.Second)
			h = w.TraceHash()
			for _, c := range []*Conn{a, b} {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
			w.Close()
		})
		return h
	}
	if a, b := hash(1), hash(1); a != b {
		t.Errorf("one seed, two traces: %x, %x", a, b)
	}
	if a, b := hash(1), hash(2); a == b {
		t.Errorf("two seeds, one trace: %x", a)
	}
}
