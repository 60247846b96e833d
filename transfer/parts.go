package transfer

import (
	"cmp"
	"maps"
	"slices"

	"sharer/chunk"
)

// A block, or a piece of a tree, is asked for as a whole, or in parts whose answers
// are one packet each: above the MTU a datagram is fragments, one lost fragment loses
// all of it, and what is left of it fills the receiver's reassembly pool. partBytes of
// content make a datagram of about 1320 bytes (4/3 for base64, 76 for a blake3 id, some
// 60 for the rest of Content, 30 for a range of have, 65 for a cookie echo, 28 of
// headers), which passes where 1400 bytes do, IPv6 over tunnels included.
const (
	partBytes    = 832
	rawPartBytes = 1024                                          // the same where answers are raw: a datagram of about 1200 bytes
	blockParts   = (chunk.BlockSize + partBytes - 1) / partBytes // 5
)

// parts are the blocks and pieces that one peer is asked for in parts. All parts of
// one come from that peer, so that a bad block has one giver. Pure.
type parts struct {
	units map[request]*unit // by what is asked as a whole
	of    map[request]*unit // by part
	queue []request         // parts that are to be asked, oldest first
}

// unit is a block or a piece of which parts have come.
type unit struct {
	whole request
	data  *blockBuf
	size  int
	each  int   // bytes of a part
	left  uint8 // parts that have not come, as bits
	weak  bool  // some part came without the peer's cookie
}

// part returns the i-th part.
func (u *unit) part(i int) (r request, n int) {
	return request{u.whole.tree, u.whole.at + int64(i*u.each)}, min(u.each, u.size-i*u.each)
}

func (u *unit) index(r request) int { return int(r.at-u.whole.at) / u.each }

// begin splits what is size bytes long, at most a block, into parts of each bytes that are to be asked.
func (p *parts) begin(whole request, size, each int) {
	if p.units == nil {
		p.units, p.of = make(map[request]*unit), make(map[request]*unit)
	}
	p.drop(whole)
	u := &unit{whole: whole, data: blockPool.Get().(*blockBuf), size: size, each: each}
	for i := 0; i*each < size; i++ {
		u.left |= 1 << i
		r, _ := u.part(i)
		p.of[r] = u
		p.queue = append(p.queue, r)
	}
	p.units[whole] = u
}

// next takes the first part that is to be asked.
func (p *parts) next() (r request, n int, ok bool) {
	for len(p.queue) > 0 {
		r, p.queue = p.queue[0], p.queue[1:]
		if u := p.of[r]; u != nil {
			_, n = u.part(u.index(r))
			return r, n, true
		}
	}
	return request{}, 0, false
}

// has says whether a block or piece is being asked for in parts.
func (p *parts) has(whole request) bool { return p.units[whole] != nil }

// lost puts a part back in front of the queue. False: it is none of a unit that is
// asked for.
func (p *parts) lost(r request) bool {
	if p.of[r] == nil {
		return false
	}
	p.queue = slices.Insert(p.queue, 0, r)
	return true
}

// arrived takes a part that is n bytes as was asked. done says that it was the last one
// of its unit, whose data must go back to blockPool; u is nil for what is no part.
func (p *parts) arrived(r request, data []byte, sure bool) (u *unit, done bool) {
	u = p.of[r]
	if u == nil {
		return nil, false
	}
	i := u.index(r)
	copy(u.data[i*u.each:], data)
	u.left &^= 1 << i
	u.weak = u.weak || !sure
	delete(p.of, r)
	if u.left == 0 {
		delete(p.units, u.whole)
	}
	return u, u.left == 0
}

// drop forgets a unit: another peer brought it, or shall.
func (p *parts) drop(whole request) {
	u := p.units[whole]
	if u == nil {
		return
	}
	for i := 0; i*u.each < u.size; i++ {
		if r, _ := u.part(i); p.of[r] == u {
			delete(p.of, r)
		}
	}
	delete(p.units, whole)
	blockPool.Put(u.data)
}

// wholes are the units that are being asked for, in order.
func (p *parts) wholes() []request {
	return slices.SortedFunc(maps.Keys(p.units), func(a, b request) int {
		if a.tree != b.tree {
			if a.tree {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.at, b.at)
	})
}

// clear forgets all units and returns them, in order.
func (p *parts) clear() []request {
	dropped := p.wholes()
	for _, whole := range dropped {
		p.drop(whole)
	}
	p.queue = nil
	return dropped
}
