package transfer

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// A path that loses, repeats, delays and reorders packets brings all of a content of which units are asked for as one: each byte lies where it belongs, what
// was lost is asked for again and nothing else, and in the end nothing is thought to be under way. Where nothing is lost, no part is
// asked for by itself.
func TestUnits(t *testing.T) {
	for seed := range uint64(24) {
		loss := []float64{0, 0.002, 0.05}[seed%3]
		x := newUnits(seed, loss)
		for round := 0; x.d.pick.remaining() > 0; round++ {
			if round > 5000 {
				t.Fatalf("seed %d: a standstill: %d blocks are left", seed, x.d.pick.remaining())
			}
			x.round(t)
		}
		x.now = x.now.Add(time.Second)
		x.d.expire(x.now)
		s := x.s
		if s.flights.live != 0 || s.flights.bytes != 0 || len(s.parts.units) != 0 {
			t.Errorf("seed %d: %d flights with %d bytes and %d units are left", seed, s.flights.live, s.flights.bytes, len(s.parts.units))
		}
		if (x.lost > 0) != (loss > 0) || (x.single > 0) != (loss > 0) || x.asOne == 0 || x.again > x.lost*maxAnswer/10 {
			t.Errorf("seed %d: %d lost, %d asked for as units, %d by themselves, %d bytes again", seed, x.lost, x.asOne, x.single, x.again)
		}
	}
}

// units is a download on a fast path, and the peer that answers it.
type units struct {
	d    *Download
	s    *source
	q    *questions
	rng  *rand.Rand
	now  time.Time
	loss float64
	data []byte
	late []*arrival

	lost, asOne, single, again int
	seen                       map[int64]bool // offsets that were asked for
}

func newUnits(seed uint64, loss float64) *units {
	x := &units{q: &questions{}, rng: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1000, 0), loss: loss, seen: map[int64]bool{}}
	x.d = newDownload(Config{ID: chunk.ID{Kind: chunk.SHA256}, Batch: x.q, Peers: nobody{}, Rand: rand.New(rand.NewPCG(seed, 2))}, func() int { return maxWindow })
	d := x.d
	d.handle, d.size, d.proven = 8, 9*stripeBytes-100, true
	d.pick.reset(d.size, chunk.Ranges{})
	x.data = make([]byte, d.size)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(x.data)
	d.addSources([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:5")})
	x.s = d.sources[0]
	x.s.answers, x.s.claim, x.s.sworn, x.s.vouched, x.s.proven = true, d.size, true, true, true
	x.s.raw, x.s.each.known = rawness{speaks: true, heard: true}, true
	return x
}

// round asks what the window allows, answers it, and checks what is whole.
func (x *units) round(t *testing.T) {
	x.d.speed.fast, x.s.length.short, x.s.length.probed = true, false, x.now
	for range 24 {
		if x.s.windowFull(x.s.cost(rawPartBytes)) || !x.d.askOne(x.s, x.now) {
			break
		}
	}
	x.d.closeAsk(x.now)
	x.now = x.now.Add(time.Millisecond)
	late := x.late
	x.late = nil
	for _, m := range x.q.asked {
		x.answer(m)
	}
	x.q.asked = x.q.asked[:0]
	for _, a := range late {
		a.at = x.now
		x.d.arrive(a)
	}
	x.d.expire(x.now)
	for len(x.d.jobs) > 0 {
		j := <-x.d.jobs
		if j.whole {
			continue
		}
		for b := range stripeBlocks {
			if j.blocks>>b&1 == 1 {
				at := j.stripe.index*stripeBytes + int64(b*chunk.BlockSize)
				end := min(at+chunk.BlockSize, x.d.size)
				if string(j.stripe.buf[b*chunk.BlockSize:][:end-at]) != string(x.data[at:end]) {
					t.Fatalf("block %d is not what was sent", at/chunk.BlockSize)
				}
			}
		}
		x.d.written(outcome{job: j, good: j.blocks})
	}
}

// answer sends what was asked for as packets, together as far as nothing happens to one of them.
func (x *units) answer(m wire.PleaseSendContent) {
	end := min(m.Offset+m.Length, x.d.size)
	each := m.Each
	if each == 0 {
		each = m.Length
	}
	if m.Length >= 10*each {
		x.asOne++
	} else if m.Length <= rawPartBytes && m.Length < x.d.size-m.Offset {
		x.single++
	}
	var run [][]byte
	for at := m.Offset; at < end; at += each {
		part := x.data[at:min(at+each, end)]
		if x.seen[at] {
			x.again += len(part)
		}
		x.seen[at] = true
		lost := x.rng.Float64() < x.loss
		if lost {
			x.lost++
		}
		if lost || int64(len(part)) < each {
			x.send(at, run...)
			run = nil
			if !lost {
				x.send(at+int64(len(part)), part)
			}
			continue
		}
		run = append(run, part)
	}
	x.send(m.Offset+(end-m.Offset)/each*each, run...)
}

// send delivers parts that end at an offset, now or in the next round, and now and then once more.
func (x *units) send(end int64, parts ...[]byte) {
	if len(parts) == 0 {
		return
	}
	a := &arrival{from: x.s.addr, proven: true, at: x.now, raw: true, eof: -1, offset: end}
	for _, p := range parts {
		a.n += len(p)
		a.data = append(a.data, p...)
	}
	a.offset -= int64(a.n)
	a.size = a.n + 100*len(parts)
	if len(parts) > 1 {
		a.each = len(parts[0])
	}
	if x.loss > 0 && x.rng.IntN(100) == 0 {
		x.late = append(x.late, a)
		return
	}
	for range 1 + x.rng.IntN(10)/9 {
		x.d.arrive(a)
	}
}
