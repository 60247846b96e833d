package transfer

import "time"

// Losses come in runs of packets. Where much is under way the next packet ends a run that has taken one, but at the end of a download
// the next one is the repeated request itself, and then its answer: they are lost as often as not, each for a timeout, and two timeouts
// are silence. So when there is nothing else to ask, and the path is nearly empty, what is asked for again is asked for in copies, a
// quarter of a round trip apart. They tell the congestion control nothing, and no more than copiesMost times a quarter of what fits the
// path is asked for so.
const (
	copiesMost = 3
	copiesPart = 4 // of what fits the path: more under way needs no copies
)

// copyLast asks once more for what is asked of s again and has not come, and has the loop come back when that is due.
func (d *Download) copyLast(s *source, now time.Time) {
	rtt := s.rtt.Smoothed()
	if rtt == 0 || s.quiet() || !s.proven || copiesPart*s.flights.bytes > s.control.fits() {
		return
	}
	every := max(rtt/4, tailFloor)
	for r, fl := range s.flights.repeated {
		due := fl.sent.Add(time.Duration(fl.copies+1) * every)
		if due.After(now) {
			d.wakeAt(due)
			continue
		}
		if !d.copyOf(s, r, now) {
			return
		}
	}
}

// copyOf asks for one of them.
func (d *Download) copyOf(s *source, r request, now time.Time) bool {
	fl := s.flights.copied(r)
	if !d.withinLimit(int(fl.cost), now) || !d.openAsk(s, r, &fl, 0, now) {
		return false
	}
	d.stats.Requests++
	return true
}

// repeated are the requests that are out, were asked before, and may be asked in copies.
func (f *flights) repeated(yield func(r request, fl flight) bool) {
	for i := f.order.head; i < len(f.order.items); i++ {
		s := f.order.items[i]
		fl, ok := f.out[s.key()]
		if !ok || fl.seq != s.seq || fl.lost || fl.unit || !fl.stamp.again || fl.copies >= copiesMost {
			continue
		}
		if !yield(s.request, fl) {
			return
		}
	}
}

// copied counts a copy of a request that is out.
func (f *flights) copied(r request) flight {
	fl := f.out[r.key()]
	fl.copies++
	f.out[r.key()] = fl
	return fl
}
