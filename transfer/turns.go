package transfer

import (
	"net/netip"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// Bounds of what is queued for answering. A peer may have 4 MiB of requested
// content waiting, a window of 1024 blocks, the oldest dropped beyond (an asker
// that wants more than it takes must not make others wait); all peers together
// 64 MiB of requests, which are 100 bytes each in memory: 1.6 MiB.
const (
	leastEach     = 512 // bytes of content of a datagram: a request for many is for 80 datagrams at most
	partOverhead  = 160 // bytes around the content of a raw answer that makes one packet, headers included
	maxQueuedPeer = 4 << 20
	maxQueuedAll  = 64 << 20
	maxUpPeers    = 4096
	turnBytes     = 44 << 10 // a turn of one peer, and what one read and one send carry: eleven blocks in base64 are the segments of one call
	turnRequests  = 32
	tellHolders   = time.Second
	spareQueues   = 8  // emptied ones that are kept, with room for a window each: 1 MiB
	maxRepeats    = 16 // a second of the same request by one peer
)

// want is one request that will be answered.
type want struct {
	id      chunk.ID
	via     uint8 // the socket by which it came
	content Content
	offset  int64
	length  int64       // at most maxAnswer
	raw     wire.Handle // asked for raw; 0: not
	each    int64       // in datagrams of so many bytes of content each; 0: in one
}

// spare is the memory of a queue that was emptied. A map keeps the room of all that it ever held.
type spare struct {
	queue  []want
	queued map[wantKey]struct{}
}

// wantKey names what is wanted.
type wantKey struct {
	id             chunk.ID
	offset, length int64
	raw            wire.Handle
	each           int64
}

func (w want) key() wantKey { return wantKey{w.id, w.offset, w.length, w.raw, w.each} }

// wire is what its answer takes of the wire if it has n bytes of content.
func (w want) wire(n int64) int {
	switch {
	case w.each > 0:
		return int(n + (n+w.each-1)/w.each*partOverhead)
	case w.raw != 0:
		return int(n) + answerOverhead
	}
	return answerCost(n)
}

// cost is what a request counts against the bounds: at least so much that many
// small ones cannot take more memory than they ask for content.
func (w want) cost() int64 { return max(w.length, 1024) }

// upPeer is the queue of one peer.
type upPeer struct {
	addr   netip.AddrPort
	queue  []want
	queued map[wantKey]struct{} // of what is in queue
	head   int
	bytes  int64 // requested content in the queue
	inRing bool
	used   time.Time // last request
	named  chunk.ID  // the content that Holders were told last that it asks for
	when   time.Time // of that

	answered time.Time // last turn
	reads    int       // runs of its last turn that are being read beside the loop
	repeats  repeats
	steady   bool // in turns.steady
	asks     int  // requests in a row
	calls    int  // times it was asked since whether it is there

	// Of whoever answers, without the owner's lock.
	answers int64     // sent so far
	hinted  time.Time // last MaybeTheyHaveSome that rode along
	toldOf  wantKey   // content, and handle, of which it was told last what is here
	told    time.Time
	fit     fit // how long its answers may be
	speed   speed
}

// turns is the queue of requests of all peers: first in, first out for each, a
// turn of turnBytes for each in the ring. Pure: the owner locks and tells the time.
type turns struct {
	peers    map[netip.AddrPort]*upPeer
	spare    []spare   // emptied, at most spareQueues
	ring     []*upPeer // those with something queued, the next one first
	steady   []*upPeer // those that ask steadily, or did until a moment ago (silence.go)
	look     time.Time // when they are looked at next
	bytes    int64
	limit    *Limit // of each peer
	dropped  int64
	again    int64 // requests for what was queued already
	repeated int64 // requests for what the peer was given too often just now
	capPeer  int64
	capTotal int64
}

func newTurns(limit *Limit) *turns {
	return &turns{peers: make(map[netip.AddrPort]*upPeer), limit: limit, capPeer: maxQueuedPeer, capTotal: maxQueuedAll}
}

// push queues a request, dropping what the bounds do not allow. It says whether the peer's interest in the content
// is news to Holders: it asks for another than before, or tellHolders has passed.
func (t *turns) push(addr netip.AddrPort, w want, now time.Time) (news bool) {
	p := t.peers[addr]
	if p == nil {
		if len(t.peers) >= maxUpPeers && !t.forget() {
			t.dropped++
			return true
		}
		p = &upPeer{addr: addr}
		t.peers[addr] = p
	}
	t.heard(p, now)
	p.used = now
	if id := contentID(w.id); p.named != id || now.Sub(p.when) >= tellHolders {
		p.named, p.when, news = id, now, true
	}
	if _, ok := p.queued[w.key()]; ok {
		t.again++ // it will be answered: one answer is enough for an asker that grew impatient
		return news
	}
	if p.repeats.over(w.key(), now) {
		t.repeated++
		return news
	}
	cost := w.cost()
	for p.bytes+cost > t.capPeer && p.head < len(p.queue) {
		t.pop(p)
		t.dropped++
	}
	if t.bytes+cost > t.capTotal {
		t.dropped++
		return news
	}
	if n := len(t.spare); p.queue == nil && n > 0 {
		p.queue, p.queued, t.spare = t.spare[n-1].queue, t.spare[n-1].queued, t.spare[:n-1]
	}
	if p.queued == nil {
		p.queued = make(map[wantKey]struct{})
	}
	p.queue = append(p.queue, w)
	p.queued[w.key()] = struct{}{}
	p.bytes += cost
	t.bytes += cost
	if !p.inRing {
		p.inRing = true
		t.ring = append(t.ring, p)
	}
	return news
}

func (t *turns) pop(p *upPeer) want {
	w := p.queue[p.head]
	p.queue[p.head] = want{}
	delete(p.queued, w.key())
	p.head++
	p.bytes -= w.cost()
	t.bytes -= w.cost()
	if p.head == len(p.queue) {
		if p.queue, p.head = p.queue[:0], 0; cap(p.queue) > 64 {
			if len(t.spare) < spareQueues {
				t.spare = append(t.spare, spare{p.queue, p.queued})
			}
			p.queue, p.queued = nil, nil // a thousand peers with a window each would keep 100 MiB
		}
	} else if p.head >= 1024 {
		p.queue = append(p.queue[:0], p.queue[p.head:]...)
		p.head = 0
	}
	return w
}

// first is whose turn it is where nothing limits anybody; nil: nobody's.
func (t *turns) first() *upPeer {
	for _, p := range t.ring {
		if p.head < len(p.queue) && p.reads == 0 {
			return p
		}
	}
	return nil
}

// next takes the turn of the first peer in the ring that its own limit allows
// something, appending its requests to dst. wait is how long until one may, when
// none may now; a negative wait says that nothing is queued.
func (t *turns) next(dst []want, now time.Time) (p *upPeer, ws []want, wait time.Duration) {
	wait = -1
	for range len(t.ring) {
		p := t.ring[0]
		t.ring = append(t.ring[:0], t.ring[1:]...)
		if p.head == len(p.queue) { // dropped meanwhile
			p.inRing = false
			continue
		}
		if p.reads > 0 { // its turn comes when they are done, and the loop looks again
			t.ring = append(t.ring, p)
			continue
		}
		ws, until := t.turn(p, dst, now)
		if len(ws) > 0 {
			p.answered = now
			if p.head < len(p.queue) {
				t.ring = append(t.ring, p)
			} else {
				p.inRing = false
			}
			return p, ws, 0
		}
		t.ring = append(t.ring, p)
		if wait < 0 || until < wait {
			wait = until
		}
	}
	return nil, dst, wait
}

// turn takes what p may have in one turn.
func (t *turns) turn(p *upPeer, dst []want, now time.Time) (ws []want, until time.Duration) {
	ws = dst
	for bytes := int64(0); p.head < len(p.queue) && len(ws) < turnRequests; {
		w := p.queue[p.head]
		if bytes += w.length; bytes > turnBytes && len(ws) > 0 {
			break
		}
		if until = t.limit.WaitPeer(now, p.addr, w.wire(w.length)); until > 0 {
			break
		}
		t.limit.TakePeer(now, p.addr, w.wire(w.length))
		ws = append(ws, t.pop(p))
	}
	return ws, until
}

// forget makes room by dropping the peer that was not heard of for the longest time
// among those that have nothing queued.
func (t *turns) forget() bool {
	var oldest *upPeer
	for _, p := range t.peers {
		if !p.inRing &&
			(oldest == nil || p.used.Before(oldest.used) || p.used.Equal(oldest.used) && p.addr.Compare(oldest.addr) < 0) {
			oldest = p
		}
	}
	if oldest == nil {
		return false
	}
	delete(t.peers, oldest.addr)
	oldest.asks = 0 // steady has it for a moment longer
	return true
}

// answerCost is what an answer with n bytes of content takes of the wire.
func answerCost(n int64) int { return int(n)*4/3 + answerOverhead }
