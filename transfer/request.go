package transfer

import (
	"time"

	"sharer/chunk"
)

// maxWindow is how many bytes of answers of one peer may be on the wire: 2 MiB of content, what a receive buffer of 4 MiB bears with its overhead.
const maxWindow = 512 * 5700

// request tops up the windows. Peers take turns, a few requests each, so that
// none takes every block when little is left.
func (d *Download) request(now time.Time) {
	if d.size < 0 || now.Before(d.stopLim) {
		return
	}
	room := d.share()
	fastest := time.Duration(0)
	for _, s := range d.sources {
		s.proven = d.cfg.Peers.Proven(s.addr)
		room -= s.flights.bytes
		if rtt := s.rtt.Smoothed(); s.answers && rtt > 0 && !s.quiet() && (fastest == 0 || rtt < fastest) {
			fastest = rtt
		}
	}
	pace := 0.0
	d.quick = false
	for _, s := range d.sources {
		if s.slow = s.rtt.Smoothed() > 4*fastest+50*time.Millisecond; !s.slow && s.reach.have == nil && s.usable(d.size, d.proven) && !s.quiet() {
			pace += s.control.pace()
			d.quick = d.quick || !s.also && !s.treeless() && (!d.crowd.few || s.asked)
		}
	}
	d.left = 0
	if pace > 0 {
		d.left = time.Duration(float64(d.pick.remaining()) * float64(chunk.BlockSize*4/3) / pace * float64(time.Second))
	}
	room = d.askPaths(room, now)
	const lump = 16
	for progress := true; progress && room > 0; {
		progress = false
		for i := range d.sources {
			s := d.sources[(d.turn+i)%len(d.sources)]
			for range lump {
				cost, before := s.cost(d.nextLength(s)), s.flights.bytes
				if room < cost && room < d.share() || !d.mayAsk(s, cost, now) {
					break
				}
				if s.dry = !d.askOne(s, now); s.dry {
					s.control.starved(now)
					d.copyLast(s, now)
					break
				}
				room -= s.flights.bytes - before
				progress = true
			}
		}
		d.turn++
	}
}

// mayAsk says whether s may get a request now whose answer costs so much.
func (d *Download) mayAsk(s *source, cost int, now time.Time) bool {
	if !s.usable(d.size, d.proven) || now.Before(s.nextAsk) || d.only != nil && s != d.only {
		return false
	}
	if d.crowd.few && !s.asked && !s.quiet() && !s.parts.waiting() {
		return false
	}
	if s.quiet() || !s.proven {
		// One at a time to those who went silent or never proved their address
		// (RFC 8085 section 3.1.1).
		if s.flights.live > 0 {
			return false
		}
		ok, next := d.cfg.Peers.MayRequest(s.addr, now)
		if !ok {
			s.nextAsk = orLater(next, now)
		}
		return ok
	}
	s.restart(now)
	if !d.speed.fast && s.savesUp(cost) || s.windowFull(cost) {
		return false
	}
	ok, wait := s.paced(d.limits, cost, now)
	if !ok {
		d.wakeAt(now.Add(wait))
	}
	return ok
}

// askOne sends one request to s: a piece of the tree first, since everything
// waits for it, then a block. False: there is nothing to ask of it.
func (d *Download) askOne(s *source, now time.Time) bool {
	if s.quiet() { // nothing is entrusted to it that others could bring
		s.probe = 0
		return d.send(s, request{}, flight{n: pollBytes, also: s.also}, 0, now)
	}
	r, u, n, part := s.parts.next()
	if !part {
		if d.crowd.few && !s.asked { // what was begun is all that it is asked for
			return false
		}
		var size int
		var ok bool
		if r, n, size, ok = d.nextWhole(s, now); !ok {
			return false
		}
		if d.inParts(s) && size <= s.part() {
			n = min(n, s.part()) // the last block: the window was looked at for a part
		}
		if size > s.part() && d.inParts(s) && !d.probes(s, n, now) {
			if !r.tree {
				size += d.more(s, r.at/chunk.BlockSize, now)
				d.leaveUnits(s, r, size)
			}
			if !r.tree && d.wantsUnit(s, now) {
				r, u, n = s.parts.beginAsOne(r, size, s.part())
			} else {
				s.parts.begin(r, size, s.part())
				r, u, n, _ = s.parts.next()
			}
		}
	}
	fl := flight{n: int32(n), also: s.also}
	switch {
	case u != nil:
		fl.part, fl.unit, fl.each = true, r.unit, int32(u.each)
	case s.near && !r.tree && n == chunk.BlockSize:
		fl.n += int32(d.more(s, r.at/chunk.BlockSize, now)+chunk.BlockSize-1) &^ (chunk.BlockSize - 1) // the last one in full
	}
	pad := 0
	if !s.proven {
		pad = unprovenPad
	}
	if d.withinLimit(s.costOf(fl), now) && d.send(s, r, fl, pad, now) {
		if u != nil && u.sent.IsZero() {
			u.sent = now
		}
		return true
	}
	d.lost(s, r, fl)
	return false
}

// probes says whether a request for n bytes is a long one though others are short, to see whether such come back.
func (d *Download) probes(s *source, n int, now time.Time) bool {
	fits := s.flights.live == 0 || s.flights.bytes+s.cost(n) <= s.control.window()
	return s.length.short && fits && s.length.probe(now)
}

// more takes blocks that follow one that is to be asked of s in parts, where one request is for many of them. It
// returns how many bytes they have: all together no more than an eighth of what may be in flight, so that several requests are.
func (d *Download) more(s *source, block int64, now time.Time) (size int) {
	window := s.control.window()
	most := min(window/8, window-s.flights.bytes-s.extra, maxAnswer)/chunk.BlockSize - 1
	if !s.raw.speaks || d.untrusted(s) || d.cfg.TreeOnly || d.pick.crowd || most <= 0 {
		return 0
	}
	for i := range d.pick.takeMore(block, most, d.reachOf(s, now)) {
		d.pick.stripeOf(block + 1 + i).by[(block+1+i)%stripeBlocks] = s.slot
		size += d.blockLen(block + 1 + i)
	}
	return size
}

// withinLimit says whether the limits of all peers together let another request out and its answer
// come.
func (d *Download) withinLimit(cost int, now time.Time) bool {
	if now.Before(d.stopLim) {
		return false
	}
	if wait := d.limits.wait(now, cost); wait > 0 {
		d.stopLim = now.Add(wait)
		return false
	}
	return true
}

// send opens a datagram for one request. One request a datagram: an answer of
// several would be one datagram of many fragments from the best-known node, and
// nothing at all above 65507 bytes (wire.md section 5). Blocks that follow one another are
// one request where the way to a peer has no fragments: see asking.
func (d *Download) send(s *source, r request, fl flight, pad int, now time.Time) bool {
	if !d.asking.extend(s, r, &fl, now) && !d.openAsk(s, r, &fl, pad, now) {
		return false
	}
	if s.flights.live == 0 {
		s.granted = s.costOf(fl) // one may always be out
	}
	s.granted = max(s.granted, s.control.window())
	s.sent(d.limits, r, fl, now)
	d.stats.Requests++
	return true
}
