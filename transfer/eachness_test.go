package transfer

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/swarm"
	"sharer/wire"
)

// questions is a Batch that keeps what is asked.
type questions struct{ asked []wire.PleaseSendContent }

var _ Batch = (*questions)(nil)

func (q *questions) Open(netip.AddrPort, uint8, swarm.Reason) ([]byte, bool) {
	return []byte("["), true
}
func (q *questions) CloseWith(buf []byte, padTo int, _ []byte) int { return q.Close(buf, padTo) }
func (q *questions) Flush() error                                  { return nil }

func (q *questions) Close(buf []byte, _ int) int {
	q.asked = append(q.asked, questionsIn(buf)...)
	return len(buf)
}

// questionsIn are those of a datagram that is not closed yet, with bytes of their own.
func questionsIn(buf []byte) (asked []wire.PleaseSendContent) {
	es, _, err := wire.Split(nil, append(buf, ']'))
	if err != nil {
		panic(err)
	}
	for _, e := range es {
		m, err := wire.ParsePleaseSendContent(bytes.Clone(e.Payload))
		if err != nil {
			panic(err)
		}
		asked = append(asked, m)
	}
	return asked
}

// Who speaks raw and does not know the field each answers a question for several parts by one datagram: nothing of it is lost, and
// it is not asked so again. Who knows it is asked for many at once as soon as it has shown so. Where such answers do not
// pass, all comes nevertheless.
func TestPeersThatDoNotKnowEach(t *testing.T) {
	const blocks = 2 * stripeBlocks
	for _, tc := range []struct {
		name         string
		knows, lossy bool // lossy: what is more than a packet is lost
		short        bool // asked in parts as long answers were lost
		most         int  // bytes asked for twice, at most
		questions    int  // at most
	}{
		{name: "knows it", knows: true, questions: blocks},
		{name: "knows it, short", knows: true, short: true, questions: blocks},
		{name: "does not", questions: blocks + 80},
		{name: "does not, short", short: true, questions: 4*blocks + 8},
		{name: "does not, and fragments are lost", lossy: true, short: true, most: 64 << 10, questions: 4*blocks + 100},
	} {
		q := &questions{}
		d := newDownload(Config{ID: chunk.ID{Kind: chunk.SHA256}, Batch: q, Peers: nobody{}, Rand: rand.New(rand.NewPCG(1, 2))}, func() int { return maxWindow })
		d.handle, d.size, d.proven = 8, blocks*chunk.BlockSize-100, true
		d.pick.reset(d.size, chunk.Ranges{})
		d.addSources([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:5")})
		s := d.sources[0]
		s.answers, s.claim, s.raw, s.proven = true, d.size, rawness{speaks: true, heard: true}, true
		d.speed.fast, s.length.short = !tc.short, tc.short
		data := make([]byte, maxAnswer)
		now, asked := time.Now(), 0
		var seen int64
		answer := func(at, n int64) {
			d.arrive(&arrival{from: s.addr, proven: true, at: now, size: int(n) + 100, raw: true, offset: at, data: data[:n], n: int(n), eof: -1})
		}
		for round := 0; d.stats.Fetched < d.size; round++ {
			if round > 2000 {
				t.Fatalf("%s: a standstill at %d bytes of %d", tc.name, d.stats.Fetched, d.size)
			}
			for range 24 {
				s.length.short, s.length.probed, d.speed.fast = tc.short, now, !tc.short // no long ones between
				if !d.askOne(s, now) {
					break
				}
			}
			d.closeAsk(now)
			now = now.Add(5 * time.Millisecond)
			for _, m := range q.asked {
				asked++
				length := min(m.Length, d.size-m.Offset)
				seen += length
				switch {
				case tc.lossy && length > rawPartBytes: // fragments
				case !tc.knows || m.Each == 0:
					answer(m.Offset, length)
				default:
					for at := int64(0); at < length; at += m.Each {
						answer(m.Offset+at, min(m.Each, length-at))
					}
				}
			}
			q.asked = q.asked[:0]
			s.flights.expire(now, waits{reorder: time.Hour, rto: 50 * time.Millisecond, memory: time.Second}, func(r request, fl flight, _ bool) { d.lost(s, r, fl) })
		}
		if twice := seen - d.size; twice < 0 || twice > int64(tc.most) {
			t.Errorf("%s: %d bytes too many were asked for", tc.name, twice)
		}
		if asked > tc.questions {
			t.Errorf("%s: %d questions, want at most %d", tc.name, asked, tc.questions)
		}
		if s.each.known != tc.knows || s.each.never != (!tc.knows && !tc.lossy) {
			t.Errorf("%s: learned %+v", tc.name, s.each)
		}
	}
}

// A unit may take the place of one that was split otherwise: what was asked for then, and comes now, is none of its parts.
func TestPartOfAnotherSplit(t *testing.T) {
	var p parts
	whole := request{at: 3 * chunk.BlockSize}
	p.begin(whole, chunk.BlockSize, rawPartBytes) // 1024 each
	first, _, n, _ := p.next()
	p.drop(whole)
	p.begin(whole, 10*chunk.BlockSize, rawPartBytes) // 1205 each
	if u, _ := p.arrived(first, make([]byte, n), true); u != nil {
		t.Errorf("%d bytes were taken for a part of %d", n, u.each)
	}
	if u := p.of(first); u == nil {
		t.Error("the part that lies there is not asked for any more")
	}
}

// A run that was given up, and whose blocks are being asked for in parts, comes after all. The blocks that it brings are taken, and nothing of the unit
// is forgotten.
func TestLateRunAmongParts(t *testing.T) {
	q := &questions{}
	d := newDownload(Config{ID: chunk.ID{Kind: chunk.SHA256}, Batch: q, Peers: nobody{}, Rand: rand.New(rand.NewPCG(1, 2))}, func() int { return maxWindow })
	d.handle, d.size, d.proven = 8, 2*maxAnswer, true
	d.pick.reset(d.size, chunk.Ranges{})
	d.addSources([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5")})
	s := d.sources[0]
	s.answers, s.claim, s.raw, s.proven = true, d.size, rawness{speaks: true, heard: true}, true
	s.control = wide{s.control}
	data, now := make([]byte, maxAnswer), time.Unix(1000, 0)
	arrive := func(at, n int64) {
		d.arrive(&arrival{from: s.addr, proven: true, at: now, size: int(n) + 100, raw: true, offset: at, data: data[:n], n: int(n), eof: -1})
	}
	ask := func() (asked []wire.PleaseSendContent) {
		for range 100 {
			s.length.probed = now
			if !d.askOne(s, now) {
				break
			}
		}
		d.closeAsk(now)
		asked, q.asked = q.asked, nil
		return asked
	}
	runs := ask()
	now = now.Add(time.Second)
	s.flights.expire(now, waits{reorder: time.Hour, rto: 50 * time.Millisecond, memory: time.Minute}, func(r request, fl flight, _ bool) { d.lost(s, r, fl) })
	s.length.short = true
	parts := ask()
	if len(runs) == 0 || runs[0].Length <= chunk.BlockSize || len(parts) == 0 || parts[0].Length > rawPartBytes {
		t.Fatalf("%d runs and then %d parts were asked for", len(runs), len(parts))
	}
	now = now.Add(time.Millisecond)
	arrive(runs[0].Offset, runs[0].Length)
	for round := 0; d.stats.Fetched < d.size; round++ {
		if round == 200 {
			t.Fatalf("a standstill at %d of %d bytes", d.stats.Fetched, d.size)
		}
		now = now.Add(time.Millisecond)
		for _, m := range parts {
			arrive(m.Offset, m.Length)
		}
		s.flights.expire(now, waits{reorder: time.Hour, rto: 50 * time.Millisecond, memory: time.Minute}, func(r request, fl flight, _ bool) { d.lost(s, r, fl) })
		parts = ask()
	}
}
