package transfer

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// passing is what has passed, to check that no second holds more than the rate and a burst.
type passing struct {
	at    []time.Time
	bytes []int
	sum   int // of the last second
	first int
}

func (p *passing) add(t interface{ Fatalf(string, ...any) }, now time.Time, n int, rate float64) {
	p.at, p.bytes, p.sum = append(p.at, now), append(p.bytes, n), p.sum+n
	for now.Sub(p.at[p.first]) >= time.Second {
		p.sum -= p.bytes[p.first]
		p.first++
	}
	if most := rate + LimitBurst; float64(p.sum) > most {
		t.Fatalf("%d bytes in a second, %.0f at most", p.sum, most)
	}
}

// Whatever is promised and then sent, longer or shorter or not at all, with replies between as far as there is room:
// no second holds more than the rate and a burst.
func TestUpLimitHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := float64(rapid.IntRange(2_000, 2_000_000).Draw(t, "rate"))
		l, a := NewUpLimit(int64(rate), 0), peerAddr(1)
		now, p := time.Unix(1000, 0), passing{}
		for range 300 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(40*time.Millisecond)).Draw(t, "pause")))
			if rapid.Bool().Draw(t, "reply") {
				if n := rapid.IntRange(50, 5916).Draw(t, "bytes"); l.Spare(now) {
					l.Charge(now, a, n)
					p.add(t, now, n, rate)
				}
				continue
			}
			n := rapid.IntRange(100, 54_869).Draw(t, "bytes")
			for wait := l.WaitAll(now, n); wait > 0; wait = l.WaitAll(now, n) {
				now = now.Add(wait)
			}
			l.TakeAll(now, n)
			if rapid.IntRange(0, 9).Draw(t, "fate") > 0 {
				n = min(n, rapid.IntRange(n/2, n).Draw(t, "true length"))
				l.Charge(now, a, n)
				p.add(t, now, n, rate)
			}
		}
	})
}

// What was promised when the bucket was full, and is taken back when it has filled again and was used, adds nothing
// to what a full bucket lets through.
func TestDownLimitAfterSilence(t *testing.T) {
	l, a, now := NewDownLimit(100_000, 0), peerAddr(1), time.Unix(1000, 0)
	l.TakeAll(now, 50_000)
	now = now.Add(time.Second) // it is full again
	p := passing{}
	for end := now.Add(time.Second); now.Before(end); now = now.Add(time.Millisecond) {
		if end.Sub(now) == 500*time.Millisecond {
			l.Return(now, a, 50_000)
		}
		for l.WaitAll(now, 1000) == 0 {
			l.TakeAll(now, 1000)
			l.Charge(now, a, 1000)
			p.add(t, now, 1000, 100_000)
		}
	}
	if p.sum < 100_000+limitCap-2000 {
		t.Errorf("%d bytes in a second, which is less than what may pass", p.sum)
	}
}

// pump asks for answers of n bytes for ten seconds, of which some are lost and each takes real bytes and arrives a
// round trip later; it returns bytes a second that came.
func pump(l *Limit, n, real, lostOf int, trip time.Duration, strays int) (rate float64) {
	type coming struct {
		at   time.Time
		lost bool
	}
	a, start := peerAddr(1), time.Unix(1000, 0)
	var out []coming
	total, asked := 0, 0
	for now := start; now.Sub(start) < 13*time.Second; now = now.Add(time.Millisecond) {
		for len(out) > 0 && !out[0].at.After(now) {
			if out[0].lost {
				l.Return(now, a, n)
			} else {
				l.Charge(now, a, real)
				l.Return(now, a, n-real)
				if now.Sub(start) >= 3*time.Second {
					total += real
				}
			}
			out = out[1:]
		}
		if strays > 0 {
			l.Charge(now, peerAddr(2), strays)
		}
		for max(l.WaitAll(now, n), l.WaitPeer(now, a, n)) == 0 {
			l.TakeAll(now, n)
			l.TakePeer(now, a, n)
			asked++
			out = append(out, coming{now.Add(trip), lostOf > 0 && asked%lostOf == 0})
		}
	}
	return float64(total) / 10
}

// What arrives is what the limit says: estimates that are wrong and answers that are lost are made good, and what
// nobody asked for takes half of it at most.
func TestDownLimitIsExact(t *testing.T) {
	const rate = 1_000_000
	for name, c := range map[string]struct {
		n, real, lostOf, strays int
		trip                    time.Duration
		want                    float64
	}{
		"as estimated":  {n: 5700, real: 5700, trip: 20 * time.Millisecond, want: rate},
		"shorter":       {n: 5700, real: 4000, trip: 20 * time.Millisecond, want: rate},
		"longer":        {n: 1000, real: 1400, trip: 20 * time.Millisecond, want: rate},
		"a third lost":  {n: 5700, real: 5700, lostOf: 3, trip: 300 * time.Millisecond, want: rate},
		"long way":      {n: 5700, real: 5500, trip: 1500 * time.Millisecond, want: rate},
		"some strays":   {n: 5700, real: 5700, strays: 200, trip: 20 * time.Millisecond, want: 0.8 * rate},
		"many strays":   {n: 5700, real: 5700, strays: 10_000, trip: 20 * time.Millisecond, want: 0.5 * rate},
		"longer, twice": {n: 1000, real: 2000, trip: 20 * time.Millisecond, want: rate},
	} {
		for limit, l := range map[string]*Limit{"all": NewDownLimit(rate, 0), "each": NewDownLimit(0, rate)} {
			want := c.want
			if limit == "each" {
				want = rate // of strangers, the peer's own limit knows nothing
			}
			if got := pump(l, c.n, c.real, c.lostOf, c.trip, c.strays); got < want-0.03*rate || got > want+0.03*rate {
				t.Errorf("%s, %s: %.0f bytes a second, want %.0f", name, limit, got, want)
			}
		}
	}
}

// The limit of each leaves the others alone, its memory is bounded, and who was forgotten has no more than others.
func TestLimitOfEach(t *testing.T) {
	l, now := NewUpLimit(0, 1000), time.Unix(1000, 0)
	spend := func(a netip.AddrPort) {
		l.TakePeer(now, a, limitCap)
		l.Charge(now, a, limitCap)
	}
	a, b := peerAddr(0), peerAddr(1)
	spend(a)
	if l.WaitPeer(now, a, 1000) == 0 || l.WaitPeer(now, b, 1000) != 0 || l.WaitAll(now, 1<<20) != 0 || !l.Spare(now) {
		t.Error("the wrong one waits")
	}
	l.Charge(now, peerAddr(2), 100)
	if len(l.peers) != 1 {
		t.Error("strangers take memory")
	}
	for i := range maxUpPeers + 100 {
		spend(peerAddr(i))
	}
	if len(l.peers) != maxUpPeers {
		t.Errorf("%d peers are kept", len(l.peers))
	}
	now = now.Add(time.Hour)
	spend(peerAddr(maxUpPeers + 200))
	if len(l.peers) != 1 {
		t.Errorf("%d peers are kept of whom nothing is to be known", len(l.peers))
	}
}

// No limit is none, and allocates nothing.
func TestNoLimit(t *testing.T) {
	now, a := time.Unix(1000, 0), peerAddr(1)
	for _, l := range []*Limit{NewUpLimit(0, 0), NewDownLimit(0, 0)} {
		if l != nil {
			t.Fatal("a limit of nothing")
		}
		l.TakeAll(now, 1)
		l.TakePeer(now, a, 1)
		l.Return(now, a, 1)
		if l.WaitAll(now, 1<<30) != 0 || l.WaitPeer(now, a, 1<<30) != 0 {
			t.Error("it waits")
		}
	}
	l := NewDownLimit(1000, 1000)
	l.TakePeer(now, a, 1)
	if n := testing.AllocsPerRun(100, func() {
		l.TakeAll(now, 1)
		l.TakePeer(now, a, 1)
		l.Charge(now, a, 1)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A debt that does not end leaves something: after a flood of replies the limit is good again within seconds.
func TestLimitForgetsDebt(t *testing.T) {
	l, now := NewUpLimit(10_000, 0), time.Unix(1000, 0)
	for range 1000 {
		l.Charge(now, peerAddr(1), 1500)
	}
	if wait := l.all.wait(now, 1000); wait < 5*time.Second || wait > 8*time.Second {
		t.Errorf("waits %v", wait)
	}
}

// TestLimitChanges: a rate holds from the moment that it is set, also none, and one that lets nothing pass.
func TestLimitChanges(t *testing.T) {
	l, a, now := NewLimit(false), peerAddr(1), time.Unix(1000, 0)
	passes := func(seconds int) (bytes int) {
		for end := now.Add(time.Duration(seconds) * time.Second); now.Before(end); now = now.Add(time.Millisecond) {
			for i := 0; i < 10 && l.WaitAll(now, 1000) == 0 && l.WaitPeer(now, a, 1000) == 0; i++ {
				l.TakeAll(now, 1000)
				l.TakePeer(now, a, 1000)
				l.Charge(now, a, 1000)
				bytes += 1000
			}
		}
		return bytes
	}
	for _, step := range []struct {
		all, each int64
		least     int
		most      int
	}{
		{0, 0, 20_000_000, 20_000_000},
		{100_000, 0, 200_000, 200_000 + LimitBurst},
		{1_000_000, 50_000, 100_000, 100_000 + LimitBurst},
		{-1, 0, 0, 0},
		{100_000, 0, 190_000, 200_000 + LimitBurst},
		{0, -1, 0, 0},
		{0, 0, 20_000_000, 20_000_000},
	} {
		l.Set(now, step.all, step.each)
		l.TakePeer(now, a, 0) // the peer has a bucket from now on
		if got := passes(2); got < step.least || got > step.most {
			t.Errorf("all %d, each %d: %d bytes pass in two seconds, want %d to %d", step.all, step.each, got, step.least, step.most)
		}
	}
	l.Set(now, -1, 0)
	if wait := l.WaitAll(now, 1000); wait <= 0 || wait > time.Second {
		t.Errorf("asks again after %v", wait)
	}
}
