package transfer

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"sharer/chunk"
)

// Blocks, or a piece of a tree, are asked for as a whole, or in parts whose answers
// are one packet each: above the MTU a datagram is fragments, one lost fragment loses
// all of it, and what is left of it fills the receiver's reassembly pool. partBytes of
// content make a datagram of about 1320 bytes (4/3 for base64, 76 for a blake3 id, some
// 60 for the rest of Content, 30 for a range of have, 65 for a cookie echo, 28 of
// headers), which passes where 1400 bytes do, IPv6 over tunnels included.
const (
	partBytes    = 832
	rawPartBytes = 1232                                          // the same where answers are raw: 60 for Content, 65 for a cookie echo, 28 or 48 of headers
	blockParts   = (chunk.BlockSize + partBytes - 1) / partBytes // 5
	unitParts    = (maxAnswer + rawPartBytes - 1) / rawPartBytes // 34 of 1205 bytes: no more than fit the bits of a word, and one call of a socket
)

// parts are the blocks and pieces that one peer is asked for in parts. All parts of
// one come from that peer, so that a bad block has one giver. Pure.
type parts struct {
	units map[uint64]*unit // by the key of each block of them, or of the piece
	trees []*unit          // those of pieces, which do not begin where blocks do
	again queue            // parts that were lost
	queue queue            // parts that are to be asked after those, oldest first
}

// unit is a piece, or blocks that follow one another, of which parts have come.
type unit struct {
	whole request // the first block
	data  []byte
	block *blockBuf // from the pools, where data lies
	run   *runBuf
	each  int       // bytes of a part, the last one apart
	left  uint64    // parts that have not come, as bits
	asOne bool      // one flight is for all of them: see unit.go
	wire  int       // then: bytes of the wire that have come
	weak  bool      // some part came without the peer's cookie
	sent  time.Time // when any of it was first asked for
}

// blockBuf and runBuf are the memory of a unit; the pools recycle it.
type (
	blockBuf [chunk.BlockSize]byte
	runBuf   [maxAnswer]byte
)

var (
	blockPool = sync.Pool{New: func() any { return new(blockBuf) }}
	runPool   = sync.Pool{New: func() any { return new(runBuf) }}
)

// newUnit takes memory for a unit, which free gives back.
func newUnit(whole request, size, each int) *unit {
	u := &unit{whole: whole, each: each}
	if size <= chunk.BlockSize {
		u.block = blockPool.Get().(*blockBuf)
		u.data = u.block[:size]
	} else {
		u.run = runPool.Get().(*runBuf)
		u.data = u.run[:size]
	}
	return u
}

func (u *unit) free() {
	if u.block != nil {
		blockPool.Put(u.block)
	} else {
		runPool.Put(u.run)
	}
}

// part returns the i-th part.
func (u *unit) part(i int) (r request, n int) {
	return request{tree: u.whole.tree, at: u.whole.at + int64(i*u.each)}, min(u.each, len(u.data)-i*u.each)
}

func (u *unit) index(r request) int { return int(r.at-u.whole.at) / u.each }

// blocks are what the unit is made of.
func (u *unit) blocks(yield func(request) bool) {
	for at := 0; at < len(u.data); at += chunk.BlockSize {
		if !yield(request{tree: u.whole.tree, at: u.whole.at + int64(at)}) {
			return
		}
	}
}

// evenly is how long parts are of at most that many bytes each, so that none is much shorter.
func evenly(size, most int) int {
	n := (size + most - 1) / most
	return (size + n - 1) / n
}

// begin splits what is size bytes long, at most maxAnswer, into parts of at most so many bytes that are to be asked.
func (p *parts) begin(whole request, size, most int) {
	u := p.add(whole, size, most)
	for i := 0; i*u.each < size; i++ {
		r, _ := u.part(i)
		p.queue.push(r)
	}
}

// add is begin but for the asking.
func (p *parts) add(whole request, size, most int) *unit {
	if p.units == nil {
		p.units = make(map[uint64]*unit)
	}
	u := newUnit(whole, size, evenly(size, most))
	for b := range u.blocks {
		p.drop(b)
	}
	for b := range u.blocks {
		p.units[b.key()] = u
	}
	if whole.tree {
		p.trees = append(p.trees, u)
	}
	for i := 0; i*u.each < size; i++ {
		u.left |= 1 << i
	}
	return u
}

// of returns the unit that lacks a part, or nil.
func (p *parts) of(r request) *unit {
	var u *unit
	if r.tree {
		i := slices.IndexFunc(p.trees, func(u *unit) bool { return u.whole.at <= r.at && r.at < u.whole.at+int64(len(u.data)) })
		if i < 0 {
			return nil
		}
		u = p.trees[i]
	} else if u = p.units[request{at: r.at &^ (chunk.BlockSize - 1)}.key()]; u == nil {
		return nil
	}
	if i := u.index(r); i >= 64 || u.left>>i&1 == 0 || u.whole.at+int64(i*u.each) != r.at {
		return nil
	}
	return u
}

// next takes the first part that is to be asked.
func (p *parts) next() (r request, u *unit, n int, ok bool) {
	for {
		q := &p.again
		if q.empty() {
			q = &p.queue
		}
		if q.empty() {
			return request{}, nil, 0, false
		}
		r = q.pop()
		if u = p.of(r); u != nil {
			_, n = u.part(u.index(r))
			return r, u, n, true
		}
	}
}

// waiting says whether parts are to be asked for, or were forgotten since.
func (p *parts) waiting() bool { return !p.again.empty() || !p.queue.empty() }

// unit is what a block or piece is being asked for with in parts, or nil.
func (p *parts) unit(b request) *unit { return p.units[b.key()] }

// lost has a part asked for before others. False: it is none of a unit that is
// asked for.
func (p *parts) lost(r request) bool {
	if p.of(r) == nil {
		return false
	}
	p.again.push(r)
	return true
}

// arrived takes a part that is as long as was asked. done says that it was the last one
// of its unit, which must be freed; u is nil for what is no part, or one of an earlier unit that was split otherwise.
func (p *parts) arrived(r request, data []byte, sure bool) (u *unit, done bool) {
	u = p.of(r)
	if u == nil {
		return nil, false
	}
	i := u.index(r)
	if _, n := u.part(i); n != len(data) {
		return nil, false
	}
	copy(u.data[i*u.each:], data)
	u.left &^= 1 << i
	u.weak = u.weak || !sure
	if u.left == 0 {
		p.forget(u)
	}
	return u, u.left == 0
}

// drop forgets the unit of a block or piece: another peer brought it, or shall.
func (p *parts) drop(b request) {
	if u := p.unit(b); u != nil {
		p.forget(u)
		u.free()
	}
}

// came says that a block or piece came as a whole. If it is not all of its unit it comes again with that.
func (p *parts) came(b request) {
	if u := p.unit(b); u != nil && len(u.data) <= chunk.BlockSize {
		p.drop(b)
	}
}

// forget takes a unit out of those that are asked for.
func (p *parts) forget(u *unit) {
	for b := range u.blocks {
		delete(p.units, b.key())
	}
	if u.whole.tree {
		p.trees = slices.DeleteFunc(p.trees, func(o *unit) bool { return o == u })
	}
}

// wholes are the blocks and pieces that are being asked for, in order.
func (p *parts) wholes() []request {
	var all []request
	for _, u := range p.trees {
		all = append(all, u.whole)
	}
	slices.SortFunc(all, func(a, b request) int { return cmp.Compare(a.at, b.at) })
	pieces := len(all)
	for k := range p.units {
		if k&keyTree == 0 {
			all = append(all, request{at: int64(k >> keyShift)})
		}
	}
	slices.SortFunc(all[pieces:], func(a, b request) int { return cmp.Compare(a.at, b.at) })
	return all
}

// clear forgets all units and returns what they were for, in order.
func (p *parts) clear() []request {
	dropped := p.wholes()
	for _, b := range dropped {
		p.drop(b)
	}
	p.again, p.queue = queue{}, queue{}
	return dropped
}

// queue is a queue of requests that reuses its array.
type queue struct {
	items []request
	head  int
}

func (q *queue) empty() bool { return q.head == len(q.items) }

func (q *queue) push(r request) { q.items = append(q.items, r) }

func (q *queue) pop() request {
	r := q.items[q.head]
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head >= 1024 {
		q.items = append(q.items[:0], q.items[q.head:]...)
		q.head = 0
	}
	return r
}
