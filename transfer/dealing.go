package transfer

import (
	"net/netip"
	"time"

	"sharer/wire"
)

// limits are those that a request and its answer are held to; any may be nil.
type limits struct {
	up, down *Limit
	share    *Limit // of what comes for those who share it
}

// peerWait is how long the limits of one peer keep a request to it back, whose answer costs so much.
func (l limits) peerWait(now time.Time, addr netip.AddrPort, cost int) time.Duration {
	return max(l.down.WaitPeer(now, addr, cost), l.up.WaitPeer(now, addr, requestCost))
}

// wait is how long the limits of all peers together do.
func (l limits) wait(now time.Time, cost int) time.Duration {
	return max(l.down.WaitAll(now, cost), l.share.WaitAll(now, cost), l.up.WaitAll(now, requestCost))
}

// promise counts an answer that was asked for.
func (l limits) promise(now time.Time, addr netip.AddrPort, cost int) {
	l.down.TakeAll(now, cost)
	l.down.TakePeer(now, addr, cost)
	l.share.TakeAll(now, cost)
}

// giveBack takes back what was promised of an answer and does not come.
func (l limits) giveBack(now time.Time, addr netip.AddrPort, n int) {
	l.down.Return(now, addr, n)
	l.share.Return(now, addr, n)
}

// asked counts a datagram with requests.
func (l limits) asked(now time.Time, addr netip.AddrPort, size int) {
	l.up.TakeAll(now, size+wire.HeaderBytes)
	l.up.TakePeer(now, addr, size+wire.HeaderBytes)
}

// windowFull says whether a request whose answer costs so much must wait for others of s. One may always be out. After a timeout without
// any answer it takes a few of them to see whether the path is there.
func (s *source) windowFull(cost int) bool {
	window := s.control.window()
	if s.silent > 0 {
		window /= 4
	}
	return s.flights.live > 0 && s.flights.bytes+cost > window
}

// savesUp says whether a request whose answer costs so much waits until a quarter of the window is free, once it was full. Where round trips are
// too short for a pacer each answer would let one more request out, for which both sides are woken. A window is four milliseconds' worth there,
// so this is the lump of a pacer, and what is left in flight is more than the path holds. What the path is like is found out without: losses of lumps say less of it.
func (s *source) savesUp(cost int) bool {
	window := s.control.window()
	switch {
	case s.control.pace() > 0 || s.control.fits() == 0 || s.length.unsure():
		s.saving = false
	case s.flights.bytes+cost > window:
		s.saving = true
	case s.flights.bytes <= window-window/4:
		s.saving = false
	}
	return s.saving && s.flights.live > 0
}

// restart tells the congestion control that nothing was asked of s for a while.
func (s *source) restart(now time.Time) {
	if s.flights.live == 0 && !s.lastSent.IsZero() && now.Sub(s.lastSent) > max(s.rto(now), time.Second) {
		s.control.restart(now)
	}
}

// paced says whether its pacer and the limits of a peer let a request out now, and else how long they do not.
func (s *source) paced(l limits, cost int, now time.Time) (ok bool, wait time.Duration) {
	if ok, wait = s.pacer.allows(now, s.control.pace(), cost); !ok {
		return false, wait
	}
	if wait = l.peerWait(now, s.addr, cost); wait > 0 {
		s.control.starved(now)
		return false, wait
	}
	return true, 0
}

// sent notes a request as out; fl says what was asked for.
func (s *source) sent(l limits, r request, fl flight, now time.Time) {
	cost := s.costOf(fl)
	l.promise(now, s.addr, cost)
	fl.sent, fl.cost, fl.stamp = now, int32(cost), s.control.sent(now, cost, s.flights.bytes+cost)
	s.flights.add(r, fl)
	s.pacer.spend(cost)
	s.lastSent = now
}

// took counts an answer to a request that was out, or had been given up.
func (s *source) took(l limits, fl flight, a *arrival) {
	if !fl.lost {
		l.giveBack(a.at, s.addr, int(fl.cost)-a.size-wire.HeaderBytes)
	}
	l.share.Charge(a.at, s.addr, a.size+wire.HeaderBytes)
	if !fl.mute {
		s.control.answered(a.at, fl.stamp, int(fl.cost), s.flights.bytes)
	}
	s.learnRaw(fl, a)
	s.learnCost(a.n, a.size)
	s.via, s.silent, s.answered = a.via, 0, a.at
}

// expire gives up requests whose answer is overdue, and calls gone for each. True: some were given up for their age, which counts at most
// once for each timeout.
func (s *source) expire(l limits, now time.Time, gone func(r request, fl flight, byOrder bool)) bool {
	if s.flights.live == 0 && s.flights.given.empty() {
		return false
	}
	if s.overtaken > 0 && now.Sub(s.overtakenAt) > calmAfter {
		s.overtaken = 0
	}
	timedOut := s.flights.expire(now, s.waits(now), func(r request, fl flight, byOrder bool) {
		l.giveBack(now, s.addr, int(fl.cost)-s.parts.paid(r))
		s.control.lost(now, fl.stamp, int(fl.cost), s.flights.bytes)
		gone(r, fl, byOrder)
	})
	if !timedOut || now.Sub(s.lastOut) < s.rto(now) {
		return false
	}
	s.lastOut = now
	s.silent++
	return true
}
