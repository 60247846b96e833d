package transfer

import (
	"time"

	"sharer/chunk"
	"sharer/swarm"
	"sharer/wire"
)

const (
	maxWindow       = 512 // requests to one peer: 2 MiB, what a receive buffer of 4 MiB bears with its overhead
	unprovenStripes = 3   // stripes in memory while a size is only claimed: less than 1 MiB
	idleWait        = time.Second
	pollEvery       = time.Second
)

// plan does what the clock demands and asks what may be asked. It returns how
// long nothing more will be due.
func (d *Download) plan(now time.Time) time.Duration {
	d.chooseSize(now)
	d.expire(now)
	d.flushStale(now)
	d.wantTree()
	if now.Sub(d.lastFind) >= findEvery || len(d.sources) == 0 && d.lastFind.IsZero() {
		d.lastFind = now
		d.addSources(d.cfg.Find(maxAsked))
	}
	d.seek(now)
	d.request(now)
	d.watch(now)
	return d.nextWake(now)
}

// watch ends a download that gets nowhere.
func (d *Download) watch(now time.Time) {
	if d.hashing > 0 {
		return // the disk is busy with the whole; no peer is to blame
	}
	d.watchSolo(now)
	switch found := d.found(); {
	case !found && d.mismatched && now.Sub(d.started) >= d.cfg.FindTimeout:
		d.fail(ErrIntegrity)
	case !found && now.Sub(d.started) >= d.cfg.FindTimeout && d.cfg.File.DoneBytes() > 0:
		d.fail(ErrStalled)
	case !found && now.Sub(d.started) >= d.cfg.FindTimeout:
		d.fail(ErrNotFound)
	case found && now.Sub(d.lastGood) >= d.cfg.StallTimeout:
		d.fail(ErrStalled)
	}
}

// expire gives up requests whose answer is overdue.
func (d *Download) expire(now time.Time) {
	for _, s := range d.sources {
		if s.flights.live == 0 && s.flights.given.empty() {
			continue
		}
		lost := 0
		timedOut := s.flights.expire(now, s.reorder(), s.rto(), lateMemory, func(r request) {
			lost++
			if r.tree {
				s.noTree++
			}
			d.back(s, r)
		})
		d.stats.Lost += int64(lost)
		s.window.loss(lost)
		if timedOut {
			s.timedOut(now)
		}
	}
}

// flushStale hands over stripes that have waited long for their last blocks, so
// that a crash loses little and others can be served.
func (d *Download) flushStale(now time.Time) {
	for _, s := range d.pick.active {
		if s.got == 0 || s.checking {
			continue
		}
		if s.full() || d.pick.gotUrgent(s) || now.UnixNano()-s.since >= int64(flushAfter) {
			d.handIfReady(s)
		}
	}
}

// wantTree queues the pieces that active stripes need to be checked.
func (d *Download) wantTree() {
	if d.treeID == nil || d.size < 0 {
		return
	}
	if d.pick.urgent >= 0 {
		d.tree.wantLeaf(d.cfg.File.Tree(), d.pick.urgent)
	}
	for _, s := range d.pick.active {
		if !s.leaves {
			s.leaves = d.tree.wantLeaf(d.cfg.File.Tree(), s.index*stripeBlocks)
		}
	}
}

// seek asks peers that have not answered yet whether they have it.
func (d *Download) seek(now time.Time) {
	asked := 0
	for _, s := range d.sources {
		if s.excluded || asked >= maxAsked {
			continue
		}
		if s.answers {
			d.poll(s, now)
			continue
		}
		if s.flights.live > 0 || now.Before(s.nextAsk) {
			continue
		}
		asked++
		if ok, next := d.cfg.Peers.MayRequest(s.addr, now); !ok {
			s.nextAsk = orLater(next, now)
			continue
		}
		s.probe = 0
		if d.send(s, request{}, d.firstLength(), d.padFor(s), now) {
			most := 30 * time.Second
			if d.cfg.Peers.Proven(s.addr) {
				most = 4 * time.Second
			}
			s.idle = min(max(2*s.idle, time.Second), most)
			s.nextAsk = now.Add(s.idle)
		} else {
			s.nextAsk = now.Add(idleWait)
		}
	}
}

// poll asks a peer that holds a part, and nothing that is wanted now, what it holds
// meanwhile.
func (d *Download) poll(s *source, now time.Time) {
	if s.reach.have == nil || s.flights.live > 0 || now.Before(s.nextAsk) || now.Sub(s.polled) < pollEvery || now.Sub(s.lastSent) < pollEvery {
		return
	}
	at := int64(0)
	if len(s.reach.have) > 0 {
		at = s.reach.have[0].From * chunk.BlockSize
	}
	s.polled, s.probe = now, at
	d.send(s, request{at: at}, 64, 0, now)
}

// firstLength is how much a peer is asked for that has not answered yet: the
// first few for a block, so that a small content needs no second question, the
// others for just enough to learn the size and what they hold.
func (d *Download) firstLength() int {
	if d.size < 0 && d.stats.Requests < 3 {
		return chunk.BlockSize
	}
	return 64
}

func (d *Download) padFor(s *source) int {
	if d.cfg.Peers.Proven(s.addr) {
		return 0
	}
	return unprovenPad
}

// request tops up the windows. Peers take turns, a few requests each, so that
// none takes every block when little is left.
func (d *Download) request(now time.Time) {
	if d.size < 0 || now.Before(d.stopLim) {
		return
	}
	room := d.share()
	for _, s := range d.sources {
		room -= s.flights.live
	}
	const lump = 16
	for progress := true; progress && room > 0; {
		progress = false
		for i := range d.sources {
			s := d.sources[(d.turn+i)%len(d.sources)]
			n := min(d.mayAsk(s, now), lump, room)
			for ; n > 0 && d.askOne(s, now); n-- {
				room--
				progress = true
			}
		}
		d.turn++
	}
}

// mayAsk says how many requests s may get now.
func (d *Download) mayAsk(s *source, now time.Time) int {
	if !s.usable(d.size, d.proven) || now.Before(s.nextAsk) || d.only != nil && s != d.only {
		return 0
	}
	if s.quiet() || !d.cfg.Peers.Proven(s.addr) {
		// One at a time to those who went silent or never proved their address
		// (RFC 8085 section 3.1.1).
		if s.flights.live > 0 {
			return 0
		}
		if ok, next := d.cfg.Peers.MayRequest(s.addr, now); !ok {
			s.nextAsk = orLater(next, now)
			return 0
		}
		return 1
	}
	if s.flights.live == 0 && !s.lastSent.IsZero() && now.Sub(s.lastSent) > max(s.rto(), time.Second) {
		s.window.restart(now)
	}
	return s.window.allows(s.flights.live)
}

// askOne sends one request to s: a piece of the tree first, since everything
// waits for it, then a block. False: there is nothing to ask of it.
func (d *Download) askOne(s *source, now time.Time) bool {
	if d.asksTree(s) {
		if off, n, ok := d.tree.next(); ok {
			if d.paced(now) && d.send(s, request{tree: true, at: off}, n, 0, now) {
				return true
			}
			d.tree.lost(off)
			return false
		}
	}
	block, ok := d.pickBlock(s, now)
	if !ok {
		return false
	}
	if d.paced(now) && d.send(s, request{at: block * chunk.BlockSize}, chunk.BlockSize, d.padFor(s), now) {
		return true
	}
	d.back(s, request{at: block * chunk.BlockSize}) // it may be in flight to another
	return false
}

// asksTree says whether s is one to ask for the tree: nodes that know sha256
// ids only have none, and leave such requests unanswered.
func (d *Download) asksTree(s *source) bool {
	if s.reach.have != nil {
		for _, o := range d.sources {
			if o.reach.have == nil && o.noTree < 4 && !o.quiet() && o.usable(d.size, d.proven) {
				return false
			}
		}
	}
	if s.noTree < 4 {
		return true
	}
	for _, o := range d.sources {
		if o.noTree < s.noTree && o.usable(d.size, d.proven) {
			return false
		}
	}
	return true
}

func (d *Download) pickBlock(s *source, now time.Time) (int64, bool) {
	if d.cfg.TreeOnly && d.pick.urgent < 0 {
		return 0, false
	}
	if d.cfg.TreeOnly {
		return d.pick.takeUrgent()
	}
	b, ok := d.pick.take(s.reach, &s.current, func(i int64) bool { return d.inHand(s, i) })
	if !ok {
		b, ok = d.pick.again(s.reach, func(b int64) bool { return d.worthTwice(s, b, now) })
	}
	if ok {
		d.pick.stripeOf(b).by[b%stripeBlocks] = s.slot
	}
	return b, ok
}

// inHand says whether another peer works on the stripe.
func (d *Download) inHand(s *source, index int64) bool {
	for _, o := range d.sources {
		if o != s && o.current == index && o.flights.live > 0 {
			return true
		}
	}
	return false
}

// worthTwice says whether, at the end, a block that another peer was asked for
// is asked of s too: its answer is overdue by that peer's own measure, or s
// would bring it much sooner.
func (d *Download) worthTwice(s *source, block int64, now time.Time) bool {
	o := d.sources[d.pick.stripeOf(block).by[block%stripeBlocks]]
	fl, ok := o.flights.out[request{at: block * chunk.BlockSize}]
	if !ok || fl.lost || o == s {
		return false
	}
	age := now.Sub(fl.sent)
	return age > 2*o.rtt.Smoothed() && age > s.rtt.Smoothed() || o.rtt.Smoothed() > 4*s.rtt.Smoothed()
}

// paced says whether the limit lets another answer come.
func (d *Download) paced(now time.Time) bool {
	if d.cfg.Limit == nil {
		return true
	}
	if now.Before(d.stopLim) {
		return false
	}
	cost := chunk.BlockSize*4/3 + answerOverhead
	r := d.cfg.Limit.ReserveN(now, cost)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		d.stopLim = now.Add(wait)
		return false
	}
	return true
}

// send opens a datagram for one request. One request a datagram: an answer of
// several would be one datagram of many fragments from the best-known node, and
// nothing at all above 65507 bytes (wire.md section 5).
func (d *Download) send(s *source, r request, n, pad int, now time.Time) bool {
	buf, ok := d.cfg.Batch.Open(s.addr, s.via, swarm.Request)
	if !ok {
		return false
	}
	d.ask.ID, d.ask.Offset, d.ask.Length = d.contID, r.at, int64(n)
	if r.tree {
		d.ask.ID = d.treeID
	}
	d.cfg.Batch.Close(wire.AppendMessage(buf, &d.ask), pad)
	s.flights.add(r, now)
	s.lastSent = now
	d.stats.Requests++
	return true
}

// nextWake returns how long the loop may sleep.
func (d *Download) nextWake(now time.Time) time.Duration {
	wake := now.Add(idleWait)
	earlier := func(t time.Time) {
		if t.Before(wake) {
			wake = t
		}
	}
	for _, s := range d.sources {
		if sent, ok := s.flights.oldest(); ok {
			earlier(sent.Add(s.rto()))
		} else if !s.excluded && s.nextAsk.After(now) {
			earlier(s.nextAsk)
		}
	}
	if d.stopLim.After(now) {
		earlier(d.stopLim)
	}
	if !d.found() {
		earlier(d.started.Add(d.cfg.FindTimeout))
	} else {
		earlier(d.lastGood.Add(d.cfg.StallTimeout))
	}
	return max(wake.Sub(now), time.Millisecond)
}

// orLater is when to ask the gate again about an address that it refuses: when
// it says, or in a while if it says never.
func orLater(next, now time.Time) time.Time {
	if next.IsZero() {
		return now.Add(15 * time.Second)
	}
	return next
}
