package netsim

import (
	"net/netip"
	"sync"
	"time"
)

// Kinds of events; those of one instant are taken in this order.
const (
	changes = iota // the network changes
	enters         // a datagram enters its link
	arrives        // a datagram arrives
	remains        // what is left of a broken datagram arrives
)

// event is a datagram on its way, or another thing to come. Who has it owns its bytes: the sender, then the network, then the
// socket whose reader gets them, which gives it back to the store.
type event struct {
	due      time.Duration // since the network was made
	kind     uint8
	class    uint8 // of the store
	realm    *realm
	from, to netip.AddrPort
	seq      uint64
	data     []byte // into room
	room     []byte
	sum      uint32 // checksum of data
	sent     time.Duration
	lane     *lane
	packets  int
	change   func()
	next     *event // in the postbox or the store
}

// enter makes e a datagram, with a copy of data, that enters its link when everybody who sends at this instant has done so:
// a nanosecond later, which virtual time comes to when all goroutines wait.
func (e *event) enter(r *realm, from, to netip.AddrPort, data []byte, sent time.Duration) {
	e.kind, e.realm, e.from, e.to, e.sent, e.due = enters, r, from, to, sent, sent+1
	e.fill(data)
	e.sum = checksum(e.data)
}

func (e *event) fill(data []byte) {
	if len(data) > len(e.room) {
		e.room = make([]byte, len(data)) // forged, and larger than a datagram can be
	}
	e.data = e.room[:copy(e.room, data)]
}

// before is by time, and for one instant by what does not depend on which goroutine ran first. seq
// keeps the order of what one socket sends to another, and of what the network itself has put in.
func (e *event) before(o *event) bool {
	if e.kind != o.kind {
		return e.kind < o.kind
	}
	if e.kind == enters {
		if e.realm != o.realm {
			return e.realm.id < o.realm.id
		}
		if c := e.from.Compare(o.from); c != 0 {
			return c < 0
		}
		if c := e.to.Compare(o.to); c != 0 {
			return c < 0
		}
	}
	return e.seq < o.seq
}

// events is a heap of four children each. The times stand in it so that most comparisons need not look further.
type events []entry

type entry struct {
	due time.Duration
	e   *event
}

func (a entry) before(b entry) bool {
	return a.due < b.due || a.due == b.due && a.e.before(b.e)
}

func (q *events) push(e *event) {
	x := entry{e.due, e}
	h := append(*q, x)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !x.before(h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = x
	*q = h
}

// pop takes the first event out; there must be one.
func (q *events) pop() *event {
	h := *q
	first, x := h[0].e, h[len(h)-1]
	h[len(h)-1] = entry{}
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		down := 4*i + 1
		if down >= len(h) {
			break
		}
		for k := down + 1; k < min(4*i+5, len(h)); k++ {
			if h[k].before(h[down]) {
				down = k
			}
		}
		if !h[down].before(x) {
			break
		}
		h[i] = h[down]
		i = down
	}
	h[i] = x
	return first
}

// sizes are the classes of buffers in bytes: a request, a datagram of one packet, a block with its wrapping, anything.
var sizes = [...]int{256, 1536, 8192, 65536}

// store keeps events and their buffers for the next. It never shrinks: it has at most what was under way or unread at once.
type store struct {
	mu   sync.Mutex
	free [len(sizes)]*event
}

// take returns an event with room for size bytes, but never more than a datagram can have.
func (s *store) take(size int) *event {
	class := 0
	for class < len(sizes)-1 && size > sizes[class] {
		class++
	}
	s.mu.Lock()
	e := s.free[class]
	if e != nil {
		s.free[class], e.next = e.next, nil
	}
	s.mu.Unlock()
	if e == nil {
		e = &event{class: uint8(class), room: make([]byte, sizes[class])}
	}
	return e
}

// give takes events back that nobody uses any more.
func (s *store) give(es ...*event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range es {
		*e = event{class: e.class, room: e.room, next: s.free[e.class]}
		s.free[e.class] = e
	}
}
