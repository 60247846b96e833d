package transfer

import (
	"time"

	"sharer/chunk"
)

// request names what was asked: a block of the content by its offset, or a
// piece of its tree, or nodes of a path, by theirs.
type request struct {
	tree bool
	path bool // of the tree: some nodes, not a piece
	unit bool // all parts of a unit with one flight, which begins there
	at   int64
}

// The lowest bits of a key.
const (
	keyTree = 1 << iota
	keyPath
	keyUnit
	keyShift = iota
)

// keyNone is of what is no request: an offset is at most maxSize.
const keyNone = ^uint64(0)

// key is the request as one number, which maps hash at half the cost. An offset that an answer says may be any: one that does not fit
// must not have the key of another, or that one would count as answered.
func (r request) key() uint64 {
	if uint64(r.at) > maxSize {
		return keyNone
	}
	k := uint64(r.at) << keyShift
	if r.tree {
		k |= keyTree
	}
	if r.path {
		k |= keyPath
	}
	if r.unit {
		k |= keyUnit
	}
	return k
}

// flight is a request that is out, or was given up not long ago.
type flight struct {
	sent   time.Time
	first  time.Time // when the same was asked before, or sent
	seq    uint64
	n      int32 // bytes of content that were asked for; more than a block and no part: a run of blocks in one answer
	cost   int32 // bytes on the wire that the answer was expected to take
	lost   bool  // given up; a late answer still counts
	part   bool  // of blocks, or of a piece, that are asked for in parts
	each   int32 // then: bytes of each part but the last
	next   bool  // then: not the first part of its request
	unit   bool  // then: all parts of a unit
	mute   bool  // of a unit that was given up, and another part of it stands for it: it tells the congestion control nothing
	also   bool  // asked for by the other hash of the content
	raw    bool  // asked for raw
	copies uint8 // asked for so often besides: see copies.go
	stamp  stamp // of the congestion control
}

// run says whether it is for several blocks, whose answer is one datagram.
func (fl *flight) run() bool { return !fl.part && fl.n > chunk.BlockSize }

// long says whether the answer is a datagram of more than a packet: that asked for is then no part, nor a unit.
func (fl *flight) long() bool { return !fl.unit && fl.n > rawPartBytes }

// flights is the table of what one peer was asked. An answer that is not in it
// was not asked for. Pure: it is told the time.
type flights struct {
	out    map[uint64]flight // by key of the request
	order  fifo              // live ones by time of sending, with stale entries among them
	given  fifo              // given up, remembered for late answers
	seq    uint64
	live   int       // out and not given up
	bytes  int       // what their answers are expected to take on the wire
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

// insert keeps the order of sending; what is inserted belongs near the end.
func (q *fifo) insert(s sentRequest) {
	q.push(s)
	for i := len(q.items) - 1; i > q.head && q.items[i-1].seq > s.seq; i-- {
		q.items[i-1], q.items[i] = q.items[i], q.items[i-1]
	}
}

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

func newFlights() flights { return flights{out: make(map[uint64]flight)} }

// add notes that r goes out now. Asking again forgets the earlier flight.
func (f *flights) add(r request, fl flight) {
	fl.first = fl.sent
	if old, ok := f.out[r.key()]; ok {
		fl.stamp.again = true
		fl.first = old.sent
		if !old.lost {
			f.live--
			f.bytes -= int(old.cost)
		}
	}
	f.seq++
	f.live++
	f.bytes += int(fl.cost)
	fl.seq = f.seq
	f.out[r.key()] = fl
	f.order.push(sentRequest{r, f.seq})
}

// gaveUp notes a part of a unit that was given up, as if it had been asked for by itself: what comes of it late is known for what it is.
func (f *flights) gaveUp(r request, fl flight) {
	if f.has(r) {
		return
	}
	f.seq++
	fl.lost, fl.seq = true, f.seq
	f.out[r.key()] = fl
	f.given.push(sentRequest{r, f.seq})
}

// answer takes r out of the table.
func (f *flights) answer(r request) (fl flight, ok bool) {
	fl, ok = f.out[r.key()]
	if !ok {
		return flight{}, false
	}
	delete(f.out, r.key())
	if !fl.lost {
		f.live--
		f.bytes -= int(fl.cost)
	}
	if fl.sent.After(f.newest) {
		f.newest = fl.sent
	}
	return fl, true
}

// waits are how long answers are waited for.
type waits struct {
	reorder time.Duration // after the answer to a later request
	tail    time.Duration // where nothing else is asked, 0: as ever
	rto     time.Duration
	memory  time.Duration // late ones, since they were asked for
}

// expire calls lost for every request that must be given up: one sent more than
// reorder before another that was answered (loss by order of sending, RFC 8985),
// or one older than rto, or than tail where that is not 0 and the same was not asked
// before; in order of sending, up to the first that is still waited for. It returns
// whether any went by rto alone. What was given up is forgotten memory after it was sent.
func (f *flights) expire(now time.Time, w waits, lost func(r request, fl flight, byOrder bool)) (timedOut bool) {
	for !f.given.empty() {
		s := f.given.first()
		if fl, ok := f.out[s.key()]; ok && fl.seq == s.seq {
			if now.Sub(fl.sent) <= w.memory {
				break
			}
			delete(f.out, s.key())
		}
		f.given.pop()
	}
	for !f.order.empty() {
		s := f.order.first()
		fl, ok := f.out[s.key()]
		if ok && fl.seq == s.seq && !fl.lost {
			byOrder := f.newest.Sub(fl.sent) > w.reorder || w.tail > 0 && !fl.stamp.again && now.Sub(fl.sent) > w.tail
			if !byOrder && now.Sub(fl.sent) <= w.rto {
				break // younger ones follow
			}
			timedOut = timedOut || !byOrder
			fl = f.giveUpOne(s, fl)
			lost(s.request, fl, byOrder)
		}
		f.order.pop()
	}
	return timedOut
}

// due returns when the oldest live request is to be given up.
func (f *flights) due(w waits) (time.Time, bool) {
	for i := f.order.head; i < len(f.order.items); i++ {
		s := f.order.items[i]
		if fl, ok := f.out[s.key()]; ok && fl.seq == s.seq && !fl.lost {
			if w.tail > 0 && !fl.stamp.again {
				return fl.sent.Add(min(w.tail, w.rto)), true
			}
			return fl.sent.Add(w.rto), true
		}
	}
	return time.Time{}, false
}

// has says whether r is out and not given up.
func (f *flights) has(r request) bool {
	fl, ok := f.out[r.key()]
	return ok && !fl.lost
}

// whole returns the flight of a block or piece that is out, not given up, and no part of what is asked for in
// parts: the first part of a block begins where the block does, and so does what only asks whether a peer has any. A block may lie within a run.
func (f *flights) whole(r request) (fl flight, ok bool) {
	for n := int64(0); n < maxAnswer && n <= r.at; n += chunk.BlockSize {
		if fl, ok = f.out[request{tree: r.tree, at: r.at - n}.key()]; ok && !fl.lost && !fl.part && (r.tree || fl.n > pollBytes) && (n == 0 || n < int64(fl.n)) {
			return fl, true
		}
		if r.tree {
			break
		}
	}
	return flight{}, false
}

func (f *flights) hasWhole(r request) bool {
	_, ok := f.whole(r)
	return ok
}

// giveUp calls lost for everything that is live; late answers still count.
func (f *flights) giveUp(lost func(request, flight)) {
	for ; !f.order.empty(); f.order.pop() {
		s := f.order.first()
		if fl, ok := f.out[s.key()]; ok && fl.seq == s.seq && !fl.lost {
			lost(s.request, f.giveUpOne(s, fl))
		}
	}
}

func (f *flights) giveUpOne(s sentRequest, fl flight) flight {
	fl.lost = true
	f.out[s.key()] = fl
	f.live--
	f.bytes -= int(fl.cost)
	f.given.insert(s)
	return fl
}

// giveUpFirst gives up the block, or run of blocks, that was asked for first; a late answer still counts. False: no block is out.
func (f *flights) giveUpFirst() (r request, fl flight, ok bool) {
	for _, s := range f.order.items[f.order.head:] {
		if fl, ok := f.out[s.key()]; ok && fl.seq == s.seq && !fl.lost && !s.tree {
			return s.request, f.giveUpOne(s, fl), true
		}
	}
	return request{}, flight{}, false
}

// drop forgets what which names, and calls gone for what of it was live, by time of
// sending.
func (f *flights) drop(which func(request) bool, gone func(request, flight)) {
	for i := f.order.head; i < len(f.order.items); i++ {
		s := f.order.items[i]
		if fl, ok := f.out[s.key()]; ok && fl.seq == s.seq && !fl.lost && which(s.request) {
			f.live--
			f.bytes -= int(fl.cost)
			delete(f.out, s.key())
			gone(s.request, fl)
		}
	}
	for i := f.given.head; i < len(f.given.items); i++ {
		s := f.given.items[i]
		if fl, ok := f.out[s.key()]; ok && fl.seq == s.seq && which(s.request) {
			delete(f.out, s.key())
		}
	}
}
