package transfer

import "time"

// request names what was asked: a block of the content by its offset, or a
// piece of its tree by its number.
type request struct {
	tree bool
	at   int64
}

// flight is a request that is out, or was given up not long ago.
type flight struct {
	sent time.Time
	seq  uint64
	lost bool // given up; a late answer still counts
}

// flights is the table of what one peer was asked. An answer that is not in it
// was not asked for. Pure: it is told the time.
type flights struct {
	out    map[request]flight
	order  fifo // live ones by time of sending, with stale entries among them
	given  fifo // given up, remembered for late answers
	seq    uint64
	live   int       // out and not given up
	newest time.Time // the latest time of sending among answered requests
}

type sentRequest struct {
	request
	seq uint64
}

// fifo is a queue that reuses its array.
type fifo struct {
	items []sentRequest
	head  int
}

func (q *fifo) push(s sentRequest) { q.items = append(q.items, s) }
func (q *fifo) empty() bool        { return q.head == len(q.items) }
func (q *fifo) first() sentRequest { return q.items[q.head] }

func (q *fifo) pop() {
	q.head++
	switch {
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head > 1024 && q.head*2 > len(q.items):
		q.items = append(q.items[:0], q.items[q.head:]...)
		q.head = 0
	}
}

func newFlights() flights { return flights{out: make(map[request]flight)} }

// add notes that r goes out now. Asking again forgets the earlier flight.
func (f *flights) add(r request, now time.Time) {
	if old, ok := f.out[r]; ok && !old.lost {
		f.live--
	}
	f.seq++
	f.live++
	f.out[r] = flight{sent: now, seq: f.seq}
	f.order.push(sentRequest{r, f.seq})
}

// answer takes r out of the table. late says that it had been given up.
func (f *flights) answer(r request) (sent time.Time, late, ok bool) {
	fl, ok := f.out[r]
	if !ok {
		return time.Time{}, false, false
	}
	delete(f.out, r)
	if !fl.lost {
		f.live--
	}
	if fl.sent.After(f.newest) {
		f.newest = fl.sent
	}
	return fl.sent, fl.lost, true
}

// expire calls lost for every request that must be given up: one sent more than
// reorder before another that was answered (loss by order of sending, RFC 8985),
// or one older than rto. It returns whether any went by rto alone. What was
// given up is forgotten memory after it was sent.
func (f *flights) expire(now time.Time, reorder, rto, memory time.Duration, lost func(request)) (timedOut bool) {
	for !f.given.empty() {
		s := f.given.first()
		if fl, ok := f.out[s.request]; ok && fl.seq == s.seq {
			if now.Sub(fl.sent) <= memory {
				break
			}
			delete(f.out, s.request)
		}
		f.given.pop()
	}
	for !f.order.empty() {
		s := f.order.first()
		fl, ok := f.out[s.request]
		if ok && fl.seq == s.seq {
			byOrder := f.newest.Sub(fl.sent) > reorder
			if !byOrder && now.Sub(fl.sent) <= rto {
				break // younger ones follow
			}
			timedOut = timedOut || !byOrder
			fl.lost = true
			f.out[s.request] = fl
			f.live--
			f.given.push(s)
			lost(s.request)
		}
		f.order.pop()
	}
	return timedOut
}

// oldest returns when the oldest live request was sent.
func (f *flights) oldest() (time.Time, bool) {
	for i := f.order.head; i < len(f.order.items); i++ {
		s := f.order.items[i]
		if fl, ok := f.out[s.request]; ok && fl.seq == s.seq && !fl.lost {
			return fl.sent, true
		}
	}
	return time.Time{}, false
}

// has says whether r is out and not given up.
func (f *flights) has(r request) bool {
	fl, ok := f.out[r]
	return ok && !fl.lost
}

// clear forgets everything and returns what was live, by time of sending.
func (f *flights) clear() (live []request) {
	for ; !f.order.empty(); f.order.pop() {
		s := f.order.first()
		if fl, ok := f.out[s.request]; ok && fl.seq == s.seq && !fl.lost {
			live = append(live, s.request)
		}
	}
	*f = flights{out: make(map[request]flight), seq: f.seq}
	return live
}
