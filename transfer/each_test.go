package transfer

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/swarm"
	"sharer/wire"
)

// packets is a Batch that keeps what it is given.
type packets struct {
	to   []netip.AddrPort
	ms   []wire.Content
	data [][]byte
}

var _ Batch = (*packets)(nil)

func (b *packets) Open(to netip.AddrPort, _ uint8, _ swarm.Reason) ([]byte, bool) {
	b.to = append(b.to, to)
	return []byte("["), true
}

func (b *packets) Close(buf []byte, padTo int) int { return b.CloseWith(buf, padTo, nil) }
func (b *packets) Flush() error                    { return nil }

func (b *packets) CloseWith(buf []byte, _ int, rest []byte) int {
	es, _, err := wire.Split(nil, append(append(buf, ']'), rest...))
	if err != nil {
		panic(err)
	}
	m, err := wire.ParseContent(es[0].Payload)
	if err != nil {
		panic(err)
	}
	b.ms, b.data = append(b.ms, m), append(b.data, bytes.Clone(rest))
	return len(buf) + len(rest)
}

// repeating is a Batch that can repeat, and counts how often it did.
type repeating struct {
	packets
	last  []byte
	again int
}

var _ repeater = (*repeating)(nil)

func (b *repeating) CloseWith(buf []byte, padTo int, rest []byte) int {
	b.last = bytes.Clone(buf)
	return b.packets.CloseWith(buf, padTo, rest)
}

func (b *repeating) Again(at int, digits, rest []byte) bool {
	if len(b.packets.data[len(b.packets.data)-1]) != len(rest) {
		panic("another length")
	}
	copy(b.last[at:], digits)
	b.again++
	b.packets.CloseWith(bytes.Clone(b.last), 0, rest)
	return true
}

// One request for many datagrams is answered by as many as the content fills, each with its own offset, and by no more
// than maxAnswer of content, however little each shall have.
func TestAnswersOfOnePacketEach(t *testing.T) {
	content := &disk{data: make([]byte, 100_003)}
	for i := range content.data {
		content.data[i] = byte(i % 251)
	}
	for _, tc := range []struct {
		name         string
		offset       int64
		length, each int64
		raw          wire.Handle
		sizes        []int
		again        int // the first says more than the others; numbers grow longer
	}{
		{"even", 8192, 4096, 1024, 7, []int{1024, 1024, 1024, 1024}, 1},
		{"the last is shorter", 8192, 3000, 1232, 7, []int{1232, 1232, 536}, 0},
		{"at the end", 98_304, 8192, 1024, 7, []int{1024, 675}, 0},
		{"beyond it", 102_400, 8192, 1024, 7, []int{0}, 0},
		{"more than there is to each", 0, 1000, 1024, 7, []int{1000}, 0},
		{"too little each", 0, 1 << 40, 1, 7, slicesOf(80, 512), 76},
		{"not raw", 0, 4096, 1024, 0, []int{4096}, 0},
		{"one", 0, 40960, 0, 7, []int{40960}, 0},
	} {
		out := &repeating{}
		u := NewUploads(UploadConfig{Batch: out})
		a := answerer{u: u, buf: make([]byte, turnBytes), again: out}
		m, err := wire.ParsePleaseSendContent(wire.PleaseSendContent{ID: []byte("x"), Offset: tc.offset, Length: tc.length, Raw: tc.raw, Each: tc.each}.AppendPayload(nil))
		if err != nil {
			t.Fatal(err)
		}
		w := want{id: chunk.ID{Kind: chunk.BLAKE3}, content: content, offset: m.Offset, length: min(m.Length, maxAnswer), raw: m.Raw, each: eachOf(m)}
		p := &upPeer{addr: netip.MustParseAddrPort("192.0.2.1:5"), hinted: time.Now()}
		if !a.answer(context.Background(), p, []want{w}) {
			t.Fatal("ended")
		}
		if len(out.ms) != len(tc.sizes) {
			t.Fatalf("%s: %d datagrams, want %d", tc.name, len(out.ms), len(tc.sizes))
		}
		if out.again != tc.again {
			t.Errorf("%s: %d were repeated, want %d", tc.name, out.again, tc.again)
		}
		at, cost := tc.offset, 0
		for i, m := range out.ms {
			data := out.data[i]
			if tc.raw == 0 {
				data, _ = m.AppendData(nil)
			}
			end := min(at+int64(tc.sizes[i]), content.Size())
			if m.Offset != at || m.For != tc.raw || len(data) != tc.sizes[i] || at < end && !bytes.Equal(data, content.data[at:end]) {
				t.Errorf("%s, datagram %d: %+v with %d bytes, want %d at %d", tc.name, i, m, len(data), tc.sizes[i], at)
			}
			at += int64(tc.sizes[i])
			cost += len(data) + 130
		}
		if limit := w.wire(at - tc.offset); at > tc.offset && tc.raw != 0 && limit < cost {
			t.Errorf("%s: counts as %d bytes of the wire, and takes %d", tc.name, limit, cost)
		}
	}
}

func slicesOf(n, size int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = size
	}
	return s
}
