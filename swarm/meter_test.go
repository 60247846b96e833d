package swarm

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"sharer/wire"
)

// scale adds up what it is charged with.
type scale struct {
	bytes map[netip.AddrPort]int
	n     int
	last  time.Time
}

func (s *scale) Charge(now time.Time, peer netip.AddrPort, bytes int) {
	s.bytes[peer] += bytes
	s.n++
	s.last = now
}

// total is the sum of all peers.
func (s *scale) total() (n int) {
	for _, b := range s.bytes {
		n += b
	}
	return n
}

// TestMeters is the gate's share of N20: each datagram that passes the socket is charged once, with its
// headers, to the peer at the other end: of every reason out, and handled or dropped in; what the
// socket refused is not.
func TestMeters(t *testing.T) {
	conn := &lanConn{announce: []netip.Addr{netip.MustParseAddr("224.0.0.1")}}
	p := newPeer(t, conn, Config{})
	known, stranger, bad, given := ap("1.2.3.4:5"), ap("6.6.6.6:6"), ap("7.7.7.7:7"), ap("8.8.8.8:8")
	p.prove(t, known)
	p.Give(given)
	up, down := &scale{bytes: map[netip.AddrPort]int{}}, &scale{bytes: map[netip.AddrPort]int{}}
	p.Gate.Meter(up, down)
	before := p.Gate.Stats()

	// In: handled, dropped for each reason that there is before and in Admit; mapped addresses are one peer.
	p.Table.Ban(bad, time.Now().Add(time.Hour), time.Now())
	ds := []wire.Datagram{
		{Addr: known, Data: array(`{"X":1}`)}, {Addr: netip.AddrPortFrom(netip.AddrFrom16(known.Addr().As16()), 5), Data: array(`{"X":22}`)},
		{Addr: stranger, Data: []byte("rubbish")}, {Addr: bad, Data: array(`{"PleaseSendPeers":{}}`)}, {Addr: ap("224.0.0.1:1"), Data: array()},
		{Addr: stranger, Data: nil}, {Addr: stranger, Data: array(`{"PleaseSendPeers":{}}`, `{"X":"`+strings.Repeat("x", 300)+`"}`)},
	}
	p.Gate.ReceivedBatch(ds)
	in := 0
	for _, d := range ds {
		in += len(d.Data) + wire.HeaderBytes
		p.route(d)
	}
	p.Gate.ReceivedBatch(nil)
	st := p.Gate.Stats()
	if down.total() != in || down.n != len(ds) || st.InWire-before.InWire != uint64(in) || st.In-before.In != uint64(len(ds)) {
		t.Errorf("charged %d bytes of %d datagrams, counted %d, want %d of %d", down.total(), down.n, st.InWire-before.InWire, in, len(ds))
	}
	if want := len(ds[0].Data) + len(ds[1].Data) + 2*wire.HeaderBytes; down.bytes[known] != want {
		t.Errorf("%s is charged with %d bytes, want %d", known, down.bytes[known], want)
	}
	if st.In != st.Handled+st.DroppedAll() {
		t.Errorf("C2: %+v", st)
	}

	// Out: a reply has left already; one of each other reason, and two that the socket does not take.
	conn.fail = func(d wire.Datagram) error {
		if d.Addr.Port() == 99 {
			return syscall.EPERM
		}
		return nil
	}
	b := p.Gate.NewBatch()
	for _, o := range []struct {
		to  netip.AddrPort
		why Reason
	}{{known, Request}, {ap("5.5.5.5:99"), Request}, {ap("9.9.9.9:9"), Probe}, {given, Given}, {ap("224.0.0.1:24254"), Announce}, {known, Tell}, {ap("127.0.0.1:99"), Request}} {
		buf, ok := b.Open(o.to, 0, o.why)
		if !ok {
			t.Fatalf("%v to %s was refused", o.why, o.to)
		}
		b.Close(append(buf, `{"PleaseSendPeers":{}}`...), 0)
	}
	if err := b.Flush(); err == nil {
		t.Error("the failing ones did not fail")
	}
	sent := conn.take()
	out, each := 0, map[netip.AddrPort]int{}
	for _, d := range sent {
		out += len(d.Data) + wire.HeaderBytes
		each[d.Addr] += len(d.Data) + wire.HeaderBytes
	}
	st = p.Gate.Stats()
	wired := uint64(0)
	for why, n := range st.OutWire {
		wired += n - before.OutWire[why]
		if n == before.OutWire[why] {
			t.Errorf("nothing was counted as %v", Reason(why))
		}
	}
	if up.total() != out || up.n != len(sent) || wired != uint64(out) || len(sent) != int(numReasons) {
		t.Errorf("charged %d bytes of %d datagrams, counted %d, want %d of %d", up.total(), up.n, wired, out, len(sent))
	}
	for a, n := range each {
		if up.bytes[a] != n {
			t.Errorf("%s is charged with %d bytes, want %d", a, up.bytes[a], n)
		}
	}
	if up.last.IsZero() || down.last.IsZero() {
		t.Error("charged at no time")
	}

	// No meter, or one only.
	p.Gate.Meter(nil, down)
	p.prove(t, known)
	n := up.n
	p.receive(known, array(`{"PleaseSendPeers":{}}`, returning(p, known)))
	p.Gate.Meter(nil, nil)
	p.Gate.ReceivedBatch(ds)
	if up.n != n || down.n != len(ds) {
		t.Error("charged without a meter")
	}
}

// miser has room for replies or has not.
type miser struct {
	scale
	spare bool
}

func (m *miser) Spare(time.Time) bool { return m.spare }

// TestNoRoomForReplies: a limit of what leaves holds back what others can make us say, and that only.
func TestNoRoomForReplies(t *testing.T) {
	conn := &fakeConn{}
	p := newPeer(t, conn, Config{})
	known, stranger, given := ap("1.2.3.4:5"), ap("6.6.6.6:6"), ap("8.8.8.8:8")
	p.prove(t, known)
	p.Give(given)
	m := &miser{scale: scale{bytes: map[netip.AddrPort]int{}}}
	p.Gate.Meter(m, nil)
	for _, spare := range []bool{false, true} {
		m.spare = spare
		conn.take()
		before := p.Gate.Stats().Refused[RefusedLimit]
		p.receive(known, array(`{"PleaseSendPeers":{}}`, returning(p, known)))
		p.receive(stranger, array(`{"PleaseSendPeers":{}}`, `{"X":"`+strings.Repeat("x", 300)+`"}`))
		n, refused := len(conn.take()), p.Gate.Stats().Refused[RefusedLimit]-before
		if want := map[bool]int{true: 2}[spare]; n != want || int(refused) != 2-want {
			t.Errorf("spare %v: %d replies and %d refused, want %d and %d", spare, n, refused, want, 2-want)
		}
	}
	m.spare = false
	b := p.Gate.NewBatch()
	for _, o := range []struct {
		to  netip.AddrPort
		why Reason
	}{{known, Request}, {known, Reply}, {known, Probe}, {given, Given}} {
		buf, ok := b.Open(o.to, 0, o.why)
		if !ok {
			t.Fatalf("%v to %s was refused", o.why, o.to)
		}
		b.Close(append(buf, `{"PleaseSendPeers":{}}`...), 0)
	}
	if err := b.Flush(); err != nil || len(conn.take()) != 4 {
		t.Errorf("not all left that was not a reply of the gate (%v)", err)
	}
}

// TestMetersAllocate nothing.
func TestMetersAllocate(t *testing.T) {
	p := newPeer(t, &fakeConn{quiet: true}, Config{})
	a := ap("1.2.3.4:5")
	p.prove(t, a)
	s := &scale{bytes: map[netip.AddrPort]int{}}
	p.Gate.Meter(s, s)
	b := p.Gate.NewBatch()
	ds := []wire.Datagram{{Addr: a, Data: make([]byte, 100)}, {Addr: ap("[::ffff:1.2.3.4]:5"), Data: make([]byte, 100)}}
	if n := testing.AllocsPerRun(200, func() {
		buf, _ := b.Open(a, 0, Request)
		b.Close(append(buf, `{"X":1}`...), 0)
		_ = b.Flush()
		p.Gate.ReceivedBatch(ds)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
