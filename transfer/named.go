package transfer

import (
	"slices"
	"time"
)

// Some small nodes share files by bare name (wire.md section 5). Nothing of such a content can be
// verified, so it never meets what is: it has a download of its own, takes everything from one
// peer, is not offered to others, and is small.

const (
	// MaxNamed is the longest content that is fetched by name, in bytes.
	MaxNamed = 1 << 30

	namedBlock  = 4096
	namedWindow = 16 // blocks in flight at most: such peers are small
	namedStart  = 2
	namedRTO    = time.Second // RFC 8085 section 3.1.1, without a measured round trip
	namedMost   = 16 * time.Second
)

// namedFetch is the pure part: what to ask of the one peer, and when. It takes now.
type namedFetch struct {
	size   int64
	next   int64            // offset from which nothing was asked yet
	again  []piece          // to be asked again
	flying map[int64]flying // by offset
	left   int64            // bytes that have not come

	window float64 // blocks
	slow   float64 // blocks from which the window grows by one a round trip
	rto    time.Duration
	cut    time.Time // losses of what was sent before are the same loss
	got    time.Time // when something came last
}

type piece struct {
	off int64
	n   int
}

type flying struct {
	n     int
	at    time.Time
	again bool
}

func newNamedFetch(size int64, now time.Time) *namedFetch {
	return &namedFetch{size: size, left: size, flying: map[int64]flying{}, window: namedStart, slow: namedWindow, rto: namedRTO, got: now}
}

// due appends what is to be asked now, and says when to look again.
func (f *namedFetch) due(now time.Time, ask []piece) (_ []piece, next time.Time) {
	next = now.Add(f.rto)
	lost := false
	for off, x := range f.flying {
		if at := x.at.Add(f.rto); now.Before(at) {
			next = earliest(next, at)
			continue
		}
		delete(f.flying, off)
		f.again = append(f.again, piece{off, x.n})
		lost = lost || !x.at.Before(f.cut)
	}
	if lost {
		f.slow = max(f.window/2, 1)
		f.window = f.slow
		f.rto = min(2*f.rto, namedMost)
		f.cut = now
		slices.SortFunc(f.again, func(a, b piece) int { return int(a.off - b.off) })
	}
	for len(f.flying) < int(f.window) {
		p, again := piece{f.next, namedBlock}, false
		if len(f.again) > 0 {
			p, f.again, again = f.again[0], f.again[1:], true
		} else if f.next >= f.size {
			break
		} else {
			p.n = int(min(namedBlock, f.size-f.next))
			f.next += int64(p.n)
		}
		f.flying[p.off] = flying{p.n, now, again}
		ask = append(ask, p)
	}
	return ask, next
}

// answer takes n bytes for off, and says how many of them are new.
func (f *namedFetch) answer(now time.Time, off int64, n int) (use int) {
	x, ok := f.flying[off]
	if !ok || n == 0 {
		return 0
	}
	delete(f.flying, off)
	if n < x.n { // it gives less at a time: the rest is asked for by itself
		f.again = append(f.again, piece{off + int64(n), x.n - n})
	}
	use = min(n, x.n)
	f.left -= int64(use)
	f.got = now
	if !x.again {
		f.rto = min(max(2*now.Sub(x.at), namedRTO), namedMost)
	}
	if f.window < f.slow {
		f.window++
	} else {
		f.window += 1 / f.window
	}
	f.window = min(f.window, namedWindow)
	return use
}

func (f *namedFetch) done() bool { return f.left == 0 }

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
