package transfer

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
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

// Parts that follow one another are one request where nothing speaks against it; each is in flight by itself.
func TestRequestsForSeveralParts(t *testing.T) {
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
		{"blocks", "127.0.0.1:5", true, nil, whole(7, 8), []string{"7ns+4.096µs", "8ns+4.096µs"}},
		{"a run", "127.0.0.1:5", true, nil, []ask{{block: 7, n: 3 * chunk.BlockSize}, {block: 10, n: chunk.BlockSize}}, []string{"7ns+12.288µs", "10ns+4.096µs"}},
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
			if !d.send(s, request{tree: a.tree, at: a.block*chunk.BlockSize + a.at}, flight{n: a.n, part: a.part, each: a.each, also: a.also}, 0, now) {
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

// near is a download of a content of so many blocks, but for 100 bytes, that asks one peer, and what it has sent.
func near(blocks int64, addr string) (*Download, *written) {
	out := &written{}
	d := newDownload(Config{ID: chunk.ID{Kind: chunk.SHA256}, Batch: out, Peers: nobody{}, Rand: rand.New(rand.NewPCG(1, 2))}, func() int { return maxWindow })
	d.size, d.proven = blocks*chunk.BlockSize-100, true
	d.pick.reset(d.size, chunk.Ranges{})
	d.addSources([]netip.AddrPort{netip.MustParseAddrPort(addr)})
	s := d.sources[0]
	s.answers, s.claim, s.raw, s.proven, s.noTree = true, d.size, rawness{speaks: true, heard: true}, true, 4
	s.control = wide{s.control}
	return d, out
}

// wide is a control whose window is open.
type wide struct{ control }

func (wide) window() int { return maxWindow }

// A peer on this machine that answers raw is asked for runs of blocks, each of which is in flight as one; in a crowd, where a
// block is the unit of choice, and elsewhere it is not.
func TestRunsOfBlocks(t *testing.T) {
	for _, tc := range []struct {
		name, addr string
		change     func(*Download)
		want       []string
	}{
		{"IPv4", "127.0.0.1:5", func(*Download) {}, []string{"0s+40.96µs", "10ns+8.192µs"}},
		{"IPv6", "[::1]:5", func(*Download) {}, []string{"0s+40.96µs", "10ns+8.192µs"}},
		{"a gap", "127.0.0.1:5", func(d *Download) { d.pick.done.Add(2, 3) }, []string{"0s+8.192µs", "3ns+36.864µs"}},
		{"elsewhere", "192.0.2.1:5", func(*Download) {}, []string{"0s+4.096µs", "1ns+4.096µs"}},
		{"not raw", "127.0.0.1:5", func(d *Download) { d.sources[0].raw.speaks = false }, []string{"0s+4.096µs", "1ns+4.096µs"}},
		{"cut before", "127.0.0.1:5", func(d *Download) { d.sources[0].near = false }, []string{"0s+4.096µs", "1ns+4.096µs"}},
		{"a crowd", "127.0.0.1:5", func(d *Download) { d.pick.crowd = true }, nil},
	} {
		d, out := near(12, tc.addr)
		tc.change(d)
		now := time.Now()
		for range 2 {
			if !d.askOne(d.sources[0], now) {
				t.Fatalf("%s: not asked", tc.name)
			}
		}
		d.closeAsk(now)
		if tc.want == nil {
			for _, sent := range out.sent {
				if !strings.HasSuffix(sent, "+4.096µs") {
					t.Errorf("%s: %q", tc.name, out.sent)
				}
			}
		} else if !slices.Equal(out.sent, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, out.sent, tc.want)
		}
		if live := d.sources[0].flights.live; live != 2 {
			t.Errorf("%s: %d in flight", tc.name, live)
		}
	}
}

// Of the answer to a request for a run what is there is taken; what is missing, or was cut off, is wanted again at once, and a
// cut ends runs to that peer. Nothing beyond the run is taken.
func TestAnswersToRuns(t *testing.T) {
	const blocks = 6
	for n, wantGot := range map[int]uint64{
		0: 0, 100: 0, 3 * chunk.BlockSize: 7, 3*chunk.BlockSize + 100: 7, blocks*chunk.BlockSize - 100: 63,
		blocks*chunk.BlockSize - 99: 31, blocks * chunk.BlockSize: 31,
	} {
		d, _ := near(blocks, "127.0.0.1:5")
		s := d.sources[0]
		now := time.Now()
		if !d.askOne(s, now) || s.flights.live != 1 || !s.flights.hasWhole(request{at: 5 * chunk.BlockSize}) || s.flights.hasWhole(request{at: 6 * chunk.BlockSize}) {
			t.Fatalf("asked otherwise: %d out", s.flights.live)
		}
		data := make([]byte, maxAnswer)
		for i := range n {
			data[i] = byte(i % 251)
		}
		st := d.pick.active[0]
		d.arrive(&arrival{from: s.addr, proven: true, at: now, size: n + 100, raw: true, data: data[:n], n: n, eof: -1})
		if s.flights.live != 0 || st.got != wantGot || st.asked != 0 || st.again != 63&^wantGot {
			t.Errorf("%d bytes: %d in flight; got %b, want %b; asked %b, wanted again %b", n, s.flights.live, st.got, wantGot, st.asked, st.again)
		}
		if cut := n < int(d.size) && n%chunk.BlockSize != 0; s.near == cut {
			t.Errorf("%d bytes: near: %v", n, s.near)
		}
		for i := range n {
			if wantGot>>(i/chunk.BlockSize)&1 == 1 && st.buf[i] != byte(i%251) {
				t.Fatalf("%d bytes: byte %d is wrong", n, i)
			}
		}
	}
}

// clocked is a control that is told of answers.
type clocked struct {
	control
	at []time.Time
}

func (c *clocked) answered(now time.Time, st stamp, n, inFlight int) {
	c.at = append(c.at, now)
	c.control.answered(now, st, n, inFlight)
}

// Answers that were read with one call come one after the other for those who measure: what all comes at one moment has no rate, and
// a window that is answered so would never grow.
func TestAnswersOfOneReadHaveTimes(t *testing.T) {
	d, _ := near(6, "192.0.2.1:5")
	s := d.sources[0]
	c := &clocked{control: s.control}
	s.control = c
	now := time.Now()
	for range 6 {
		if !d.askOne(s, now) {
			t.Fatal("not asked")
		}
	}
	data := make([]byte, 5*chunk.BlockSize)
	d.arrive(&arrival{from: s.addr, proven: true, at: now, size: 5 * (chunk.BlockSize + 100), raw: true, data: data, n: len(data), each: chunk.BlockSize, eof: -1})
	if len(c.at) != 5 || s.flights.live != 1 || d.pick.active[0].got != 31 {
		t.Fatalf("%d answers, %d in flight, got %b", len(c.at), s.flights.live, d.pick.active[0].got)
	}
	for i, at := range c.at {
		if i > 0 && !at.After(c.at[i-1]) {
			t.Errorf("answer %d came at %v, and the one before at %v", i, at, c.at[i-1])
		}
	}
}

// Pieces of a tree that were read with one call are taken one by one.
func TestPiecesOfOneRead(t *testing.T) {
	d, _ := near(6, "192.0.2.1:5")
	d.treeID, d.tree.shape = []byte("x"), chunk.ShapeOf(1<<30)
	s := d.sources[0]
	now := time.Now()
	for i := range 3 {
		if !d.send(s, request{tree: true, at: int64(i) * chunk.BlockSize}, flight{n: chunk.BlockSize}, 0, now) {
			t.Fatal("not asked")
		}
	}
	data := make([]byte, 2*chunk.BlockSize)
	d.arrive(&arrival{from: s.addr, proven: true, at: now, size: 2 * (chunk.BlockSize + 100), tree: true, raw: true, data: data, n: len(data), each: chunk.BlockSize, eof: -1})
	if s.flights.live != 1 || s.bad > 0 {
		t.Errorf("%d in flight, want one; %d bad", s.flights.live, s.bad)
	}
}

// A run that is lost is lost with all of its blocks, and what comes of it late is taken nevertheless.
func TestRunsAreLostWhole(t *testing.T) {
	d, _ := near(6, "127.0.0.1:5")
	s := d.sources[0]
	now := time.Now()
	if !d.askOne(s, now) {
		t.Fatal("not asked")
	}
	st := d.pick.active[0]
	d.expire(now.Add(2 * time.Second))
	if st.asked != 0 || st.again != 63 || s.flights.bytes != 0 || s.flights.live != 0 {
		t.Errorf("asked %b, wanted again %b, %d bytes of %d requests out", st.asked, st.again, s.flights.bytes, s.flights.live)
	}
	d.arrive(&arrival{from: s.addr, proven: true, at: now.Add(2 * time.Second), size: int(d.size) + 100, raw: true, data: make([]byte, d.size), n: int(d.size), eof: -1})
	if st.got != 63 || st.again != 0 || d.pick.vain != 0 || d.pick.orphans != 0 {
		t.Errorf("late: got %b, wanted again %b, %d in vain, %d nobody's", st.got, st.again, d.pick.vain, d.pick.orphans)
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
