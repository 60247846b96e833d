package node

import (
	"time"

	"sharer/transfer"
)

const (
	rateSpan  = 10 * time.Second // a rate is the average of so much
	rateAfter = 3 * time.Second  // and is not shown before
	silence   = 3 * time.Second  // after which a download waits: what it had before says nothing of when it will end
)

// rateMeter averages the rate of one download. Pure: it is told the time.
type rateMeter struct {
	marks []mark // one a second at most, oldest first, none older than rateSpan but the first
}

type mark struct {
	at   time.Time
	done int64
}

// progress turns a look at a transfer into what is shown.
func (r *rateMeter) progress(t transfer.Progress, now time.Time) Progress {
	p := Progress{Done: t.Done, Total: t.Total, Peers: t.Asked, Sources: t.Sources, Rate: r.rate(t.Done, now)}
	switch {
	case t.Total >= 0 && t.Done == t.Total && !t.Verifying:
		p.State = Done
	case t.Verifying:
		p.State = Verifying
	case t.Silent >= silence && t.Found:
		p.State, p.Rate = Waiting, 0
	case t.Sources > 0:
		p.State = Downloading
	case t.Found || t.Asked > 0:
		p.State = Waiting
	default:
		p.State = LookingForPeers
	}
	return p
}

// rate notes what is done and returns bytes a second.
func (r *rateMeter) rate(done int64, now time.Time) float64 {
	if n := len(r.marks); n == 0 || now.Sub(r.marks[n-1].at) >= time.Second {
		r.marks = append(r.marks, mark{now, done})
	}
	for len(r.marks) > 2 && now.Sub(r.marks[1].at) >= rateSpan {
		r.marks = append(r.marks[:0], r.marks[1:]...)
	}
	first := r.marks[0]
	if now.Sub(first.at) < rateAfter {
		return 0
	}
	return max(0, float64(done-first.done)/now.Sub(first.at).Seconds())
}
