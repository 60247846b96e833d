package transfer

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// way is a path that bears datagrams of so many bytes, and what is sent there by a fit: answers of n bytes with cookies
// of so many in a batch at a time.
type way struct {
	bears, cookies int
	refused        int
}

func (w *way) batch(f *fit, n int64, times int, now time.Time) (longest int) {
	var sizes []int
	for range times {
		size := int(n)*4/3 + 180
		if room := f.room(n, now); room > 0 {
			size = min(size, room)
		}
		sizes = append(sizes, size+w.cookies)
	}
	for _, size := range sizes {
		if size > w.bears {
			w.refused++
			f.refused(size, now)
		} else {
			longest = max(longest, size)
		}
	}
	f.flushed(now)
	return longest
}

// Whatever a way bears, answers soon fit it, few are refused from then on, and when it bears more they are long again.
func TestFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := way{bears: rapid.IntRange(800, 60_000).Draw(t, "bears"), cookies: rapid.IntRange(0, 300).Draw(t, "cookies")}
		n := rapid.SampledFrom([]int64{832, 4096, 40960}).Draw(t, "content")
		batch := rapid.IntRange(1, 32).Draw(t, "batch")
		var f fit
		now := time.Unix(1000, 0)
		for range 30 {
			w.batch(&f, n, batch, now)
			now = now.Add(100 * time.Millisecond)
		}
		w.refused = 0
		for range 100 { // 10 s
			if w.batch(&f, n, batch, now) == 0 {
				t.Fatal("nothing gets through")
			}
			now = now.Add(100 * time.Millisecond)
		}
		if w.refused > 0 {
			t.Fatalf("%d refused when it should know: %+v", w.refused, f)
		}
		for end := now.Add(time.Hour); now.Before(end); now = now.Add(time.Second) {
			w.batch(&f, n, batch, now)
		}
		if most := 60/15 + 4; w.refused > most {
			t.Fatalf("%d refused in an hour, %d at most", w.refused, most)
		}
		w.bears = 65_507
		for range 17 * 60 {
			w.batch(&f, n, batch, now)
			now = now.Add(time.Second)
		}
		if longest := w.batch(&f, n, batch, now); longest < int(n)*4/3 {
			t.Fatalf("%d bytes at most for content of %d, long after the way bears all: %+v", longest, n, f)
		}
	})
}

// A poll of a few bytes says nothing of long datagrams.
func TestFitTriesWithLongOnes(t *testing.T) {
	f, now := fit{}, time.Unix(1000, 0)
	f.refused(5700, now)
	f.flushed(now)
	if f.most != 1452 {
		t.Fatalf("%d bytes at most", f.most)
	}
	now = now.Add(time.Hour)
	if f.room(pollBytes, now); f.trying {
		t.Error("tries with a short answer")
	}
	if room := f.room(4096, now); room != 5888-fitCookies || !f.trying {
		t.Errorf("room for %d bytes", room)
	}
	if room := f.room(4096, now); room != 1452-fitCookies {
		t.Errorf("two at a time, of %d bytes", room)
	}
}
