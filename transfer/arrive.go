package transfer

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"sharer/chunk"
)

// counter counts what the receive path drops before the loop sees it.
type counter = atomic.Int64

// arrival is one Content or MaybeTheyHaveSome as the loop gets it.
type arrival struct {
	from   netip.AddrPort
	via    uint8
	proven bool
	at     time.Time
	size   int // of the datagram, bytes of payload
	tree   bool
	also   bool // under the other hash of the content
	raw    bool // not in base64
	none   bool // MaybeTheyHaveSome: the peer has not what was asked
	offset int64
	data   []byte // n bytes, valid until the next lump is taken
	n      int
	begin  int // where they begin in the bytes of their lump
	each   int // of several answers that came as one: bytes of each, 0: it is one
	eof    int64
	have   []chunk.Range // in bytes, nil: not said
	blake3 chunk.Hash    // what the peer says the BLAKE3 is, zero: not said
}

// arrive takes one answer. Whatever is not an answer to a request that is out,
// from the address that was asked, changes nothing.
func (d *Download) arrive(a *arrival) {
	step := a.each
	if s := d.byAddr[a.from]; s != nil && step == 0 {
		step = s.takesApart(a)
	} else if step == 0 {
		step = chunk.BlockSize
	}
	if a.n <= step || a.tree && step == chunk.BlockSize && a.each == 0 {
		d.arriveOne(a)
		return
	}
	d.pieces = d.pieces[:0]
	for at := 0; at < a.n; at += step {
		d.pieces = append(d.pieces, a.data[at:min(at+step, a.n)])
	}
	d.arriveParts(a, d.pieces)
}

// arriveParts takes several answers with content that lies behind that of the one before. They are like a but for that.
func (d *Download) arriveParts(a *arrival, parts [][]byte) {
	s, around := d.byAddr[a.from], (a.size-a.n)/len(parts)
	one := *a
	one.each = 0
	for len(parts) > 0 {
		one.data, one.n = parts[0], len(parts[0])
		one.size = one.n + around
		taken := 0
		if s != nil {
			taken = d.follow(s, &one, parts)
		}
		if taken == 0 {
			taken = 1
			d.arriveOne(&one)
		}
		for _, part := range parts[:taken] {
			one.offset += int64(len(part))
		}
		one.at = one.at.Add(time.Duration(taken) * apart)
		parts = parts[taken:]
	}
}

// apart is the time between answers that were read with one call. It is about what a datagram takes by itself: to those who measure
// rates, what comes at one moment has none.
const apart = time.Microsecond

// arriveOne takes the answer to one request.
func (d *Download) arriveOne(a *arrival) {
	s := d.byAddr[a.from]
	if s == nil {
		d.stranger(a)
		return
	}
	if s.excluded {
		d.stats.Unrequested++
		return
	}
	if !d.believes(s, a) {
		d.stats.Unproven++
		return
	}
	if a.none {
		d.hasNothing(s, a)
		return
	}
	if u := s.parts.unitOut(a); u != nil {
		d.arriveInUnit(s, u, a)
		return
	}
	r := s.requestOf(a)
	fl, ok := s.flights.answer(r)
	if !ok {
		d.stats.Unrequested++
		return
	}
	if fl.stamp.late = s.trip(fl, a.at); fl.stamp.late {
		d.stats.Late++
		s.length.found(fl.long())
		s.cameLate(fl, a.at)
		s.lostPart = time.Time{} // it was not
	} else if long := a.n > rawPartBytes; long == fl.long() {
		s.outcome(a.at, long, false)
	}
	s.took(d.limits, fl, a)
	d.speed.came(a.at, a.size)
	s.nones = 0
	switch {
	case r.path:
		d.arrivePath(s, a)
		return
	case a.tree:
		d.arriveTree(s, a, fl)
		return
	}
	if !d.believeSize(s, a) {
		d.lost(s, r, fl)
		return
	}
	first := !s.answers
	d.learn(s, a)
	d.arriveBlock(s, a, r, fl, first)
}

// learn takes what an answer says of its peer.
func (d *Download) learn(s *source, a *arrival) {
	d.heardOf(s, a)
	if !s.answers || !a.also || a.blake3 == d.cfg.ID.Hash {
		s.also = a.also && a.blake3 != d.cfg.ID.Hash // it knows the content by the id that has a tree
	}
	s.answers = true
	s.idle = 0
	s.nextAsk = time.Time{}
	d.holds(s, a.have)
	s.front.came(a.offset / chunk.BlockSize)
	if s.front.size > 0 {
		s.run.dry = 0 // what it may be asked for has moved
	}
}

// believes says whether an answer is taken for that of s. One without our cookie, from an address that has
// proven itself, may be somebody else's; at first contact it left before our cookie was there: what is out is asked for
// again, once. Small nodes answer pings, by which they are proven, and never return a cookie with
// content (wire.md section 11): one that is asked again, and has given nothing else for a
// while, is such a node, until a cookie comes.
func (d *Download) believes(s *source, a *arrival) bool {
	switch {
	case a.proven:
		s.vouched, s.bare = true, false
		return true
	case s.bare || !d.cfg.Peers.Proven(a.from):
		return true
	case s.vouched:
		return false
	case s.doubted.IsZero():
		if s.flights.live > 0 {
			s.doubted = a.at
			s.flights.giveUp(func(r request, fl flight) { d.lost(s, r, fl) })
			s.nextAsk = time.Time{}
		}
		return false
	case a.none || !s.flights.has(s.requestOf(a)):
		return false
	case a.at.Sub(s.doubted) < bareAfter: // it is asked again when there is time for a cookie to have come
		s.flights.giveUp(func(r request, fl flight) { d.lost(s, r, fl) })
		s.nextAsk = s.doubted.Add(bareAfter)
		return false
	}
	s.bare = true
	return true
}

// bareAfter is how long a peer has to answer with our cookie, before it counts as one that returns none: more than a round
// trip, lest who forges gets between.
const bareAfter = time.Second

// stranger takes an answer from an address that was not asked. When it fits a request
// that is out, a peer may have got another address (its router has forgotten it, or it
// has moved): that one is asked, as gently as any address without proof.
func (d *Download) stranger(a *arrival) {
	d.stats.Unrequested++
	if a.none || a.tree || a.n == 0 || d.moved >= maxMoved {
		return
	}
	for _, s := range d.sources {
		if s.flights.has(request{at: a.offset}) && s.addr != a.from {
			d.moved++
			d.addSources([]netip.AddrPort{a.from})
			return
		}
	}
}

// maxMoved bounds how many addresses a download takes from answers that nobody was
// asked for: they may be forged.
const maxMoved = 16

// heardOf is told what BLAKE3 a peer says that a content has which is asked for by its
// sha256. It lets each block be checked, so unless much is there already that would be
// fetched again, the download ends for one by that id.
func (d *Download) heardOf(s *source, a *arrival) {
	if a.blake3 == (chunk.Hash{}) || d.cfg.ID.Kind != chunk.SHA256 || d.cfg.Refuse == nil || !a.proven || d.cfg.Refuse(a.blake3) {
		return
	}
	if cheap := max(hintCost, d.size/16); d.cfg.File.DoneBytes() <= cheap || d.mismatched {
		d.fail(&HintError{BLAKE3: a.blake3, From: s.addr})
	}
}

// hintCost is what may be fetched again for the sake of a hint.
const hintCost = 1 << 20

// holds notes what s says it holds, in bytes; nil is all of it (wire.md section 12).
func (d *Download) holds(s *source, have []chunk.Range) {
	switch {
	case have != nil:
		if s.reach.have == nil {
			s.reach, s.run = holding(), noRun
		}
		if d.pick.rarity.gain(s.reach.have, blocksOf(have, d.size)) {
			s.run.dry = 0
		}
	case s.reach.have != nil:
		d.holdsAll(s)
	}
}

// holdsAll notes that s holds everything, as far as is known.
func (d *Download) holdsAll(s *source) {
	d.pick.rarity.lose(s.reach.have)
	s.reach = reach{}
	s.run.dry = 0
}

// believeSize notes the size that s claims. False: the answer is of no use.
func (d *Download) believeSize(s *source, a *arrival) bool {
	if a.eof >= 0 {
		if a.proven && !s.sworn {
			s.sworn = true
			if s.claim != a.eof {
				s.claim = -1 // what was said without proof may have been somebody else's
			}
		} else if !a.proven && s.sworn && s.claim != a.eof {
			return false
		}
		if a.eof > maxSize || s.claim >= 0 && s.claim != a.eof {
			// No content is so large, and none has two sizes.
			d.exclude(s, a.proven)
			return false
		}
		news := s.claim < 0
		s.claim = a.eof
		if d.proven && s.claim != d.size {
			d.exclude(s, a.proven)
			return false
		}
		if news {
			d.chooseSize(a.at)
		}
	}
	return d.size >= 0
}

// arriveBlock puts a block, or a part of one, into its stripe. The first answer of a
// peer may be short without a fault: to the unproven, and because little was asked.
func (d *Download) arriveBlock(s *source, a *arrival, r request, fl flight, first bool) {
	block := a.offset / chunk.BlockSize
	want := int(min(int64(fl.n), d.size-a.offset))
	switch {
	case !s.usable(d.size, d.proven) || block >= d.pick.blocks:
		// Said at another size than the one that is being tried.
		d.lost(s, r, fl)
	case fl.part && a.n == want:
		s.short = 0
		if u, done := s.parts.arrived(r, a.data[:a.n], a.proven); done {
			d.putUnit(s, u, a.at)
		} else if u != nil {
			s.lastGot = a.at
		} else {
			d.stats.Twice++
		}
	case fl.run():
		d.arriveRun(s, a, r, fl)
	case a.n != d.blockLen(block) && (first || a.offset == s.probe):
		s.probe = -1
		d.lost(s, r, fl)
	case a.n != d.blockLen(block) || a.offset%chunk.BlockSize != 0:
		d.stats.Short++
		s.short++
		if a.n >= partBytes {
			s.length.tooLong(a.at)
		}
		if a.n == 0 && a.have == nil || s.short > shortsLimit {
			d.rest(s, a.at)
		}
		d.lost(s, r, fl)
	default:
		s.short = 0
		s.parts.came(request{at: block * chunk.BlockSize})
		if fl.part {
			d.lost(s, r, fl) // the block came late, in the answer to an earlier question: the rest of its unit lacks this part
		}
		d.putBlock(s, block, a.data[:a.n], a.proven, a.at)
	}
}

// arriveRun takes the answer to a request for several blocks; those that it lacks are asked for elsewhere.
func (d *Download) arriveRun(s *source, a *arrival, r request, fl flight) {
	if r.at%chunk.BlockSize != 0 {
		d.lost(s, r, fl)
		return
	}
	want := int(min(int64(fl.n), d.size-r.at))
	n := min(a.n, want)
	if a.n != want {
		if a.n < want && n%chunk.BlockSize != 0 {
			s.near = false // less than was asked for is what passes
		}
		n -= n % chunk.BlockSize
	}
	for at := 0; at < n; at += chunk.BlockSize {
		d.putBlock(s, (r.at+int64(at))/chunk.BlockSize, a.data[at:min(at+chunk.BlockSize, n)], a.proven, a.at)
	}
	if n < want {
		if s.short++; n == 0 && a.have == nil || s.short > shortsLimit {
			d.rest(s, a.at)
		}
		d.stats.Short++
		d.lost(s, request{at: r.at + int64(n)}, flight{n: int32(want - n)})
		return
	}
	s.short = 0
}

// putUnit takes the blocks of a unit that s gave in parts, and frees it.
func (d *Download) putUnit(s *source, u *unit, now time.Time) {
	for b := range u.blocks {
		from := int(b.at - u.whole.at)
		d.putBlock(s, b.at/chunk.BlockSize, u.data[from:min(from+chunk.BlockSize, len(u.data))], !u.weak, now)
	}
	u.free()
}

// putBlock takes a whole block that s gave.
func (d *Download) putBlock(s *source, block int64, data []byte, sure bool, now time.Time) {
	if d.untrusted(s) && s.unchecked(0) { // answers that had been given up and came together
		d.back(s, request{at: block * chunk.BlockSize})
		return
	}
	st := d.pick.arrived(block, data, s.slot, sure)
	if st == nil {
		d.stats.Twice++
		return
	}
	d.stats.Fetched += int64(len(data))
	s.came++
	s.lastGot = now
	d.lastGood = now
	if st.since.IsZero() {
		st.since = now
	}
	if st.full() || block == d.pick.urgent || s.gave == 0 || s.bad > 0 || d.pick.jumpedTo(block) {
		if d.taking && !st.leaves {
			d.unchecked = append(d.unchecked, st)
		} else {
			d.handIfReady(st)
		}
	}
}

// blockLen is the length of a block at the candidate size.
func (d *Download) blockLen(block int64) int {
	return int(min(chunk.BlockSize, d.size-block*chunk.BlockSize))
}

// isNoParent tells an early piece or block from a wrong one.
func isNoParent(err error) bool { return errors.Is(err, chunk.ErrNoParent) }

func isBadTree(err error) bool { return errors.Is(err, chunk.ErrBadTree) }
