package transfer

import (
	"math/bits"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// Where a download is fast and nothing is lost, most of its work was the account of each packet: its flight, its round trip, its
// place in what the congestion control remembers. There all parts of a unit are one flight, as a run is over loopback: it is asked for
// with one request, answered when its last part has come, and lost as one. What has come of one that was lost is kept; the rest is asked
// for part by part, and so is all else until nothing was lost for unitsAfter.
const unitsAfter = 200 * time.Millisecond

// wantsUnit says whether the next unit that s is asked for is one flight.
func (d *Download) wantsUnit(s *source, now time.Time) bool {
	return d.speed.fast && s.each.known && !s.length.short && now.Sub(s.lostPart) >= unitsAfter
}

// beginAsOne is begin with one request for all parts, of n bytes.
func (p *parts) beginAsOne(whole request, size, most int) (r request, u *unit, n int) {
	u = p.add(whole, size, most)
	u.asOne = true
	return request{at: whole.at, unit: true}, u, size
}

// unitOut is the unit, asked for with one flight, that an answer belongs to, or nil.
func (p *parts) unitOut(a *arrival) *unit {
	if a.tree || a.none || !a.raw {
		return nil
	}
	if u := p.units[request{at: a.offset &^ (chunk.BlockSize - 1)}.key()]; u != nil && u.asOne {
		return u
	}
	return nil
}

// lostUnit has what has not come of a unit asked for part by part, before others. If it was out, each part counts as given up from here on.
func (s *source) lostUnit(r request, whole flight) {
	u := s.parts.unit(request{at: r.at})
	if u == nil || !u.asOne {
		return
	}
	u.asOne = false
	for m := u.left; m != 0; m &= m - 1 {
		part, n := u.part(bits.TrailingZeros64(m))
		s.parts.again.push(part)
		if fl := whole; fl.lost {
			fl.unit, fl.mute, fl.n, fl.cost = false, m != u.left, int32(n), int32(s.cost(n))
			s.flights.gaveUp(part, fl)
		}
	}
}

// paid is how many bytes of the wire have come of what is given up, which were counted then.
func (p *parts) paid(r request) int {
	if u := p.unit(request{at: r.at}); r.unit && u != nil && u.asOne {
		return u.wire
	}
	return 0
}

// take takes the part that begins at an offset of the content. False: it is none, or has come before.
func (u *unit) take(offset int64, data []byte) bool {
	at := int(offset - u.whole.at)
	i := at / u.each
	if at < 0 || at%u.each != 0 || i >= unitParts || u.left>>i&1 == 0 || len(data) != min(u.each, len(u.data)-at) {
		return false
	}
	copy(u.data[at:], data)
	u.left &^= 1 << i
	return true
}

// costOf is how many bytes of the wire the answer to a request takes, or all answers to one for a unit.
func (s *source) costOf(fl flight) int {
	if !fl.unit {
		return s.cost(int(fl.n))
	}
	return s.encoded(int(fl.n)) + int((fl.n+fl.each-1)/fl.each)*s.extra
}

// arriveInUnit takes one part of a unit that is out as one.
func (d *Download) arriveInUnit(s *source, u *unit, a *arrival) {
	if !d.believeSize(s, a) {
		return // its unit is lost in time
	}
	d.learn(s, a)
	s.nones, s.short = 0, 0
	if s.parts.unitOut(a) != u { // at another size all has begun anew, and its memory is somebody else's
		return
	}
	if !s.usable(d.size, d.proven) || !u.take(a.offset, a.data[:a.n]) {
		d.stats.Unrequested++
		return
	}
	u.weak = u.weak || !a.proven
	d.cameOfUnit(s, u, a, 1)
}

// cameOfUnit counts so many answers like a, of a unit that is out as one.
func (d *Download) cameOfUnit(s *source, u *unit, a *arrival, count int) {
	wireBytes := count * (a.size + wire.HeaderBytes)
	u.wire += wireBytes
	d.limits.share.Charge(a.at, s.addr, wireBytes)
	d.speed.came(a.at, count*a.size)
	s.via, s.silent, s.answered, s.lastGot = a.via, 0, a.at, a.at
	if u.left != 0 {
		return
	}
	if fl, ok := s.flights.answer(request{at: u.whole.at, unit: true}); ok {
		fl.stamp.late = s.trip(fl, a.at)
		d.limits.giveBack(a.at, s.addr, int(fl.cost)-u.wire)
		s.control.answered(a.at, fl.stamp, int(fl.cost), s.flights.bytes)
		s.length.outcome(a.at, false, false)
		s.learnCost(a.n, a.size)
	}
	s.parts.forget(u)
	d.putUnit(s, u, a.at)
}

// follow takes those of the parts, the first of which is a's, that belong to a unit which is out as one, where a tells nothing that is
// not known: nothing has to be looked at but their lengths. It returns how many it took.
func (d *Download) follow(s *source, a *arrival, parts [][]byte) (taken int) {
	u := s.parts.unitOut(a)
	if u == nil || !d.plain(s, a) {
		return 0
	}
	offset := a.offset
	for taken < len(parts) && len(parts[taken]) == a.n && u.take(offset, parts[taken]) {
		offset += int64(a.n)
		taken++
	}
	if taken > 0 {
		d.cameOfUnit(s, u, a, taken)
	}
	return taken
}

// plain says that an answer tells nothing new of its peer: it is proven, of the size that the peer has sworn to, of the very id, and the
// peer holds everything, as before.
func (d *Download) plain(s *source, a *arrival) bool {
	return a.proven && !a.also && a.have == nil && (a.eof < 0 || s.sworn && a.eof == s.claim) &&
		(a.blake3 == chunk.Hash{} || a.blake3 == d.cfg.ID.Hash) &&
		s.vouched && !s.bare && !s.also && !s.excluded && s.front.size == 0 && s.reach.have == nil && s.usable(d.size, d.proven)
}
