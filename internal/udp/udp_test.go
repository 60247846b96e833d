package udp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"sharer/wire"
)

func open(t testing.TB, addrs ...string) *Conn {
	t.Helper()
	c, err := Listen(addrs, Options{})
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
	if n, err := open(t, "127.0.0.1:0").WriteBatch([]wire.Datagram{{Addr: netip.MustParseAddrPort("[::1]:9"), Data: []byte("x")}}); n != 0 || err == nil {
		t.Errorf("an IPv4 socket sent to IPv6: %d, %v", n, err)
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
	}{{taken, syscall.EADDRINUSE}, {"127.0.0.1", nil}, {"", nil}, {"127.0.0.1:notaport", nil}} {
		c, err := Listen([]string{tc.addr}, Options{})
		if err == nil {
			t.Errorf("listening on %q worked", tc.addr)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		} else if tc.is != nil && !errors.Is(err, tc.is) {
			t.Errorf("%q: %v, want %v", tc.addr, err, tc.is)
		}
	}
}

func TestLANOfLoopback(t *testing.T) {
	c := open(t, "127.0.0.1:0")
	if p, a := c.Prefixes(), c.AnnounceTo(); len(p)+len(a) != 0 {
		t.Errorf("a socket on loopback has subnets %v and announces to %v", p, a)
	}
	if got := lastOf(netip.MustParsePrefix("10.1.2.3/22")); got != netip.MustParseAddr("10.1.3.255") {
		t.Errorf("broadcast address %s", got)
	}
	if c.RecvBuffer() <= 0 {
		t.Errorf("receive buffer %d", c.RecvBuffer())
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
