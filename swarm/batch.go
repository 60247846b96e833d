package swarm

import (
	"net/netip"
	"time"

	"sharer/wire"
)

const (
	batchMost  = 64       // datagrams that are queued before a flush
	batchBytes = 64 << 10 // bytes, likewise
	batchArena = batchBytes + wire.MaxDatagram
)

// Batch gathers datagrams and sends them together. One goroutine uses it. In steady state it
// allocates nothing.
//
//	buf, ok := b.Open(to, 0, swarm.Request)
//	if ok {
//		buf = wire.AppendMessage(buf, question) // further ones after a comma
//		b.Close(buf, padTo)
//	}
//	err := b.Flush()
type Batch struct {
	// Failed, if set, hears of each datagram that the socket refused, on the goroutine of the
	// batch, within Close or Flush. It must not use the batch.
	Failed func(*SendError)

	gate   *Gate
	arena  []byte // 128 KiB, so that a whole datagram fits behind a full queue
	used   int
	queue  []wire.Datagram // ≤ batchMost, all in arena
	whys   []Reason
	again  []int // of a flush: what is tried once more at its end
	err    error // of a flush that Close made
	grant  grant
	theirs []byte // to be echoed in the open datagram
	alone  bool   // the open datagram may be cookies only
}

// grant is what the table allows for one datagram.
type grant struct {
	to    netip.AddrPort
	via   uint8
	why   Reason
	limit int  // bytes of payload, 0: wire.MaxDatagram
	ask   bool // our cookie goes along
}

// NewBatch returns an empty batch.
func (g *Gate) NewBatch() *Batch {
	return &Batch{
		gate: g, arena: make([]byte, batchArena),
		queue: make([]wire.Datagram, 0, batchMost), whys: make([]Reason, 0, batchMost),
		again: make([]int, 0, batchMost), theirs: make([]byte, 0, maxTheirs),
	}
}

// Borrow is NewBatch for a short while, mostly with the memory of one that was used before; GiveBack ends it. What is queued then
// does not leave.
func (g *Gate) Borrow() *Batch { return g.pool.Get().(*Batch) }

// GiveBack takes a batch of Borrow back, which must not be used any more.
func (g *Gate) GiveBack(b *Batch) {
	clear(b.queue)
	b.queue, b.whys, b.used, b.err, b.Failed = b.queue[:0], b.whys[:0], 0, nil, nil
	g.pool.Put(b)
}

// Open begins a datagram. buf starts with '['; append elements with commas between them, in the
// room that it has (a reallocated buf is refused). ok is false where the rules forbid it, which
// is counted. via 0 is the socket by which the peer was last heard. A datagram that was opened
// counts as sent for the rules, even if it is never closed. Reply means: to an address with
// standing; strangers are answered by Gate.Reply only.
func (b *Batch) Open(to netip.AddrPort, via uint8, why Reason) (buf []byte, ok bool) {
	now := time.Now()
	q := b.gate.query(to, why)
	if q.refused == Allowed && why == Announce {
		q.refused = b.gate.mayAnnounce(q.to, q.unproven.Every, now)
		b.theirs = b.theirs[:0]
		b.grant = grant{to: q.to, via: via, why: why, limit: q.unproven.Small}
	} else if q.refused == Allowed {
		b.grant = grant{to: q.to, via: via, why: why}
		q.refused = b.gate.table.open(&q, &b.grant, &b.theirs, now)
	}
	if q.refused != Allowed {
		b.gate.counts.refused[q.refused].Add(1)
		return nil, false
	}
	return b.begin(), true
}

// openReply begins a reply to a datagram that was proven, whether or not the table had room for
// its sender.
func (b *Batch) openReply(to netip.AddrPort, via uint8) (buf []byte, ok bool) {
	b.grant = grant{to: to, via: via, why: Reply}
	if !b.gate.table.openReply(&b.grant, &b.theirs, time.Now()) {
		b.theirs, _ = b.gate.echoes.take(b.theirs[:0], to)
	}
	return b.begin(), true
}

// openStranger begins the one reply to a datagram without proof.
func (b *Batch) openStranger(to netip.AddrPort, via uint8, limit int) (buf []byte, from moved) {
	b.grant = grant{to: to, via: via, why: Reply, limit: min(limit, wire.MaxDatagram), ask: true}
	b.theirs, from = b.gate.echoes.take(b.theirs[:0], to)
	if len(b.theirs) == 0 && from.old.IsValid() {
		b.theirs = b.gate.table.theirs(b.theirs, from.old)
	}
	return b.begin(), from
}

func (b *Batch) begin() []byte {
	b.alone = false
	return append(b.arena[b.used:b.used:len(b.arena)], '[')
}

// cookieLen is what Close will add before the closing bracket.
func (b *Batch) cookieLen() (n int) {
	if b.grant.ask {
		n += pleaseLen + 1
	}
	if e := echoLen(b.theirs); e > 0 {
		n += e + 1
	}
	return n
}

// Close ends the datagram that Open began: it adds the cookies, behind the elements because some
// peers echo a cookie only to a question that they have seen before it, fills it up with spaces
// to padTo bytes as far as the limit allows, and queues it. One to the proven that is a few bytes shorter than
// the one queued before it to the same address is filled up to its length: the socket sends
// equal ones together. A datagram without elements is not
// sent, nor one that is larger than its limit; the latter is counted. It returns the bytes of payload
// that are sent, 0 for none.
func (b *Batch) Close(buf []byte, padTo int) (size int) { return b.CloseWith(buf, padTo, nil) }

// CloseWith is Close with what follows the array: see [wire.Content].Raw.
func (b *Batch) CloseWith(buf []byte, padTo int, rest []byte) (size int) {
	if len(buf) == 0 || len(buf) == 1 && !b.alone {
		return 0
	}
	limit := wire.MaxDatagram
	if b.grant.limit > 0 {
		limit = min(limit, b.grant.limit)
	}
	size = len(buf) + b.cookieLen() + 1 + len(rest)
	if len(buf) == 1 {
		size-- // no comma before the first
	}
	if size > limit || &buf[0] != &b.arena[b.used] {
		b.gate.counts.refused[RefusedSize].Add(1)
		return 0
	}
	if b.grant.ask {
		if len(buf) > 1 {
			buf = append(buf, ',')
		}
		buf = appendPlease(buf, b.gate.cookies.Make(b.grant.to, time.Now()))
	}
	if len(b.theirs) > 0 {
		if len(buf) > 1 {
			buf = append(buf, ',')
		}
		buf = appendEcho(buf, b.theirs)
	}
	if b.grant.limit == 0 {
		padTo = max(padTo, b.before(len(buf)+1+len(rest)))
	}
	for padTo = min(padTo, limit) - len(rest); len(buf) < padTo-1; {
		buf = append(buf, ' ')
	}
	b.put(append(append(buf, ']'), rest...))
	return len(buf) + 1 + len(rest)
}

// put queues a whole datagram, which lies at the end of what is used.
func (b *Batch) put(buf []byte) {
	b.queue = append(b.queue, wire.Datagram{Addr: b.grant.to, Via: b.grant.via, Data: buf[:len(buf):len(buf)]})
	b.whys = append(b.whys, b.grant.why)
	b.used += len(buf)
	if len(b.queue) >= batchMost || b.used >= batchBytes {
		if err := b.flush(); b.err == nil {
			b.err = err
		}
	}
}

// Again queues the datagram that was queued last once more, with digits at the byte at and rest behind the array, both as long as
// what they stand in for: parts of one answer, which leave together, differ in nothing else, and what allowed the first allows the
// others. False: there is none, as it has left, or its address is not proven; nothing was queued.
func (b *Batch) Again(at int, digits, rest []byte) bool {
	if len(b.queue) == 0 || b.grant.limit > 0 || b.grant.ask {
		return false
	}
	last := &b.queue[len(b.queue)-1]
	head := len(last.Data) - len(rest)
	if last.Addr != b.grant.to || last.Via != b.grant.via || b.whys[len(b.whys)-1] != b.grant.why || at+len(digits) >= head {
		return false
	}
	buf := append(append(b.arena[b.used:b.used:len(b.arena)], last.Data[:head]...), rest...)
	copy(buf[at:], digits)
	b.put(buf)
	return true
}

// before is the length of the datagram queued last, if it goes the same way as the open one of size bytes and is
// longer by no more than 1/16, 32 bytes at most: digits of an offset. 0 otherwise.
func (b *Batch) before(size int) int {
	if len(b.queue) == 0 {
		return 0
	}
	d := &b.queue[len(b.queue)-1]
	if n := len(d.Data); d.Addr == b.grant.to && d.Via == b.grant.via && n > size && n-size <= min(size/16, 32) {
		return n
	}
	return 0
}

// Flush sends what is queued. It returns the first error, a *SendError, also of a flush that Close
// made; the datagrams after the one that failed are sent nevertheless, but for a closed socket.
// Failed hears of all of them.
func (b *Batch) Flush() error {
	err := b.flush()
	if b.err != nil {
		err, b.err = b.err, nil
	}
	return err
}
