package transfer

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"sharer/chunk"
	"sharer/wire"
)

// oneUnit is a download of which one unit is out, of ten blocks.
func oneUnit(t *testing.T) (x *units, u *unit, m wire.PleaseSendContent) {
	t.Helper()
	x = newUnits(1, 0)
	x.s.control = wide{x.s.control}
	x.d.speed.fast = true
	x.s.rtt.Sample(10 * time.Millisecond)
	x.s.least = 10 * time.Millisecond
	if !x.d.askOne(x.s, x.now) {
		t.Fatal("nothing was asked")
	}
	x.d.closeAsk(x.now)
	m = x.q.asked[0]
	x.q.asked = nil
	u = x.s.parts.units[request{at: m.Offset}.key()]
	if u == nil || !u.asOne {
		t.Fatal("it is no unit")
	}
	return x, u, m
}

// part is the i-th part of a unit as it comes.
func (x *units) part(u *unit, i int) *arrival {
	r, n := u.part(i)
	return &arrival{from: x.s.addr, proven: true, at: x.now, raw: true, eof: -1, offset: r.at, n: n, size: n + 100, data: x.data[r.at:][:n]}
}

// A peer that changes what it says of the size in the middle of a unit has the download start over: the memory of the unit is given back then, once, and what comes of
// it is taken for nothing.
func TestUnitOfAnotherSize(t *testing.T) {
	x, u, _ := oneUnit(t)
	x.s.sworn, x.d.proven = false, false
	buf := u.data
	x.d.arrive(x.part(u, 0))
	liar := x.part(u, 1)
	liar.eof, liar.data = x.d.size+4096, bytes.Repeat([]byte{0xa5}, liar.n)
	before := string(buf)
	x.d.cfg.File, _ = chunk.OpenPartial(t.TempDir()+"/x", chunk.ID{Kind: chunk.SHA256, Hash: chunk.Hash{1}}, chunk.PartialOptions{})
	defer x.d.cfg.File.Close()
	x.d.arrive(liar)
	if x.d.size != liar.eof {
		t.Fatalf("the size is %d", x.d.size)
	}
	if string(buf) != before {
		t.Error("memory that was given back is written to")
	}
	if len(x.s.parts.units) != 0 || x.s.flights.live != 0 || x.s.flights.bytes != 0 {
		t.Errorf("%d units, %d flights", len(x.s.parts.units), x.s.flights.live)
	}
}

// Units are packets: those that are lost do not say that long datagrams are.
func TestLostUnitsAreShort(t *testing.T) {
	x := newUnits(1, 0)
	for range 60 {
		x.d.speed.fast, x.s.lostPart = true, time.Time{}
		if !x.d.askOne(x.s, x.now) {
			break
		}
		x.d.closeAsk(x.now)
		x.now = x.now.Add(10 * time.Millisecond)
		x.s.flights.newest = x.now // a later one was answered
		x.d.expire(x.now)
		for _, whole := range x.s.parts.clear() {
			x.d.back(x.s, whole)
		}
	}
	if x.d.stats.Lost != 60 || x.s.length.short {
		t.Errorf("%d units were lost; asked for what makes one packet: %v", x.d.stats.Lost, x.s.length.short)
	}
}

// What comes of a unit that had been given up is taken, and its time is counted from when it was asked for: by a question for the same that has left meanwhile
// it would seem to have come sooner than anything can.
func TestLateUnit(t *testing.T) {
	for _, again := range []bool{false, true} {
		x, u, _ := oneUnit(t)
		x.d.arrive(x.part(u, 0))
		x.now = x.now.Add(100 * time.Millisecond)
		x.s.flights.newest = x.now
		x.d.expire(x.now)
		if x.d.stats.Lost != 1 || u.asOne || x.s.flights.bytes != 0 {
			t.Fatalf("%d were lost, %d bytes are out", x.d.stats.Lost, x.s.flights.bytes)
		}
		if again {
			for range 40 {
				x.d.askOne(x.s, x.now)
			}
			x.d.closeAsk(x.now)
		}
		x.now = x.now.Add(time.Millisecond)
		for i := 1; i*u.each < len(u.data); i++ {
			x.d.arrive(x.part(u, i))
		}
		if u.left != 0 || x.d.stats.Unrequested > 0 || x.d.stats.Fetched != int64(len(u.data)) {
			t.Errorf("again %v: %d blocks came, %d answers were taken for nothing", again, x.s.came, x.d.stats.Unrequested)
		}
		if x.s.least < 10*time.Millisecond || x.s.rtt.Smoothed() < 10*time.Millisecond {
			t.Errorf("again %v: a round trip of %v, %v at least", again, x.s.rtt.Smoothed(), x.s.least)
		}
	}
}

// Only a proven answer that is all of a unit says that its sender answers several parts by one datagram.
func TestLongAnswerToUnit(t *testing.T) {
	for _, tc := range []struct {
		name   string
		proven bool
		n      int
		never  bool
	}{{"all", true, 0, true}, {"unproven", false, 0, false}, {"a longer part", true, 1300, false}} {
		x, u, _ := oneUnit(t)
		a := x.part(u, 0)
		if a.n = tc.n; a.n == 0 {
			a.n = len(u.data)
		}
		a.data, a.size, a.proven = x.data[a.offset:][:a.n], a.n+100, tc.proven
		x.d.arrive(a)
		if x.s.each.never != tc.never || tc.never && x.d.stats.Fetched == 0 {
			t.Errorf("%s: never asked for parts again: %v", tc.name, x.s.each.never)
		}
	}
}

// A block of a unit that is out comes from another peer, and is bad: it is asked for anew, and nothing else of the unit is forgotten.
func TestBadBlockOfAUnit(t *testing.T) {
	x, u, _ := oneUnit(t)
	x.d.addSources([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:5")})
	other := x.d.sources[1]
	other.answers, other.claim, other.sworn, other.vouched = true, x.d.size, true, true
	at := u.whole.at + 3*chunk.BlockSize
	other.flights.add(request{at: at}, flight{sent: x.now, n: chunk.BlockSize, raw: true})
	x.d.arrive(&arrival{from: other.addr, proven: true, at: x.now, raw: true, eof: -1, offset: at, n: chunk.BlockSize, size: chunk.BlockSize + 100, data: make([]byte, chunk.BlockSize)})
	if len(x.d.jobs) != 1 {
		t.Fatal("it is not checked")
	}
	j := <-x.d.jobs
	x.d.written(outcome{job: j, bad: j.blocks})
	for round := 0; x.d.pick.remaining() > 0; round++ {
		if round > 5000 {
			t.Fatalf("a standstill: %d blocks are left", x.d.pick.remaining())
		}
		x.round(t)
		x.d.flushStale(x.now)
	}
}

// A block waits for its stripe for as long as it does, also when somebody sets the clock back meanwhile.
func TestStripeWhenClockIsSet(t *testing.T) {
	x := newUnits(1, 0)
	x.s.gave = 1
	now := time.Now()
	x.d.putBlock(x.s, 3, make([]byte, chunk.BlockSize), true, now)
	if len(x.d.jobs) > 0 {
		t.Fatal("it did not wait")
	}
	then := now.Add(flushAfter)
	// A time with a monotonic reading keeps its wall seconds in bits 30 to 62 of its first word.
	*(*uint64)(unsafe.Pointer(&then)) -= 3600 << 30
	if then.Sub(now) != flushAfter || then.Round(0).After(now.Round(0)) {
		t.Skip("the layout of time.Time is another one")
	}
	if x.d.flushStale(then); len(x.d.jobs) != 1 {
		t.Error("it waits for the clock")
	}
}
