// Package impair is a link between two network namespaces that real programs use: two TUN devices, and between them
// rate, queue, delay, bursty loss and the rest of a [netsim.Link], each IP packet by itself.
//
// A [Lane] is the pure core, one direction: what it decides follows from the times and packets it is given and its seed. A
// [Bridge] (Linux, root) is the shell: it carries packets between devices when the lanes say so.
//
// What it promises: the laws of the simulated network, packet by packet; a packet above [netsim.Link.MTU] is cut as a router
// does it, or dropped without a word where it may not be cut (the ICMP message is eaten); every packet is counted with its fate.
// What it does not do: TTL, ICMP, routing.
package impair

import (
	"container/heap"
	"time"

	"sharer/internal/netsim"
)

// Counts is what became of packets; bytes have their IP headers. Packets = Delivered − Duplicated + all drops + what is under way.
type Counts struct {
	Packets, Bytes             int64 // that came, after those too large were cut
	Delivered, DeliveredBytes  int64
	Lost, Overflow, Down       int64
	Blocked, TooLarge, Garbage int64
	InBurst                    int64 // of Lost
	Fragments                  int64 // of Packets
	Reordered, Duplicated      int64
	Refused                    int64         // of Delivered: the device did not take it
	Late                       time.Duration // the most that a packet was handed over after it was due
	Sojourn                    Sojourn
}

// Sojourn is how long packets waited in the queue, their own sending with it, by millisecond; the last bin is all above.
type Sojourn [4096]int64

// Quantile is the time that a share q of the packets did not exceed, to a millisecond above.
func (s *Sojourn) Quantile(q float64) time.Duration {
	var all, seen int64
	for _, n := range s {
		all += n
	}
	for ms, n := range s {
		if seen += n; n > 0 && float64(seen) >= q*float64(all) {
			return time.Duration(ms+1) * time.Millisecond
		}
	}
	return 0
}

// Since is what was added since an earlier look.
func (s Sojourn) Since(before Sojourn) Sojourn {
	for i := range s {
		s[i] -= before[i]
	}
	return s
}

// Lane is one direction. It is not for concurrent use.
type Lane struct {
	line   *netsim.Line
	counts Counts
	under  transit
	seq    uint64
	free   [][]byte
}

// NewLane makes a lane at rest; times are since it was made. Link.Corrupt is not applied: a kernel would drop by checksum
// what Loss drops as well.
func NewLane(seed uint64, l netsim.Link) *Lane { return &Lane{line: netsim.NewLine(seed, l)} }

// Set changes the link; what is under way keeps its times.
func (l *Lane) Set(link netsim.Link) { l.line.Set(link) }

// Link is how it is now.
func (l *Lane) Link() netsim.Link { return l.line.Link() }

// Counts is what became of packets until now.
func (l *Lane) Counts() Counts { return l.counts }

// Take takes a packet at a time that never goes back, and keeps a copy while it is under way.
func (l *Lane) Take(now time.Duration, b []byte) {
	h, err := parse(b)
	if err != nil {
		l.counts.Garbage++
		return
	}
	link := l.line.Link()
	if link.MTU == 0 || len(b) <= link.MTU {
		l.enter(now, b, h.fragment)
		return
	}
	var parts [][]byte
	if !h.df {
		parts = cut(b, h, link.MTU)
	}
	if parts == nil {
		l.counts.Packets++
		l.counts.Bytes += int64(len(b))
		l.counts.TooLarge++
		return
	}
	for _, p := range parts {
		l.enter(now, p, true)
	}
}

func (l *Lane) enter(now time.Duration, b []byte, fragment bool) {
	c := &l.counts
	c.Packets++
	c.Bytes += int64(len(b))
	if fragment {
		c.Fragments++
	}
	p := l.line.Pass(now, len(b), fragment)
	if p.Outcome == netsim.Delivered || p.Outcome == netsim.Lost {
		c.Sojourn[min(int((p.Left-now)/time.Millisecond), len(c.Sojourn)-1)]++
	}
	switch p.Outcome {
	case netsim.Lost:
		c.Lost++
		if p.InBurst {
			c.InBurst++
		}
		return
	case netsim.Overflow:
		c.Overflow++
		return
	case netsim.Down:
		c.Down++
		return
	case netsim.Blocked:
		c.Blocked++
		return
	}
	if p.Reordered {
		c.Reordered++
	}
	l.push(p.Due, b)
	if p.Twice {
		c.Duplicated++
		l.push(p.Due, b)
	}
}

func (l *Lane) push(due time.Duration, b []byte) {
	var room []byte
	if n := len(l.free); n > 0 {
		room, l.free = l.free[n-1], l.free[:n-1]
	}
	l.seq++
	heap.Push(&l.under, passenger{due, l.seq, append(room[:0], b...)})
}

// Due is when the next packet is to be handed over; ok is false where none is under way.
func (l *Lane) Due() (at time.Duration, ok bool) {
	if len(l.under) == 0 {
		return 0, false
	}
	return l.under[0].due, true
}

// Next takes out the next packet that is due at a time, nil where none is. Give returns it after use.
func (l *Lane) Next(now time.Duration) []byte {
	if len(l.under) == 0 || l.under[0].due > now {
		return nil
	}
	p := heap.Pop(&l.under).(passenger)
	l.counts.Delivered++
	l.counts.DeliveredBytes += int64(len(p.data))
	l.counts.Late = max(l.counts.Late, now-p.due)
	return p.data
}

// Give returns a packet of Next for the room it has.
func (l *Lane) Give(b []byte) { l.free = append(l.free, b) }

// Under is how many packets are under way.
func (l *Lane) Under() int { return len(l.under) }

type passenger struct {
	due  time.Duration
	seq  uint64
	data []byte
}

// transit is a heap by time, and by order of coming where times are equal.
type transit []passenger

func (t transit) Len() int { return len(t) }
func (t transit) Less(i, j int) bool {
	return t[i].due < t[j].due || t[i].due == t[j].due && t[i].seq < t[j].seq
}
func (t transit) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *transit) Push(x any)   { *t = append(*t, x.(passenger)) }
func (t *transit) Pop() any {
	old := *t
	x := old[len(old)-1]
	old[len(old)-1] = passenger{}
	*t = old[:len(old)-1]
	return x
}
