package transfer

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"sharer/wire"
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

// firstOnly is a peer that gives the first block of a file, and nothing behind it.
type firstOnly struct {
	questions
	ds *Downloads
	at netip.AddrPort
}

func (f *firstOnly) Close(buf []byte, padTo int) int {
	for _, m := range questionsIn(buf) {
		if m.Offset == 0 {
			f.ds.namedContent(wire.Sender{Addr: f.at}, wire.Content{ID: m.ID, Base64: []byte("AAAA"), EOF: 3 * namedBlock})
		}
	}
	return len(buf)
}

// Who says again and again that it has a file, and never gives it, is tried a few times.
func TestNamedIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ds, at := NewDownloads(1<<20), netip.MustParseAddrPort("192.0.2.1:5")
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		_, err := ds.RunNamed(ctx, NamedConfig{
			Name: "x", File: &memoryFile{}, Batch: &firstOnly{ds: ds, at: at}, Peers: nobody{}, FindTimeout: time.Minute,
			Find: func(int) []netip.AddrPort { return []netip.AddrPort{at} },
		})
		if !errors.Is(err, ErrStalled) {
			t.Errorf("%v", err)
		}
	})
}
