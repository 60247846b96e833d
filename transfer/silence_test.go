package transfer

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"sharer/chunk"
)

// asker asks for one block after the other, and is answered.
func ask(q *turns, addr netip.AddrPort, times int, gap time.Duration, now time.Time) time.Time {
	for range times {
		now = now.Add(gap)
		q.push(addr, want{offset: now.UnixNano(), length: chunk.BlockSize}, now)
		q.next(nil, now)
	}
	return now
}

// asked runs the clock for a while, as Run does, and notes when who was asked whether he is there.
func asked(t *testing.T, q *turns, now time.Time, span time.Duration) (who []netip.AddrPort, when []time.Duration) {
	t.Helper()
	start := now
	for looks := 0; ; looks++ {
		silent, next := q.silent(nil, now)
		for _, a := range silent {
			who, when = append(who, a), append(when, now.Sub(start))
		}
		if next.IsZero() || next.Sub(start) > span {
			return who, when
		}
		if !next.After(now) || looks > 100*len(q.peers)+int(span/silenceLook) {
			t.Fatalf("looks again and again: next in %v", next.Sub(now))
		}
		now = next
	}
}

// Who asked steadily and falls silent is asked three times, and never again until he has asked steadily again.
func TestSilentAskers(t *testing.T) {
	seconds := func(s ...int) (d []time.Duration) {
		for _, n := range s {
			d = append(d, time.Duration(n)*time.Second)
		}
		return d
	}
	a, start := peerAddr(1), time.Unix(1000, 0)
	for name, c := range map[string]struct {
		before func(q *turns) time.Time
		want   []time.Duration
	}{
		"steady":     {func(q *turns) time.Time { return ask(q, a, 20, 50*time.Millisecond, start) }, seconds(1, 3, 7)},
		"barely":     {func(q *turns) time.Time { return ask(q, a, steadyAsks, time.Second, start) }, seconds(1, 3, 7)},
		"too few":    {func(q *turns) time.Time { return ask(q, a, steadyAsks-1, 50*time.Millisecond, start) }, nil},
		"too seldom": {func(q *turns) time.Time { return ask(q, a, 50, 1001*time.Millisecond, start) }, nil},
		"nobody":     {func(*turns) time.Time { return start }, nil},
		"after a silence": {func(q *turns) time.Time {
			return ask(q, a, 20, 50*time.Millisecond, ask(q, a, 20, 50*time.Millisecond, start).Add(time.Minute))
		}, seconds(1, 3, 7)},
		"one after a silence": {func(q *turns) time.Time {
			now := ask(q, a, 20, 50*time.Millisecond, start)
			asked(t, q, now, 2*time.Second)
			return ask(q, a, 1, 2*time.Second, now)
		}, nil},
		"waits for us": {func(q *turns) time.Time {
			now := ask(q, a, 20, 50*time.Millisecond, start)
			q.push(a, want{offset: 1, length: chunk.BlockSize}, now)
			return now
		}, nil},
		"answered late": {func(q *turns) time.Time {
			now := ask(q, a, 20, 50*time.Millisecond, start)
			q.push(a, want{offset: 1, length: chunk.BlockSize}, now)
			now = now.Add(30 * time.Second)
			q.silent(nil, now)
			q.next(nil, now)
			return now
		}, seconds(1, 3, 7)},
		"forgotten": {func(q *turns) time.Time {
			now := ask(q, a, 20, 50*time.Millisecond, start)
			q.forget()
			return now
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			q := newTurns(nil)
			now := c.before(q)
			who, when := asked(t, q, now, time.Minute)
			if !slices.Equal(when, c.want) {
				t.Errorf("asked after %v, want %v", when, c.want)
			}
			for _, w := range who {
				if w != a {
					t.Errorf("asked %s", w)
				}
			}
			if c.want != nil && len(q.steady) > 0 {
				t.Error("it is still watched")
			}
		})
	}
}

// One that joins is asked in time, although another is not due for long.
func TestSilentAskersTogether(t *testing.T) {
	q, old, young := newTurns(nil), peerAddr(1), peerAddr(2)
	now := ask(q, old, 20, 50*time.Millisecond, time.Unix(1000, 0))
	asked(t, q, now, 3500*time.Millisecond) // the third time is 7 s after
	now = ask(q, young, 20, 10*time.Millisecond, now.Add(3500*time.Millisecond))
	who, when := asked(t, q, now, time.Minute)
	if !slices.Equal(who, []netip.AddrPort{young, young, old, young}) {
		t.Errorf("asked %v after %v", who, when)
	}
}

// Many that ask at every moment cost few looks.
func TestSilentAskersCost(t *testing.T) {
	q, now := newTurns(nil), time.Unix(1000, 0)
	for i := range 500 {
		ask(q, peerAddr(i), steadyAsks, time.Millisecond, now)
	}
	looks := 0
	for range 10_000 { // 10 s
		now = now.Add(time.Millisecond)
		before := q.look
		ask(q, peerAddr(int(now.UnixMilli())%500), 1, 0, now)
		if q.silent(nil, now); !q.look.Equal(before) {
			looks++
		}
	}
	if most := int(10*time.Second/silenceLook) + 1; looks == 0 || looks > most {
		t.Errorf("%d looks at all, %d at most", looks, most)
	}
}
