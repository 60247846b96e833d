package wire

import (
	"bytes"
	"net/netip"
	"testing"
)

// block is a datagram with a full block, as it comes and goes a million times.
func block() (Content, []byte) {
	c := Content{
		ID:     append([]byte("blake3/"), hex64...),
		Offset: 1 << 30,
		Data:   bytes.Repeat([]byte{0xA5, 0x3C, 0x99, 0x00}, 1024),
		EOF:    1 << 40,
	}
	return c, AppendArray(nil, c, AlwaysReturned{CookieValue("3de59ecd")})
}

func BenchmarkReceiveBlock(b *testing.B) {
	_, data := block()
	es := make([]Element, 0, MaxElements)
	buf := make([]byte, 0, 8192)
	b.ReportAllocs()
	b.SetBytes(4096)
	for b.Loop() {
		es, _, _ = Split(es[:0], data)
		m, err := ParseContent(es[0].Payload)
		if err != nil {
			b.Fatal(err)
		}
		if buf, err = m.AppendData(buf[:0]); err != nil || len(buf) != 4096 {
			b.Fatal(len(buf), err)
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	_, data := block()
	es := make([]Element, 0, MaxElements)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		es, _, _ = Split(es[:0], data)
	}
}

func BenchmarkSendBlock(b *testing.B) {
	c, _ := block()
	buf := make([]byte, 0, 8192)
	b.ReportAllocs()
	b.SetBytes(4096)
	for b.Loop() {
		buf = c.AppendPayload(buf[:0])
	}
}

func BenchmarkParsePleaseSendContent(b *testing.B) {
	payload := PleaseSendContent{append([]byte("blake3/"), hex64...), 1 << 30, 4096, 0, 0}.AppendPayload(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePleaseSendContent(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParsePeers(b *testing.B) {
	var m Peers
	for i := range 46 {
		m.Peers = append(m.Peers, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 24254))
	}
	payload := m.AppendPayload(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePeers(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDispatch(b *testing.B) {
	m := NewMux()
	replies := []Message{ReturnedMessage{CookieValue("132.525178769")}}
	m.Handle("PleaseReturnThisMessage", HandlerFunc(func(Sender, Element) []Message { return replies }))
	es, _, _ := Split(nil, []byte(`[{"PleaseReturnThisMessage":{"cookie":"132.525178769"}},{"MyPublicKey":{}}]`))
	b.ReportAllocs()
	for b.Loop() {
		m.Dispatch(Sender{Room: 100}, es)
	}
}

// The ways that every block takes must not allocate.
func TestBlockAllocs(t *testing.T) {
	c, data := block()
	es := make([]Element, 0, MaxElements)
	buf := make([]byte, 0, 8192)
	for name, way := range map[string]func(){
		"receive": func() {
			es, _, _ = Split(es[:0], data)
			m, _ := ParseContent(es[0].Payload)
			buf, _ = m.AppendData(buf[:0])
		},
		"send": func() { buf = c.AppendPayload(buf[:0]) },
	} {
		if n := testing.AllocsPerRun(10, way); n > 0 {
			t.Errorf("%s: %.0f allocations", name, n)
		}
	}
	for _, c := range messages {
		if n := testing.AllocsPerRun(10, func() { buf = c.m.AppendPayload(buf[:0]) }); n > 0 {
			t.Errorf("%s: %.0f allocations", c.m.Name(), n)
		}
	}
}
