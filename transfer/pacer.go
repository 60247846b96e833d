package transfer

import "time"

// pacer spreads requests in time. Credit grows with the pace and is spent by
// requests. They go out in lumps, since a timer wakes up late and each lump costs a
// wake-up: a lump is an answer or a millisecond's worth, whichever is more. Pure; the
// zero value has a lump to spend.
type pacer struct {
	at     time.Time
	credit float64 // bytes
	saving bool    // the last lump is spent, the next one is not there yet
}

const (
	paceLump = time.Millisecond     // worth of a lump
	paceLate = 4 * time.Millisecond // worth that piles up at most while the loop is late
	paceWait = time.Second          // the pace may have changed after that
)

// allows says whether a request whose answer takes n bytes may go out at a pace in
// bytes a second, or how long until then. A pace of 0 does not bind.
func (p *pacer) allows(now time.Time, pace float64, n int) (ok bool, wait time.Duration) {
	if !(pace > 0) {
		*p = pacer{}
		return true, 0
	}
	lump := max(float64(n), pace*paceLump.Seconds())
	if p.at.IsZero() {
		p.at, p.credit = now, lump
	}
	if d := now.Sub(p.at); d > 0 {
		p.credit = min(p.credit+d.Seconds()*pace, max(2*float64(n), pace*paceLate.Seconds()))
		p.at = now
	}
	// A millionth of a lump, as times are rounded.
	p.saving = p.credit < float64(n)*(1-1e-6) || p.saving && p.credit < lump*(1-1e-6)
	if !p.saving {
		return true, 0
	}
	return false, time.Duration(min((lump-p.credit)/pace*float64(time.Second), float64(paceWait))) + 1
}

// spend is told of a request that went out.
func (p *pacer) spend(n int) { p.credit -= float64(n) }
