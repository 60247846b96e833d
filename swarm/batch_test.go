package swarm

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sharer/wire"
)

// TestBatch: many at once, what is too large is refused, a failing datagram stops no other.
func TestBatch(t *testing.T) {
	conn := &fakeConn{}
	p := newPeer(t, conn, Config{})
	a, bad := ap("1.2.3.4:5"), ap("1.2.3.4:6")
	p.prove(t, a)
	p.prove(t, bad)
	b := p.Gate.NewBatch()
	send := func(to netip.AddrPort, element string, pad int) {
		t.Helper()
		buf, ok := b.Open(to, 0, Request)
		if !ok {
			t.Fatal("refused")
		}
		b.Close(append(buf, element...), pad)
	}
	for range batchMost - 1 {
		send(a, `{"X":1}`, 0)
	}
	if n := len(conn.take()); n != 0 {
		t.Errorf("%d were sent before the flush", n)
	}
	send(a, `{"X":1}`, 0)
	if n := len(conn.take()); n != batchMost {
		t.Errorf("%d of a full queue", n)
	}
	big := `"` + strings.Repeat("x", 60000) + `"`
	for range 3 {
		send(a, `{"X":`+big+`}`, 0)
	}
	if n := len(conn.take()); n != 2 { // 120 KB, then the third waits
		t.Errorf("%d of the large ones", n)
	}
	if err := b.Flush(); err != nil || len(conn.take()) != 1 {
		t.Error("the last one did not leave")
	}
	refused := p.Gate.Stats().Refused[RefusedSize]
	send(a, `{"X":"`+strings.Repeat("x", wire.MaxDatagram)+`"}`, 0)
	send(a, `{"X":"`+strings.Repeat("x", 200000)+`"}`, 0) // has left the arena
	send(a, ``, 100)
	if err := b.Flush(); err != nil || len(conn.take()) != 0 || p.Gate.Stats().Refused[RefusedSize] != refused+2 {
		t.Error("too large, or empty, but sent")
	}
	send(a, `{"X":1}`, wire.MaxDatagram+50)
	_ = b.Flush()
	if d := conn.take()[0].Data; len(d) != wire.MaxDatagram || !bytes.HasSuffix(d, []byte(" ]")) {
		t.Errorf("padded to %d: …%q", len(d), d[len(d)-9:])
	}

	conn.fail = func(d wire.Datagram) error {
		if d.Addr == bad {
			return syscall.EMSGSIZE
		}
		return nil
	}
	for _, to := range []netip.AddrPort{a, bad, a, bad, bad, a} {
		send(to, `{"X":1}`, 0)
	}
	err := b.Flush()
	var se *SendError
	if !errors.Is(err, syscall.EMSGSIZE) || !errors.As(err, &se) || se.To != bad || !strings.Contains(err.Error(), "1.2.3.4:6") {
		t.Errorf("error %v", err)
	}
	if n := len(conn.take()); n != 3 || p.Gate.Stats().SendErrors != 3 {
		t.Errorf("%d sent, %d errors", n, p.Gate.Stats().SendErrors)
	}
	if err := b.Flush(); err != nil {
		t.Errorf("an error is told twice: %v", err)
	}
	for range batchMost { // the flush is made by Close, the error is told by Flush
		send(bad, `{"X":1}`, 0)
	}
	if err := b.Flush(); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("error of a flush in between: %v", err)
	}
	conn.fail = func(wire.Datagram) error { return net.ErrClosed }
	n := p.Gate.Stats().SendErrors
	send(a, `{"X":1}`, 0)
	send(a, `{"X":1}`, 0)
	if err := b.Flush(); !errors.Is(err, net.ErrClosed) || p.Gate.Stats().SendErrors != n+2 {
		t.Errorf("closed: %v", err)
	}
}

// TestBatchAgain: what is queued again is what was queued, but for the digits and what follows the array; it counts like any
// other, leaves with it, and nothing is queued where there is nothing to repeat or the last one was under limits.
func TestBatchAgain(t *testing.T) {
	conn := &fakeConn{}
	p := newPeer(t, conn, Config{})
	a, stranger := ap("1.2.3.4:5"), ap("1.2.3.4:6")
	text := p.Gate.cookies.Make(a, time.Now())
	hear := func() {
		p.receive(a, array(`{"Content":{}}`, `{"PleaseAlwaysReturnThisMessage":{"cookie":"3de59ecd"}}`, `{"AlwaysReturned":{"cookie":"`+string(text[:])+`"}}`))
		conn.take()
	}
	hear()
	b := p.Gate.NewBatch()
	const element = `{"Content":{"raw":3,"for":7,"offset":100}}`
	at := 1 + strings.Index(element, "100")
	if b.Again(at, []byte("103"), []byte("def")) {
		t.Error("repeated before there was anything")
	}
	for i := range 2 {
		buf, ok := b.Open(a, 0, Reply)
		if !ok {
			t.Fatal("refused")
		}
		b.CloseWith(append(buf, element...), 0, []byte("abc"))
		if i == 0 && (!b.grant.ask || b.Again(at, []byte("103"), []byte("def"))) {
			t.Error("what asks for a cookie was repeated")
		}
		hear()
	}
	sent := p.Gate.Stats().Out[Reply]
	if !b.Again(at, []byte("103"), []byte("def")) || b.Again(4000, []byte("103"), []byte("def")) {
		t.Fatal("the next was not taken, or one whose digits are in what follows was")
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	got := conn.take()
	want := strings.NewReplacer("100", "103", "abc", "def").Replace(string(got[1].Data))
	if len(got) != 3 || string(got[2].Data) != want || got[2].Addr != a || p.Gate.Stats().Out[Reply] != sent+3 {
		t.Errorf("%d sent; %q, want %q", len(got), got[len(got)-1].Data, want)
	}
	if b.Again(at, []byte("106"), []byte("ghi")) {
		t.Error("repeated what had left")
	}
	buf, ok := b.Open(a, 0, Reply)
	if !ok {
		t.Fatal("refused")
	}
	b.CloseWith(append(buf, element...), 0, []byte("abc"))
	if _, ok := b.Open(stranger, 0, Request); ok && b.Again(at, []byte("103"), []byte("def")) {
		t.Error("repeated for another, under limits")
	}
}

// TestBatchAllocates nothing, once its peers are known.
func TestBatchAllocates(t *testing.T) {
	conn := &fakeConn{quiet: true}
	p := newPeer(t, conn, Config{})
	a := ap("1.2.3.4:5")
	text := p.Gate.cookies.Make(a, time.Now())
	data := array(`{"Content":{}}`, `{"PleaseAlwaysReturnThisMessage":{"cookie":"3de59ecd"}}`, `{"AlwaysReturned":{"cookie":"`+string(text[:])+`"}}`)
	p.receive(a, data)
	b := p.Gate.NewBatch()
	element := []byte(`{"PleaseSendContent":{"id":"x","offset":0,"length":4096}}`)
	if n := testing.AllocsPerRun(1000, func() {
		buf, _ := b.Open(a, 0, Request)
		b.Close(append(buf, element...), 960)
	}); n > 0 {
		t.Errorf("%v allocations a datagram out", n)
	}
	es, _, _ := wire.Split(nil, data)
	d := wire.Datagram{Addr: a, Via: 1, Data: data}
	if n := testing.AllocsPerRun(1000, func() { p.Gate.Admit(d, es) }); n > 0 {
		t.Errorf("%v allocations a proven datagram in", n)
	}
	d.Addr = ap("5.6.7.8:9")
	if n := testing.AllocsPerRun(1000, func() { p.Gate.Admit(d, es) }); n > 0 {
		t.Errorf("%v allocations a stranger's datagram", n)
	}
}

// TestReplyPacks: to the proven everything goes, in order, in datagrams of the customary size.
func TestReplyPacks(t *testing.T) {
	conn := &fakeConn{}
	p := newPeer(t, conn, Config{})
	a := ap("1.2.3.4:5")
	p.prove(t, a)
	text := p.Gate.cookies.Make(a, time.Now())
	from := p.receive(a, array(`{"AlwaysReturned":{"cookie":"`+string(text[:])+`"}}`, `{"PleaseAlwaysReturnThisMessage":"theirs"}`))
	var replies [][]byte
	for i := range 30 {
		replies = append(replies, []byte(`{"X":"`+strings.Repeat(string(rune('a'+i%26)), 300*(i%7))+`"}`))
	}
	replies = append(replies, []byte(`{"X":"`+strings.Repeat("y", 40960)+`"}`), []byte(`{"X":"`+strings.Repeat("z", 70000)+`"}`), []byte(`{"X":"end"}`))
	p.Gate.Reply(from, true, replies)
	var got []string
	for _, d := range conn.take() {
		es, bad, err := wire.Split(nil, d.Data)
		if err != nil || bad > 0 || len(d.Data) > wire.CustomarySize && len(d.Data) < 40960 {
			t.Fatalf("%d bytes, %v", len(d.Data), err)
		}
		for _, e := range es {
			if e.Name == "X" {
				got = append(got, string(e.Raw))
			}
		}
		if string(find(t, d.Data, "AlwaysReturned")) != `"theirs"` || find(t, d.Data, "PleaseAlwaysReturnThisMessage") != nil && len(got) > 40 {
			t.Errorf("cookies: %.100q", d.Data)
		}
	}
	want := append(append([][]byte(nil), replies[:31]...), replies[32])
	if len(got) != len(want) {
		t.Fatalf("%d of %d replies", len(got), len(want))
	}
	for i := range want {
		if got[i] != string(want[i]) {
			t.Fatalf("reply %d: %.50q", i, got[i])
		}
	}
}

// TestReplyByBatch: an upload on its own account goes to those with standing only.
func TestReplyByBatch(t *testing.T) {
	p := newPeer(t, &fakeConn{}, Config{})
	b := p.Gate.NewBatch()
	if _, ok := b.Open(ap("1.2.3.4:5"), 0, Reply); ok {
		t.Error("to a stranger")
	}
	if _, ok := b.Open(ap("127.0.0.1:5"), 0, Reply); !ok {
		t.Error("not to loopback")
	}
	p.prove(t, ap("1.2.3.4:5"))
	if _, ok := b.Open(ap("1.2.3.4:5"), 0, Reply); !ok {
		t.Error("not to the proven")
	}
	if st := p.Gate.Stats(); st.Refused[RefusedUnproven] != 1 {
		t.Errorf("%+v", st.Refused)
	}
}

// TestAskingAgain: our cookie goes along until it came back, again after half an hour, and as soon
// as a peer seems to have forgotten it.
func TestAskingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &fakeConn{}
		p := newPeer(t, conn, Config{})
		a := ap("1.2.3.4:5")
		b := p.Gate.NewBatch()
		asks := func() bool {
			t.Helper()
			buf, ok := b.Open(a, 0, Request)
			if !ok {
				t.Fatal("refused")
			}
			b.Close(wire.AppendMessage(buf, wire.PleaseSendPeers{}), 0)
			_ = b.Flush()
			d := conn.take()[0].Data
			if !bytes.HasPrefix(d, []byte(`[{"PleaseSendPeers":{}}`)) {
				t.Errorf("the question does not come first: %q", d)
			}
			return find(t, d, "PleaseAlwaysReturnThisMessage") != nil
		}
		if !asks() {
			t.Error("not asked at first")
		}
		p.prove(t, a)
		p.prove(t, a) // what left it before it heard from us again
		if !asks() {
			t.Error("not asked again though it may have kept nothing for a stranger")
		}
		p.prove(t, a)
		if asks() {
			t.Error("asked a third time")
		}
		time.Sleep(askAgainAfter)
		if first, second := asks(), asks(); !first || second {
			t.Error("after half an hour: once")
		}
		p.receive(a, array(`{"X":1}`))
		if first, second := asks(), asks(); !first || !second {
			t.Error("a peer that forgot is asked until it remembers")
		}
		p.prove(t, a)
		if asks() {
			t.Error("it did remember")
		}
		p.receive(a, array(`{"X":1}`)) // the 20-line Python node: echoes only when asked in the same datagram
		p.prove(t, a)
		if first, second := asks(), asks(); !first || !second {
			t.Error("a peer that forgets again and again is asked each time")
		}
	})
}

func BenchmarkAdmitProven(b *testing.B) {
	p := newPeer(b, &fakeConn{quiet: true}, Config{})
	a := ap("1.2.3.4:5")
	text := p.Gate.cookies.Make(a, time.Now())
	data := array(`{"Content":{}}`, `{"AlwaysReturned":{"cookie":"`+string(text[:])+`"}}`)
	es, _, _ := wire.Split(nil, data)
	for b.Loop() {
		p.Gate.Admit(wire.Datagram{Addr: a, Data: data}, es)
	}
}

func BenchmarkAdmitStranger(b *testing.B) {
	p := newPeer(b, &fakeConn{quiet: true}, Config{})
	data := array(`{"Content":{}}`, `{"AlwaysReturned":{"cookie":"0123456789abcdef"}}`, `{"PleaseAlwaysReturnThisMessage":{"cookie":"0123456789abcdef"}}`)
	es, _, _ := wire.Split(nil, data)
	for b.Loop() {
		p.Gate.Admit(wire.Datagram{Addr: ap("1.2.3.4:5"), Data: data}, es)
	}
}

func BenchmarkBatch(b *testing.B) {
	p := newPeer(b, &fakeConn{quiet: true}, Config{})
	a := ap("1.2.3.4:5")
	p.prove(b, a)
	batch := p.Gate.NewBatch()
	element := []byte(`{"PleaseSendContent":{"id":"x","offset":0,"length":4096}}`)
	for b.Loop() {
		buf, _ := batch.Open(a, 0, Request)
		batch.Close(append(buf, element...), 0)
	}
}
