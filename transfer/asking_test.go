package transfer

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/swarm"
	"sharer/wire"
)

// written is a Batch that keeps what it is given.
type written struct{ sent []string }

var _ Batch = (*written)(nil)

func (a *written) Open(netip.AddrPort, uint8, swarm.Reason) ([]byte, bool) { return nil, true }

func (a *written) Close(buf []byte, _ int) int {
	es, _, err := wire.Split(nil, append(append([]byte("["), buf...), ']'))
	if err != nil {
		panic(err)
	}
	m, err := wire.ParsePleaseSendContent(es[0].Payload)
	if err != nil {
		panic(err)
	}
	a.sent = append(a.sent, (&want{offset: m.Offset / chunk.BlockSize, length: m.Length, each: m.Each}).String())
	return len(buf)
}

func (a *written) CloseWith(buf []byte, padTo int, _ []byte) int { return a.Close(buf, padTo) }
func (a *written) Flush() error                                  { return nil }

func (w *want) String() string {
	if w.each > 0 {
		return time.Duration(w.offset).String() + "+" + time.Duration(w.length).String() + "/" + time.Duration(w.each).String()
	}
	return time.Duration(w.offset).String() + "+" + time.Duration(w.length).String()
}

// Blocks that follow one another are one request where nothing speaks against it; each is in flight by itself.
func TestRunsOfBlocks(t *testing.T) {
	type ask struct {
		block int64
		at    int64 // in the block
		n     int32
		each  int32 // of parts; 0: 1024
		part  bool
		tree  bool
		also  bool
	}
	whole := func(blocks ...int64) (as []ask) {
		for _, b := range blocks {
			as = append(as, ask{block: b, n: chunk.BlockSize})
		}
		return as
	}
	for _, tc := range []struct {
		name string
		addr string
		raw  bool
		have *chunk.Ranges
		asks []ask
		want []string
	}{
		{"in a row", "127.0.0.1:5", true, nil, whole(7, 8, 9), []string{"7ns+12.288µs"}},
		{"IPv6", "[::1]:5", true, nil, whole(7, 8), []string{"7ns+8.192µs"}},
		{"a gap", "127.0.0.1:5", true, nil, whole(7, 9, 10), []string{"7ns+4.096µs", "9ns+8.192µs"}},
		{"backwards", "127.0.0.1:5", true, nil, whole(8, 7), []string{"8ns+4.096µs", "7ns+4.096µs"}},
		{"more than an answer", "127.0.0.1:5", true, nil, whole(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), []string{"0s+40.96µs", "10ns+4.096µs"}},
		{"not raw", "127.0.0.1:5", false, nil, whole(7, 8), []string{"7ns+4.096µs", "8ns+4.096µs"}},
		{"elsewhere", "192.0.2.1:5", true, nil, whole(7, 8), []string{"7ns+4.096µs", "8ns+4.096µs"}},
		{"holds a part", "127.0.0.1:5", true, new(chunk.Ranges), whole(7, 8), []string{"7ns+8.192µs"}},
		{"the tree", "127.0.0.1:5", true, nil, []ask{{block: 0, n: chunk.BlockSize, tree: true}, {block: 1, n: chunk.BlockSize}}, []string{"0s+4.096µs", "1ns+4.096µs"}},
		{"then the tree", "127.0.0.1:5", true, nil, []ask{{block: 0, n: chunk.BlockSize}, {block: 1, n: chunk.BlockSize, tree: true}}, []string{"0s+4.096µs", "1ns+4.096µs"}},
		{"the other hash", "127.0.0.1:5", true, nil, []ask{{block: 0, n: chunk.BlockSize}, {block: 1, n: chunk.BlockSize, also: true}}, []string{"0s+4.096µs", "1ns+4.096µs"}},
		{"a look", "127.0.0.1:5", true, nil, []ask{{block: 0, n: pollBytes}, {block: 1, n: chunk.BlockSize}}, []string{"0s+64ns", "1ns+4.096µs"}},
		{"a part", "127.0.0.1:5", true, nil, []ask{{block: 0, n: 1024, part: true}, {block: 1, n: chunk.BlockSize}}, []string{"0s+1.024µs/1.024µs", "1ns+4.096µs"}},
		{"parts", "192.0.2.1:5", true, nil, []ask{{block: 8, n: 1024, part: true}, {block: 8, at: 1024, n: 1024, part: true}, {block: 8, at: 2048, n: 1000, part: true}}, []string{"8ns+3.048µs/1.024µs"}},
		{"parts with a gap", "192.0.2.1:5", true, nil, []ask{{block: 8, n: 1024, part: true}, {block: 8, at: 2048, n: 1024, part: true}}, []string{"8ns+1.024µs/1.024µs", "8ns+1.024µs/1.024µs"}},
		{"parts of two lengths", "192.0.2.1:5", true, nil, []ask{{block: 8, n: 1024, part: true}, {block: 8, at: 1024, n: 1000, part: true, each: 1000}}, []string{"8ns+1.024µs/1.024µs", "8ns+1µs/1µs"}},
		{"parts of a piece and a block", "192.0.2.1:5", true, nil, []ask{{block: 0, n: 1024, part: true, tree: true}, {block: 0, at: 1024, n: 1024, part: true}}, []string{"0s+1.024µs/1.024µs", "0s+1.024µs/1.024µs"}},
		{"parts in base64", "192.0.2.1:5", false, nil, []ask{{block: 8, n: 832, part: true, each: 832}, {block: 8, at: 832, n: 832, part: true, each: 832}}, []string{"8ns+832ns", "8ns+832ns"}},
	} {
		out := &written{}
		d := newDownload(Config{ID: chunk.ID{Kind: chunk.BLAKE3}, Batch: out, Rand: rand.New(rand.NewPCG(1, 2))}, func() int { return maxWindow })
		d.handle, d.alsoID = 8, []byte("x")
		d.addSources([]netip.AddrPort{netip.MustParseAddrPort(tc.addr)})
		s := d.sources[0]
		s.answers, s.raw, s.reach.have, s.each.known = true, rawness{speaks: tc.raw, heard: true, plain: plainLeast}, tc.have, true
		now := time.Now()
		for _, a := range tc.asks {
			if a.part && a.each == 0 {
				a.each = 1024
			}
			if !d.send(s, request{a.tree, a.block*chunk.BlockSize + a.at}, flight{n: a.n, part: a.part, each: a.each, also: a.also}, 0, now) {
				t.Fatalf("%s: not sent", tc.name)
			}
		}
		d.closeAsk(now)
		if !slices.Equal(out.sent, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, out.sent, tc.want)
		}
		if s.flights.live != len(tc.asks) {
			t.Errorf("%s: %d in flight", tc.name, s.flights.live)
		}
	}
}

// An answer of several blocks is as many answers; what was cut off is none, and ends runs to that peer.
func TestRunsTakenApart(t *testing.T) {
	const blocks = 6
	for n, wantLeft := range map[int]int{blocks*chunk.BlockSize - 100: 0, 3 * chunk.BlockSize: 3, 3*chunk.BlockSize + 100: 3} {
		d := newDownload(Config{ID: chunk.ID{Kind: chunk.SHA256}, Batch: &written{}, Peers: nobody{}, Rand: rand.New(rand.NewPCG(1, 2))}, func() int { return maxWindow })
		d.size, d.proven = blocks*chunk.BlockSize-100, true
		d.pick.reset(d.size, chunk.Ranges{})
		d.addSources([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5")})
		s := d.sources[0]
		s.answers, s.claim, s.raw = true, d.size, rawness{speaks: true, heard: true}
		now := time.Now()
		for range blocks {
			b, ok := d.pickBlock(s, now)
			if !ok || !d.send(s, request{at: b * chunk.BlockSize}, flight{n: chunk.BlockSize}, 0, now) {
				t.Fatal("not sent")
			}
		}
		data := make([]byte, maxAnswer)
		for i := range n {
			data[i] = byte(i % 251)
		}
		d.arrive(&arrival{from: s.addr, proven: true, at: now, size: n + 100, raw: true, data: data[:n], n: n, eof: -1})
		if s.flights.live != wantLeft || s.near == (n%chunk.BlockSize != 0 && n < int(d.size)) {
			t.Errorf("%d bytes: %d in flight, want %d; near: %v", n, s.flights.live, wantLeft, s.near)
		}
		for i, st := 0, d.pick.active[0]; i < min(n, int(d.size)); i++ {
			if i < n/chunk.BlockSize*chunk.BlockSize && st.buf[i] != byte(i%251) {
				t.Fatalf("%d bytes: byte %d is wrong", n, i)
			}
		}
	}
}

// nobody is a swarm that knows no more than that all are proven.
type nobody struct{}

var _ Peers = nobody{}

func (nobody) MayRequest(netip.AddrPort, time.Time) (bool, time.Time) { return true, time.Time{} }
func (nobody) Proven(netip.AddrPort) bool                             { return true }
func (nobody) Answered(netip.AddrPort, time.Duration)                 {}
func (nobody) Unanswered(netip.AddrPort)                              {}
func (nobody) Punish(netip.AddrPort)                                  {}
