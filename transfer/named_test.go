package transfer

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNamedFetch: whatever is lost, comes late, twice or short, everything comes in the end, each byte is used once, and never
// is more in flight than the window.
func TestNamedFetch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		size := rapid.Int64Range(0, 40*namedBlock).Draw(t, "size")
		f := newNamedFetch(size, now)
		seen := make([]int, size)
		var ask []piece
		for step := 0; !f.done(); step++ {
			if step > 20_000 {
				t.Fatalf("%d bytes are left of %d", f.left, size)
			}
			next := now
			ask, next = f.due(now, ask[:0])
			if len(f.flying) > namedWindow {
				t.Fatalf("%d in flight", len(f.flying))
			}
			if !next.After(now) {
				t.Fatalf("it wants to look again at once")
			}
			for _, p := range ask {
				if p.n <= 0 || p.n > namedBlock || p.off < 0 || p.off+int64(p.n) > size {
					t.Fatalf("asks for %+v of %d", p, size)
				}
				fate := rapid.IntRange(0, 3).Draw(t, "fate")
				if step > 200 {
					fate = 1
				}
				for range []int{0, 1, 2, 1}[fate] {
					n := p.n
					if fate == 3 {
						n = min(n, 32)
					}
					for i := range f.answer(now.Add(10*time.Millisecond), p.off, n) {
						seen[p.off+int64(i)]++
					}
				}
			}
			now = next
		}
		for i, n := range seen {
			if n != 1 {
				t.Fatalf("byte %d came %d times", i, n)
			}
		}
	})
}

// Losses halve the window and double the patience, once for all of one round trip.
func TestNamedFetchGivesWay(t *testing.T) {
	now := time.Unix(0, 0)
	f := newNamedFetch(1<<22, now)
	for range 20 {
		ask, _ := f.due(now, nil)
		now = now.Add(20 * time.Millisecond)
		for _, p := range ask {
			f.answer(now, p.off, p.n)
		}
	}
	if f.window != namedWindow || f.rto != namedRTO {
		t.Fatalf("window %v, rto %v", f.window, f.rto)
	}
	f.due(now, nil)
	now = now.Add(2 * time.Second)
	ask, _ := f.due(now, nil)
	if f.window != namedWindow/2 || f.rto != 2*time.Second || len(ask) != namedWindow/2 {
		t.Errorf("window %v, rto %v, %d asked again", f.window, f.rto, len(ask))
	}
}
