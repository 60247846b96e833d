package netsim

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sharer/wire"
)

func addrs(texts ...string) (out []netip.Addr) {
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// settle lets everything that is under way arrive, and its readers come to rest.
func settle() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

func (in *inbox) texts() (out []string) {
	for _, d := range in.data {
		out = append(out, string(d))
	}
	return out
}

func TestSlowReaderLosesTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		a, b := w.Host(here), w.Host(there)
		b.SetRecvBuffer(1000)
		for i := range 15 {
			send(t, a, there, bytes.Repeat([]byte{byte(i)}, 100))
		}
		settle()
		if c := w.Total(); c.Delivered != 10 || c.Full != 5 || b.RecvBuffer() != 1000 {
			t.Errorf("%+v, want 10 delivered and 5 that found the buffer full", c)
		}
		in := receive(b.Readers()[0])
		settle()
		send(t, a, there, []byte{15})
		settle()
		if len(in.data) != 11 || in.data[9][0] != 9 || in.data[10][0] != 15 {
			t.Errorf("read %d datagrams", len(in.data))
		}
	})
}

// What is read at an instant makes no room for what arrives at the same one, whoever runs first.
func TestRoomIsMadeAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		w.SetTick(10 * time.Millisecond)
		a, b := w.Host(here), w.Host(there)
		b.SetRecvBuffer(100)
		read := make(chan struct{})
		go func() {
			for {
				if _, err := b.ReadBatch(); err != nil {
					return
				}
				read <- struct{}{}
			}
		}()
		sent := 0
		w.Tap(func(Packet) {
			if sent++; sent == 2 { // the first was delivered within the same tick
				<-read
			}
		})
		send(t, a, there, make([]byte, 100))
		settleFor(5 * time.Millisecond)
		send(t, a, there, make([]byte, 100))
		settle()
		send(t, a, there, make([]byte, 100))
		settleFor(time.Second)
		<-read
		if c := w.Total(); c.Delivered != 2 || c.Full != 1 {
			t.Errorf("%+v, want the second to find the buffer full", c)
		}
	})
}

func TestDatagramsAreOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		a, b := w.Host(here), w.Host(there)
		data := []byte("mine")
		send(t, a, there, data)
		copy(data, "none") // the sender's buffer is its own again
		settle()
		ds, err := b.ReadBatch()
		if err != nil || string(ds[0].Data) != "mine" {
			t.Fatalf("%v, %v", ds, err)
		}
		kept := ds[0].Data
		send(t, a, there, data)
		settle()
		if _, err := b.ReadBatch(); err != nil || string(kept) == "mine" {
			t.Errorf("%q, %v", kept, err)
		}
	})
}

func TestBothFamiliesAndVia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		c := w.Host(here, here6, netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("192.0.2.1:2"))
		peer := w.Host(there, far6, netip.MustParseAddrPort("127.0.0.1:9"))
		for _, tc := range []struct {
			to   string
			via  uint8
			from string
			got  uint8
		}{
			{"192.0.2.2:24254", 0, "192.0.2.1:24254", 1},
			{"192.0.2.2:24254", 4, "192.0.2.1:2", 1},
			{"192.0.2.2:24254", 2, "192.0.2.1:24254", 1}, // no IPv4 on the second
			{"[2001:db8::2]:24254", 0, "[2001:db8::1]:24254", 2},
			{"[::ffff:192.0.2.2]:24254", 0, "192.0.2.1:24254", 1},
			{"127.0.0.1:9", 0, "127.0.0.1:1", 3},
		} {
			d := wire.Datagram{Addr: netip.MustParseAddrPort(tc.to), Via: tc.via, Data: []byte("x")}
			if _, err := c.WriteBatch([]wire.Datagram{d}); err != nil {
				t.Fatal(err)
			}
			settle()
			ds, err := peer.Readers()[tc.got-1].ReadBatch()
			if err != nil {
				t.Fatal(err)
			}
			if d := ds[0]; len(ds) != 1 || d.Addr.String() != tc.from || d.Via != tc.got {
				t.Errorf("to %s via %d: from %s at socket %d", tc.to, tc.via, d.Addr, d.Via)
			}
		}
	})
}

func TestWriteErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		a := w.Host(here)
		good := wire.Datagram{Addr: there, Data: []byte("x")}
		for _, tc := range []struct {
			bad wire.Datagram
			err error
		}{
			{wire.Datagram{Addr: there, Data: make([]byte, wire.MaxDatagram+1)}, syscall.EMSGSIZE},
			{wire.Datagram{Addr: far6}, syscall.EAFNOSUPPORT},
			{wire.Datagram{}, syscall.EINVAL},
			{wire.Datagram{Addr: netip.AddrPortFrom(there.Addr(), 0)}, syscall.EINVAL},
		} {
			if n, err := a.WriteBatch([]wire.Datagram{good, tc.bad, good}); n != 1 || !errors.Is(err, tc.err) {
				t.Errorf("%s: %d, %v, want 1, %v", tc.bad.Addr, n, err, tc.err)
			}
		}
		settle()
		if c := w.Total(); c.Sent != 4 || c.Unreachable != 4 {
			t.Errorf("%+v", c)
		}
		w.Close()
		w.Close() // once more changes nothing
		if _, err := a.WriteBatch([]wire.Datagram{good}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
		if _, err := a.ReadBatch(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestHostsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{Delay: time.Second})
		defer w.Close()
		a, b := w.Host(here), w.Host(there)
		in := receive(b.Readers()[0])
		send(t, a, there, []byte("to nobody"))
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		<-in.ended
		if err := b.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed twice: %v", err)
		}
		if _, err := b.WriteBatch(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing to a closed socket: %v", err)
		}
		settle()
		send(t, a, there, []byte("to the next"))
		again := w.Host(there)
		in = receive(again.Readers()[0])
		settle()
		if c := w.Total(); len(in.data) != 1 || c.Unreachable != 1 || c.Delivered != 1 {
			t.Errorf("%q, %+v", in.texts(), c)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("an address was given twice")
				}
			}()
			w.Host(there)
		}()
	})
}

func TestForgedSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{Delay: time.Second})
		defer w.Close()
		w.Host(here)
		in := receive(w.Host(there).Readers()[0])
		w.Inject(here, there, []byte("not by its owner"))
		w.Inject(netip.MustParseAddrPort("203.0.113.9:1"), there, []byte("by nobody"))
		settle()
		if fmt.Sprint(in.from) != "[192.0.2.1:24254 203.0.113.9:1]" || in.after[0] != time.Second {
			t.Errorf("from %v after %v", in.from, in.after)
		}
	})
}

func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{Delay: time.Second})
		defer w.Close()
		third := netip.MustParseAddrPort("192.0.2.3:24254")
		a, b, c := w.Host(here), w.Host(there), w.Host(third)
		in := map[*Conn]*inbox{}
		for _, h := range []*Conn{a, b, c} {
			in[h] = receive(h.Readers()[0])
		}
		everybody := func() {
			for _, from := range []*Conn{a, b, c} {
				for _, to := range []netip.AddrPort{here, there, third} {
					if from.LocalAddrs()[0] != to {
						send(t, from, to, []byte("x"))
					}
				}
			}
		}
		counts := func() string {
			settle()
			return fmt.Sprint(len(in[a].data), len(in[b].data), len(in[c].data))
		}
		everybody()
		synctest.Wait()
		time.Sleep(time.Second / 2)
		w.Partition(addrs("192.0.2.1"), addrs("192.0.2.2")) // the third reaches both; what is under way is cut too
		if got := counts(); got != "1 1 2" {
			t.Errorf("cut under way: %s arrived", got)
		}
		everybody()
		if got := counts(); got != "2 2 4" {
			t.Errorf("in two parts: %s arrived", got)
		}
		w.Heal()
		everybody()
		if got := counts(); got != "4 4 6" {
			t.Errorf("healed: %s arrived", got)
		}
		if c := w.Total(); c.Down != 4 {
			t.Errorf("%+v, want 4 down", c)
		}
	})
}

func TestLinksAreChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		a, b := w.Host(here), w.Host(there)
		inA, inB := receive(a.Readers()[0]), receive(b.Readers()[0])
		start := time.Now()
		both := func(wantA, wantB time.Duration) {
			t.Helper()
			start := time.Since(start)
			send(t, a, there, []byte("x"))
			send(t, b, here, []byte("x"))
			settle()
			if gotA, gotB := inA.after[len(inA.after)-1]-start, inB.after[len(inB.after)-1]-start; gotA != wantA || gotB != wantB {
				t.Errorf("after %v and %v, want %v and %v", gotA, gotB, wantA, wantB)
			}
		}
		both(1, 1)
		w.SetDefault(Link{Delay: 1000})
		both(1000, 1000)
		w.SetOneWay(here.Addr(), there.Addr(), Link{Delay: 2000})
		both(1000, 2000)
		w.SetLink(here.Addr(), there.Addr(), Link{Delay: 3000})
		w.SetDefault(Link{})
		both(3000, 3000)
		w.Share(Link{Delay: 4000}, Direction{here.Addr(), there.Addr()}, Direction{there.Addr(), here.Addr()})
		both(4000, 4000)
		w.SetOneWay(here.Addr(), there.Addr(), Link{Delay: 5000}) // it leaves the share
		both(4000, 5000)
		if c := w.Counts(here.Addr(), there.Addr()); c.Sent != 6 || c.Delivered != 6 {
			t.Errorf("%+v", c)
		}
	})
}

// Two senders behind one bottleneck get its rate together, each half of it.
func TestSharedBottleneck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		other := netip.MustParseAddrPort("192.0.2.3:24254")
		a, b, c := w.Host(here), w.Host(other), w.Host(there)
		w.Share(Link{Rate: 100_000, Queue: 20_000}, Direction{here.Addr(), there.Addr()}, Direction{other.Addr(), there.Addr()})
		in := receive(c.Readers()[0])
		for range 1000 { // 10 s of twice the rate
			send(t, a, there, make([]byte, 972))
			send(t, b, there, make([]byte, 972))
			time.Sleep(10 * time.Millisecond)
		}
		settle()
		ca, cb := w.Counts(here.Addr(), there.Addr()), w.Counts(other.Addr(), there.Addr())
		if n := len(in.data); n < 1000 || n > 1030 || ca.Delivered+cb.Delivered != n || ca.Overflow+cb.Overflow != 2000-n {
			t.Errorf("%d arrived: %+v, %+v", n, ca, cb)
		}
	})
}

func TestAnnouncementsReachTheLAN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		lan := []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24"), netip.MustParsePrefix("fe80::/64")}
		hosts := map[string]*Conn{}
		in := map[string][]*inbox{}
		for _, h := range []struct{ name, at string }{
			{"a", "192.0.2.1:24254 [fe80::1%eth0]:24254"}, {"b", "192.0.2.2:24254 [fe80::2]:24254"},
			{"other port", "192.0.2.3:9 [fe80::3]:9"}, {"far", "198.51.100.1:24254 [2001:db8::1]:24254"},
		} {
			var at []netip.AddrPort
			for s := range bytes.FieldsSeq([]byte(h.at)) {
				at = append(at, netip.MustParseAddrPort(string(s)))
			}
			c := w.Host(at...)
			hosts[h.name] = c
			if h.name != "far" {
				c.SetLAN(lan...)
			}
			for _, r := range c.Readers() {
				in[h.name] = append(in[h.name], receive(r))
			}
		}
		to := hosts["a"].AnnounceTo()
		if fmt.Sprint(to) != "[192.0.2.255 224.0.0.1 ff02::1%lan]" || len(hosts["far"].AnnounceTo())+len(hosts["far"].Prefixes()) != 0 {
			t.Fatalf("announces to %v", to)
		}
		if !slices.Equal(hosts["b"].Prefixes(), []netip.Prefix{lan[0].Masked(), lan[1]}) {
			t.Errorf("networks %v", hosts["b"].Prefixes())
		}
		for _, a := range append(to, limited) {
			send(t, hosts["a"], netip.AddrPortFrom(a, 24254), []byte(a.String()))
		}
		// From outside of the LAN it reaches nobody.
		send(t, hosts["far"], netip.AddrPortFrom(to[0], 24254), []byte("directed"))
		send(t, hosts["far"], netip.AddrPortFrom(to[1], 24254), []byte("multicast"))
		settle()
		if got := fmt.Sprint(in["b"][0].texts(), in["b"][0].from, in["b"][1].texts(), in["b"][1].from); got !=
			"[192.0.2.255 224.0.0.1 255.255.255.255] [192.0.2.1:24254 192.0.2.1:24254 192.0.2.1:24254] [ff02::1%lan] [[fe80::1%lan]:24254]" {
			t.Errorf("the neighbour got %s", got)
		}
		for _, name := range []string{"a", "other port", "far"} {
			if len(in[name][0].data)+len(in[name][1].data) != 0 {
				t.Errorf("%s got %q, %q", name, in[name][0].texts(), in[name][1].texts())
			}
		}
		if c := w.Total(); c.Sent != 4 || c.Delivered != 4 {
			t.Errorf("%+v", c)
		}
	})
}

// A tap sees each datagram when it is sent and each copy when its fate is known, in order of time
// and before its receiver does.
func TestTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(5, Link{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.2, Duplicate: 0.2})
		defer w.Close()
		var seen Counts
		var last time.Time
		var mu sync.Mutex
		sent := 0
		w.Tap(func(p Packet) {
			mu.Lock()
			defer mu.Unlock()
			sent++
		})
		w.TapAll(func(p Packet) {
			mu.Lock()
			defer mu.Unlock()
			seen.count(p.Outcome)
			// Sent is told a nanosecond after its time.
			if p.At.Before(last.Add(-1)) || p.From != here || p.To != there || string(p.Data) != "x" {
				t.Errorf("%+v after %v", p, last)
			}
			last = p.At
		})
		a, b := w.Host(here), w.Host(there)
		read := 0
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				ds, err := b.ReadBatch()
				if err != nil {
					return
				}
				mu.Lock()
				if read += len(ds); read > seen.Delivered {
					t.Errorf("%d read, the tap saw %d", read, seen.Delivered)
				}
				mu.Unlock()
			}
		}()
		for range 500 {
			send(t, a, there, []byte("x"))
			time.Sleep(time.Millisecond / 3)
		}
		settle()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		<-ended
		w.TapAll(nil)
		c := w.Total()
		if sent != 500 || seen.Sent != 500 || seen.Delivered != c.Delivered || seen.Lost != c.Lost || read != c.Delivered || c.Lost == 0 || c.Duplicated == 0 {
			t.Errorf("seen %+v, counted %+v, read %d", seen, c, read)
		}
	})
}

// A perfect link takes a nanosecond.
func TestTimesOfATap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		start := time.Now()
		var seen []string
		w.TapAll(func(p Packet) { seen = append(seen, fmt.Sprint(p.Outcome, " ", p.At.Sub(start))) })
		w.Host(there)
		w.Inject(here, there, nil)
		settle()
		w.TapAll(nil) // and what the tap wrote can be read
		if got := fmt.Sprint(seen); got != "[sent 0s delivered 1ns]" {
			t.Error(got)
		}
	})
}

func TestOutcomesHaveNames(t *testing.T) {
	for o := Sent; o <= Unmapped; o++ {
		var c Counts
		c.count(o)
		if o.String() == "" || (o > Delivered) != (c.Dropped() == 1) {
			t.Errorf("%d: %q, %+v", o, o, c)
		}
	}
	if got := Outcome(99).String(); got != "Outcome(99)" {
		t.Error(got)
	}
}
