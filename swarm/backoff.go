package swarm

import "time"

// Backoff spaces what is sent to someone who does not answer: first, twice that, … most.
// The zero value allows the first datagram at once. It takes now and holds no clock.
type Backoff struct {
	next time.Time
	wait time.Duration
	sent int // since the last answer
}

// Next is when one more may be sent; the zero time if nothing was.
func (b *Backoff) Next() time.Time { return b.next }

// Ready reports whether one more may be sent.
func (b *Backoff) Ready(now time.Time) bool { return !now.Before(b.next) }

// Sent notes that one was sent.
func (b *Backoff) Sent(now time.Time, first, most time.Duration) {
	if b.wait == 0 {
		b.wait = first
	}
	b.next = now.Add(b.wait)
	b.wait = min(2*b.wait, most)
}

// SentEven is Sent, but that the doubling begins after so many.
func (b *Backoff) SentEven(now time.Time, first, most time.Duration, even int) {
	b.Sent(now, first, most)
	if b.sent++; b.sent < even {
		b.wait = first
	}
}

// Answered starts over at first; the time until which the last one holds stays.
func (b *Backoff) Answered() { b.wait, b.sent = 0, 0 }

// Timeouts of questions (RFC 6298, RFC 8085 section 3.1.1).
const (
	RTOUnknown = 3 * time.Second        // nothing is known of the peer
	RTODefault = time.Second            // the peer is proven, but its round trip was not measured
	RTOFloor   = 200 * time.Millisecond // clocks and schedulers are not finer than their jitter
	RTOCeiling = 60 * time.Second
)

// RTT smooths round trips as RFC 6298 section 2 says. The zero value has no sample.
type RTT struct {
	Floor  time.Duration // 0: RTOFloor
	srtt   time.Duration
	rttvar time.Duration
	shift  uint8 // doublings since the last sample
}

// Sample takes in one measured round trip (not of something sent twice: Karn).
func (r *RTT) Sample(d time.Duration) {
	if d <= 0 {
		d = time.Nanosecond // zero means no sample
	}
	d = min(d, RTOCeiling)
	if r.srtt == 0 {
		r.srtt, r.rttvar = d, d/2
	} else {
		r.rttvar += ((r.srtt - d).Abs() - r.rttvar) / 4
		r.srtt = max(r.srtt+(d-r.srtt)/8, 1)
	}
	r.shift = 0
}

// Smoothed is the smoothed round trip, 0 without a sample.
func (r *RTT) Smoothed() time.Duration { return r.srtt }

// Var is the smoothed deviation.
func (r *RTT) Var() time.Duration { return r.rttvar }

// TimedOut doubles the timeout until the next sample.
func (r *RTT) TimedOut() {
	if r.shift < 16 {
		r.shift++
	}
}

// RTO is how long to wait for an answer: RTOUnknown without a sample, never beyond RTOCeiling.
func (r *RTT) RTO() time.Duration {
	floor := r.Floor
	if floor == 0 {
		floor = RTOFloor
	}
	d := RTOUnknown
	if r.srtt > 0 {
		d = max(r.srtt+max(4*r.rttvar, time.Millisecond), floor)
	}
	return min(d<<r.shift, RTOCeiling)
}
