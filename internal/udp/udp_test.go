package udp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sharer/wire"
)

func open(t testing.TB, addrs ...string) *Conn {
	t.Helper()
	return openWith(t, Options{}, addrs...)
}

// openWith listens on 127.0.0.1 if no address is given.
func openWith(t testing.TB, o Options, addrs ...string) *Conn {
	t.Helper()
	if len(addrs) == 0 {
		addrs = []string{"127.0.0.1:0"}
	}
	c, err := Listen(addrs, o)
	if err != nil {
		if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Skip("skipped: this machine has no such address: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return c
}

func receive(t testing.TB, r wire.BatchReader) wire.Datagram {
	t.Helper()
	ds, err := r.ReadBatch()
	if err != nil || len(ds) != 1 {
		t.Fatalf("read %d datagrams: %v", len(ds), err)
	}
	return ds[0]
}

func TestRoundTrip(t *testing.T) {
	for _, tc := range []struct{ name, from, to, dest, source string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"IPv6", "[::1]:0", "[::1]:0", "::1", "::1"},
		{"IPv4 to dual stack", "127.0.0.1:0", ":0", "127.0.0.1", "127.0.0.1"},
		{"dual stack to IPv4", ":0", "127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"dual stack to IPv6", ":0", "[::1]:0", "::1", "::1"},
		{"all of IPv4", "0.0.0.0:0", "0.0.0.0:0", "127.0.0.1", "127.0.0.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := open(t, tc.from), open(t, tc.to)
			to := netip.AddrPortFrom(netip.MustParseAddr(tc.dest), b.LocalAddrs()[0].Port())
			for _, size := range []int{0, 1, 5600, wire.MaxDatagram} {
				data := bytes.Repeat([]byte{'x'}, size)
				if n, err := a.WriteBatch([]wire.Datagram{{Addr: to, Data: data}}); n != 1 || err != nil {
					t.Fatalf("sent %d of 1: %v", n, err)
				}
				got := receive(t, b.Readers()[0])
				want := netip.AddrPortFrom(netip.MustParseAddr(tc.source), a.LocalAddrs()[0].Port())
				if got.Addr != want || got.Via != 1 || !bytes.Equal(got.Data, data) {
					t.Fatalf("got %d bytes from %s by socket %d, want %d from %s by 1", len(got.Data), got.Addr, got.Via, size, want)
				}
			}
		})
	}
}

func TestSeveralSockets(t *testing.T) {
	c := open(t, "127.0.0.1:0", "127.0.0.1:0", "[::1]:0")
	peer := open(t, "127.0.0.1:0")
	to := peer.LocalAddrs()[0]
	for via := uint8(0); via < 4; via++ {
		if _, err := c.WriteBatch([]wire.Datagram{{Addr: to, Via: via, Data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		// The third socket cannot reach it, so the first that can is taken.
		want := c.LocalAddrs()[map[uint8]int{0: 0, 1: 0, 2: 1, 3: 0}[via]]
		if got := receive(t, peer.Readers()[0]).Addr; got != want {
			t.Errorf("via %d left by %s, want %s", via, got, want)
		}
	}
	for _, cannot := range []string{"[::1]:9", "192.0.2.9:9", "255.255.255.255:9", "224.0.0.1:9"} {
		if n, err := peer.WriteBatch([]wire.Datagram{{Addr: to, Data: []byte("x")}, {Addr: netip.MustParseAddrPort(cannot), Data: []byte("x")}}); n != 1 || !errors.Is(err, ErrUnreachable) {
			t.Errorf("an IPv4 socket on loopback sent to %s: %d, %v", cannot, n, err)
		}
	}
}

func TestCloseEndsReading(t *testing.T) {
	c := open(t, "127.0.0.1:0")
	ended := make(chan error)
	go func() {
		_, err := c.Readers()[0].ReadBatch()
		ended <- err
	}()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading ended with %v, want net.ErrClosed", err)
	}
}

func TestListenErrors(t *testing.T) {
	taken := open(t, "127.0.0.1:0").LocalAddrs()[0].String()
	for _, tc := range []struct {
		addr string
		is   error
	}{{taken, syscall.EADDRINUSE}, {"127.0.0.1", nil}, {"", nil}, {"nowhere", nil}, {"127.0.0.1:notaport", nil}} {
		c, err := Listen([]string{tc.addr}, Options{})
		if err == nil {
			t.Errorf("listening on %q worked", tc.addr)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		} else if !strings.Contains(err.Error(), tc.addr) {
			t.Errorf("%q: the error does not name it: %v", tc.addr, err)
		} else if tc.is != nil && !errors.Is(err, tc.is) {
			t.Errorf("%q: %v, want %v", tc.addr, err, tc.is)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	a, b := open(t, "127.0.0.1:0"), open(t, "127.0.0.1:0")
	r := b.Readers()[0]
	ds := []wire.Datagram{{Addr: b.LocalAddrs()[0], Data: make([]byte, 5600)}}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := a.WriteBatch(ds); err != nil {
			t.Fatal(err)
		}
		receive(t, r)
	}); n != 0 {
		t.Errorf("%v allocations for one datagram there", n)
	}
}

// What a slow receiver has no room for is lost; the sender goes on.
func TestFullBufferDoesNotBlock(t *testing.T) {
	a := open(t, "127.0.0.1:0")
	b, err := Listen([]string{"127.0.0.1:0"}, Options{RecvBuffer: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	batch := make([]wire.Datagram, 64)
	for i := range batch {
		batch[i] = wire.Datagram{Addr: b.LocalAddrs()[0], Data: make([]byte, 5600)}
	}
	const rounds = 20 // 7 MB
	for range rounds {
		if n, err := a.WriteBatch(batch); n != len(batch) || err != nil {
			t.Fatalf("sent %d of %d: %v", n, len(batch), err)
		}
	}
	// The end is marked by a datagram that is sent until it finds room.
	last := []wire.Datagram{{Addr: b.LocalAddrs()[0], Data: []byte("end")}}
	got := 0
	for r, ended := b.Readers()[0], false; !ended; {
		if _, err := a.WriteBatch(last); err != nil {
			t.Fatal(err)
		}
		ds, err := r.ReadBatch()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			ended = ended || string(d.Data) == "end"
			got++
		}
	}
	got--
	if got == 0 || got >= rounds*len(batch) {
		t.Errorf("%d of %d datagrams arrived: nothing was lost", got, rounds*len(batch))
	}
}

func TestBufferIsReadBack(t *testing.T) {
	granted := func(want int) int {
		c, err := Listen([]string{"127.0.0.1:0", "127.0.0.1:0"}, Options{RecvBuffer: want})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		return c.RecvBuffer()
	}
	if got := granted(64 << 10); got != 64<<10 {
		t.Errorf("asked for 64 KiB, granted %d", got)
	}
	if got := granted(0); got < 64<<10 || got > DefaultBuffer {
		t.Errorf("asked for %d, granted %d", DefaultBuffer, got)
	}
	if _, err := Listen([]string{"127.0.0.1:0"}, Options{SendBuffer: -1}); err == nil {
		t.Error("a negative buffer was accepted")
	}
}

// Many may send at once, by one socket and by several; each datagram arrives whole.
func TestConcurrentWriters(t *testing.T) {
	c, peer := open(t, "127.0.0.1:0", ":0"), open(t, "127.0.0.1:0")
	const writers, each = 8, 32 // fits the receive buffer
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range each {
				d := wire.Datagram{Addr: peer.LocalAddrs()[0], Via: uint8(w % 3), Data: bytes.Repeat([]byte{byte(w)}, 100+w)}
				if _, err := c.WriteBatch([]wire.Datagram{d}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for range writers * each {
		d := receive(t, peer.Readers()[0])
		if w := d.Data[0]; len(d.Data) != 100+int(w) || bytes.Count(d.Data, d.Data[:1]) != len(d.Data) {
			t.Fatalf("a datagram of writer %d is torn: %d bytes", w, len(d.Data))
		}
	}
}

// One datagram there, at 5.6 KB that of a block in base64. MB/s counts it once.
func BenchmarkDatagram(b *testing.B) {
	x, y := open(b, "127.0.0.1:0"), open(b, "127.0.0.1:0")
	r := y.Readers()[0]
	ds := []wire.Datagram{{Addr: y.LocalAddrs()[0], Data: make([]byte, 5600)}}
	b.SetBytes(5600)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.WriteBatch(ds); err != nil {
			b.Fatal(err)
		}
		receive(b, r)
	}
}

// A sender and a receiver at once, with and without offload; MB/s is what arrived.
func BenchmarkBlast(b *testing.B) {
	for _, single := range []bool{false, true} {
		b.Run(map[bool]string{false: "offload", true: "single"}[single], func(b *testing.B) { blast(b, single) })
	}
}

func blast(b *testing.B, single bool) {
	x, y := openWith(b, Options{Single: single}), openWith(b, Options{Single: single})
	batch := make([]wire.Datagram, 32)
	for i := range batch {
		batch[i] = wire.Datagram{Addr: y.LocalAddrs()[0], Data: make([]byte, 5600)}
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if _, err := x.WriteBatch(batch); err != nil {
				ended <- err
				return
			}
		}
	}()
	r := y.Readers()[0]
	b.SetBytes(5600)
	b.ReportAllocs()
	for left := 0; b.Loop(); left-- {
		if left == 0 {
			ds, err := r.ReadBatch()
			if err != nil {
				b.Fatal(err)
			}
			left = len(ds)
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
