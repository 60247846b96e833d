package transfer

import "time"

// Where the way to a peer refuses what is too long (EMSGSIZE: a system that sets DF on every datagram or takes 9 KiB at
// most, a tunnel), an answer that is cut short is worth more than none: who asked learns from it how much to ask for.
const (
	fitAgain   = time.Minute      // until the next longer rung is tried, once; twice as long after each time in vain
	fitStep    = time.Second      // until the one after it, if that was not in vain: the way has changed
	fitMost    = 16 * time.Minute // the same at most
	fitCookies = 60               // bytes of the other's cookie behind an answer, as ours is; more is learned
)

// fitRungs are payloads of a datagram in bytes that ways are known to bear: 16 KiB, what BSD systems send at most, the customary size,
// Ethernet with IPv6, the same in a tunnel, the least of IPv6, the least of IPv4.
var fitRungs = [...]int{16_384, 9_216, 5_888, 1_452, 1_340, 1_232, 548}

// fit is the longest datagram that gets through to one peer. Pure; the zero value knows no bound.
type fit struct {
	most   int // bytes of payload, 0: any
	extra  int // beyond fitCookies
	again  time.Time
	wait   time.Duration
	trying bool // something longer than most was let through
	cut    bool // since the last flush it was changed: what was queued before may be longer
}

// room is how long the next datagram may be, cookies apart, for an answer of n bytes of content; 0: any length.
func (f *fit) room(n int64, now time.Time) int {
	most := f.most
	if most > 0 && !f.trying && !now.Before(f.again) && n*4/3 > int64(most) {
		f.trying = true
		most = rungAbove(most)
	}
	if most == 0 {
		return 0
	}
	return max(most-fitCookies-f.extra, 1)
}

// refused is told of a datagram of so many bytes that was too long.
func (f *fit) refused(size int, now time.Time) {
	switch {
	case f.most == 0 || size <= f.most:
		f.most, f.wait, f.cut = rungBelow(size), fitAgain, true
	case f.trying:
		f.wait = min(2*f.wait, fitMost)
	case !f.cut: // it was meant to fit: their cookie is longer than that
		f.extra = min(f.extra+size-f.most, 512)
		f.most, f.cut = rungBelow(f.most), true
	}
	f.trying = false
	f.again = now.Add(f.wait)
}

// flushed is told that what was let through has left, or was refused.
func (f *fit) flushed(now time.Time) {
	if f.cut = false; f.trying {
		f.trying = false
		f.most, f.wait = rungAbove(f.most), fitAgain
		f.again = now.Add(fitStep)
	}
}

// rungBelow is the longest rung that is shorter than what was refused.
func rungBelow(size int) int {
	for _, r := range fitRungs {
		if r < size {
			return r
		}
	}
	return fitRungs[len(fitRungs)-1]
}

// rungAbove is the next longer one, 0: any length.
func rungAbove(most int) (above int) {
	for _, r := range fitRungs {
		if r <= most {
			break
		}
		above = r
	}
	return above
}
