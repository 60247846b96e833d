package netsim

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"

	"sharer/wire"
)

// sized is a batch with a datagram of each size; all bytes of one are its number.
func sized(to netip.AddrPort, sizes ...int) (ds []wire.Datagram) {
	for i, n := range sizes {
		ds = append(ds, wire.Datagram{Addr: to, Data: bytes.Repeat([]byte{byte('a' + i)}, n)})
	}
	return ds
}

// letters are the numbers of what arrived.
func (in *inbox) letters() (s string) {
	for _, d := range in.data {
		s += string(d[:1])
	}
	return s
}

// What one write of five datagrams, and one of what stands behind the failure, come to.
func TestFaultyWrites(t *testing.T) {
	five := []int{100, 200, 1300, 1400, 100}
	for _, tc := range []struct {
		name    string
		fault   Fault
		n       int
		err     error
		again   int // of a write of what stands behind the one that failed
		arrived string
		hits    int
	}{
		{"none for this address", Fault{To: netip.MustParsePrefix("192.0.2.9/32"), Err: syscall.EPERM}, 5, nil, 0, "abcde", 0},
		{"always", Fault{Err: syscall.ENETUNREACH}, 0, syscall.ENETUNREACH, 0, "", 2},
		{"once, the third", Fault{Skip: 2, Times: 1, Err: syscall.ENOBUFS}, 2, syscall.ENOBUFS, 2, "abde", 1},
		{"each second", Fault{Every: 2, Err: syscall.EAGAIN}, 0, syscall.EAGAIN, 1, "b", 2},
		{"each second from the second on, once", Fault{Skip: 1, Every: 2, Times: 1, Err: syscall.EIO}, 1, syscall.EIO, 3, "acde", 1},
		{"of a size", Fault{To: netip.MustParsePrefix("192.0.2.0/24"), Above: 1300, Err: syscall.EMSGSIZE}, 3, syscall.EMSGSIZE, 1, "abce", 1},
		{"short", Fault{Skip: 1, Times: 1}, 2, nil, 2, "abde", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(1, Link{})
				defer w.Close()
				f := NewFaulty(w.Host(here))
				in := receive(w.Host(there).Readers()[0])
				rule := f.Add(tc.fault)
				ds := sized(there, five...)
				n, err := f.WriteBatch(ds)
				if n != tc.n || !errors.Is(err, tc.err) {
					t.Errorf("%d, %v, want %d, %v", n, err, tc.n, tc.err)
				}
				again := 0
				if n < len(ds) {
					again, _ = f.WriteBatch(ds[n+1:])
				}
				settle()
				if again != tc.again || in.letters() != tc.arrived || rule.Hits() != tc.hits {
					t.Errorf("then %d, arrived %s, %d hits, want %d, %s, %d", again, in.letters(), rule.Hits(), tc.again, tc.arrived, tc.hits)
				}
				c := f.Counts()
				if c.Written != len(tc.arrived) || c.Refused+c.Short != tc.hits || (tc.err == nil) != (c.Refused == 0) {
					t.Errorf("%+v", c)
				}
				f.Remove(rule)
				if n, err := f.WriteBatch(ds); n != 5 || err != nil {
					t.Errorf("without the rule: %d, %v", n, err)
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The first rule that hits decides, and the error of the socket itself passes without using up a rule.
func TestFaultyRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		f := NewFaulty(w.Host(here))
		first := f.Add(Fault{Above: 1000, Err: syscall.EMSGSIZE})
		second := f.Add(Fault{Skip: 1, Times: 1, Err: syscall.EPERM})
		for i, want := range []error{syscall.EMSGSIZE, nil, syscall.EPERM, nil} {
			if _, err := f.WriteBatch(sized(there, []int{1001, 1, 1, 1}[i])); !errors.Is(err, want) {
				t.Errorf("write %d: %v, want %v", i, err, want)
			}
		}
		f.Remove(first)
		f.Remove(second)
		late := f.Add(Fault{Skip: 1, Err: syscall.EIO})
		bad := []wire.Datagram{{Addr: far6}, {Addr: there}} // here has no IPv6
		if n, err := f.WriteBatch(bad); n != 0 || !errors.Is(err, syscall.EAFNOSUPPORT) || late.Hits() != 0 {
			t.Errorf("%d, %v, %d hits", n, err, late.Hits())
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if n, err := f.WriteBatch(sized(there, 1)); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the end: %d, %v", n, err)
		}
	})
}

func TestFaultyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		f := NewFaulty(w.Host(here, here6))
		peer := w.Host(there)
		in := receive(peer.Readers()[0])
		type result struct {
			text string
			err  error
		}
		var got []result
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				ds, err := f.Readers()[0].ReadBatch()
				for _, d := range ds {
					got = append(got, result{string(d.Data), nil})
				}
				if err != nil {
					got = append(got, result{"", err})
				}
				if errors.Is(err, net.ErrClosed) {
					return
				}
			}
		}()
		rule := f.Add(Fault{To: netip.MustParsePrefix("192.0.2.2/32"), Skip: 1, Times: 1, Bounce: true, Err: syscall.ECONNREFUSED})
		send(t, peer, here, []byte("one"))
		settle()
		for range 3 { // the second bounces, although it is sent
			if n, err := f.WriteBatch(sized(there, 1)); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		settle()
		send(t, peer, here, []byte("two"))
		settle()
		f.FailRead(2, syscall.EIO) // of the other socket
		f.FailRead(9, syscall.EIO) // of none
		settle()
		if want := []result{{"one", nil}, {"", syscall.ECONNREFUSED}, {"two", nil}}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("read %v, want %v", got, want)
		}
		if _, err := f.Readers()[1].ReadBatch(); !errors.Is(err, syscall.EIO) {
			t.Errorf("the other socket: %v", err)
		}
		for range bounces + 3 {
			f.FailRead(2, syscall.EPERM)
		}
		if c := f.Counts(); c.Bounced != 1+1+bounces+3 || c.Unread != 3 || c.Written != 3 || len(in.data) != 3 || rule.Hits() != 1 {
			t.Errorf("%+v, %d arrived, %d hits", c, len(in.data), rule.Hits())
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		<-ended
		if last := got[len(got)-1]; !errors.Is(last.err, net.ErrClosed) {
			t.Errorf("at the end %v", last)
		}
		if _, err := f.Readers()[1].ReadBatch(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a socket that nobody read: %v", err)
		}
	})
}

// What else a node asks of its sockets passes.
func TestFaultyPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		defer w.Close()
		c := w.Host(here)
		c.SetLAN(netip.MustParsePrefix("192.0.2.0/24"))
		c.SetRecvBuffer(12345)
		f := NewFaulty(c)
		if got := fmt.Sprint(f.LocalAddrs(), f.Prefixes(), f.AnnounceTo(), f.RecvBuffer()); got != "[192.0.2.1:24254] [192.0.2.0/24] [192.0.2.255 224.0.0.1] 12345" {
			t.Error(got)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		bare := NewFaulty(struct{ Sockets }{w.Host(there)})
		if bare.Prefixes() != nil || bare.AnnounceTo() != nil || bare.RecvBuffer() != receiveBuffer {
			t.Error("sockets that know nothing else seem to")
		}
		if err := bare.Close(); err != nil {
			t.Error(err)
		}
	})
}
