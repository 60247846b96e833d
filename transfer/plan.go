package transfer

import (
	"time"

	"sharer/chunk"
)

const (
	maxWindow       = 512 * 5700 // bytes of answers of one peer on the wire: 2 MiB of content, what a receive buffer of 4 MiB bears with its overhead
	unprovenStripes = 3          // stripes in memory while a size is only claimed: less than 1 MiB
	idleWait        = time.Second
	minWake         = 100 * time.Microsecond // what a timer can be trusted with
	pollBytes       = 64                     // what is asked of a peer to learn the size and what it holds
)

// plan does what the clock demands and asks what may be asked. It returns how
// long nothing more will be due.
func (d *Download) plan(now time.Time) time.Duration {
	d.wake = time.Time{}
	d.chooseSize(now)
	d.expire(now)
	d.flushStale(now)
	d.wantTree()
	d.pick.first = d.pick.first[:0]
	if d.cfg.Demand != nil {
		d.pick.first = d.cfg.Demand.windows(d.pick.first)
	}
	d.pick.first = d.vains.windows(d.pick.first, maxReaders, now)
	if now.Sub(d.lastFind) >= findEvery || len(d.sources) == 0 && d.lastFind.IsZero() {
		d.lastFind = now
		d.addSources(d.cfg.Find(maxAsked))
	}
	d.gather(now)
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
	case !found && d.onlyAlso() && now.Sub(d.started) >= alsoPatience:
		d.fail(ErrNotFound)
	case !found && now.Sub(d.started) >= d.cfg.FindTimeout && d.cfg.File.DoneBytes() > 0:
		d.fail(ErrStalled)
	case !found && now.Sub(d.started) >= d.cfg.FindTimeout:
		d.fail(ErrNotFound)
	case found && d.contradicted && now.Sub(d.lastGood) >= doubtStall:
		d.fail(ErrIntegrity)
	case found && now.Sub(d.lastGood) >= d.cfg.StallTimeout:
		d.fail(ErrStalled)
	}
}

// alsoPatience is how long somebody is looked for who has the tree, while others offer
// the content without.
const alsoPatience = 8 * time.Second

// doubtStall is how long nothing of use may come when the two hashes of the content do
// not seem to belong together.
const doubtStall = 30 * time.Second

// onlyAlso says whether there are peers, and all of them know the content by its other
// hash only.
func (d *Download) onlyAlso() bool {
	for _, s := range d.sources {
		if s.also && s.answers && !s.excluded {
			return true
		}
	}
	return false
}

// expire gives up requests whose answer is overdue.
func (d *Download) expire(now time.Time) {
	for _, s := range d.sources {
		if s.flights.live == 0 && s.flights.given.empty() {
			continue
		}
		if s.overtaken > 0 && now.Sub(s.overtakenAt) > calmAfter {
			s.overtaken = 0
		}
		timedOut := s.flights.expire(now, s.reorder(), s.rto(now), lateMemory, func(r request, fl flight, byOrder bool) {
			d.stats.Lost++
			d.giveBack(now, s, int(fl.cost))
			s.control.lost(now, fl.stamp, int(fl.cost), s.flights.bytes)
			fl.lost = true
			if byOrder {
				s.length.outcome(now, fl.long(), true)
			}
			if r.tree {
				s.noTree++
			}
			d.lost(s, r, fl)
		})
		if timedOut {
			d.timedOut(s, now)
		}
	}
}

// timedOut is told that requests were given up for their age; it counts at most once
// for each timeout.
func (d *Download) timedOut(s *source, now time.Time) {
	if now.Sub(s.lastOut) < s.rto(now) {
		return
	}
	s.lastOut = now
	s.silent++
	s.run = noRun
	if s.answers {
		s.length.silent(now, s.silent)
	}
	if s.quiet() {
		s.control.timeout(now)
		for _, whole := range s.parts.clear() {
			d.back(s, whole)
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
		patience := flushAfter
		switch {
		case d.pick.awaited(s):
			patience = readerPatience
			d.wakeAt(now.Add(patience))
		case d.pick.crowd:
			patience = shareAfter
			d.wakeAt(now.Add(patience))
		}
		if s.full() || d.pick.gotUrgent(s) || now.UnixNano()-s.since >= int64(patience) {
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
	if d.wholeTree {
		d.tree.complete(d.cfg.File.Tree())
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
		if s.answers && (!s.also || d.proven) {
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
		also := d.alsoID != nil && s.seeks%2 == 1 // the one hash, then the other
		s.seeks++
		if d.send(s, request{}, flight{n: int32(d.firstLength(s)), also: also}, d.padFor(s), now) {
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

// firstLength is how much a peer is asked for that has not answered yet: the
// first few for a block, so that a small content needs no second question, the
// others for just enough to learn the size and what they hold. Who does not answer
// that is not asked so again: a way that eats fragments eats such answers.
func (d *Download) firstLength(s *source) int {
	if d.size < 0 && d.stats.Requests < 3 && s.seeks == 1 && !s.length.short {
		return chunk.BlockSize
	}
	return pollBytes
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
	fastest := time.Duration(0)
	for _, s := range d.sources {
		s.proven = d.cfg.Peers.Proven(s.addr)
		room -= s.flights.bytes
		if rtt := s.rtt.Smoothed(); s.answers && rtt > 0 && !s.quiet() && (fastest == 0 || rtt < fastest) {
			fastest = rtt
		}
	}
	pace := 0.0
	for _, s := range d.sources {
		if s.slow = s.rtt.Smoothed() > 4*fastest+50*time.Millisecond; !s.slow && s.reach.have == nil && s.usable(d.size, d.proven) && !s.quiet() {
			pace += s.control.pace()
		}
	}
	d.left = 0
	if pace > 0 {
		d.left = time.Duration(float64(d.pick.remaining()) * float64(chunk.BlockSize*4/3) / pace * float64(time.Second))
	}
	const lump = 16
	for progress := true; progress && room > 0; {
		progress = false
		for i := range d.sources {
			s := d.sources[(d.turn+i)%len(d.sources)]
			for range lump {
				cost := s.cost(d.nextLength(s))
				if room < cost && room < d.share() || !d.mayAsk(s, cost, now) {
					break
				}
				if !d.askOne(s, now) {
					s.control.starved(now)
					break
				}
				room -= cost
				progress = true
			}
		}
		d.turn++
	}
}

// speed says whether a download is fast: so fast that the system calls of fragments, one each, cost more than what is around each
// packet costs a link. Pure; the zero value is slow.
type speed struct {
	fast  bool
	since time.Time
	bytes int
}

const (
	speedSpan = 50 * time.Millisecond
	fastFrom  = 32e6 // bytes a second, more than home lines and most wireless ones have
	slowFrom  = fastFrom / 2
)

// came is told of an answer of n bytes.
func (s *speed) came(now time.Time, n int) {
	span := now.Sub(s.since)
	if s.bytes += n; span < speedSpan {
		return
	}
	switch rate := float64(s.bytes) / span.Seconds(); {
	case rate > fastFrom:
		s.fast = true
	case rate < slowFrom:
		s.fast = false
	}
	s.since, s.bytes = now, 0
}

// inParts says whether s is asked for parts that make one packet each: where long answers are lost, and where all is fast.
func (d *Download) inParts(s *source) bool {
	return s.length.short || d.speed.fast && s.raw.speaks && !s.near && !s.each.never
}

// nextLength is about how long the next request to s will be.
func (d *Download) nextLength(s *source) int {
	if d.inParts(s) {
		return s.part()
	}
	return chunk.BlockSize
}

// mayAsk says whether s may get a request now whose answer costs so much.
func (d *Download) mayAsk(s *source, cost int, now time.Time) bool {
	if !s.usable(d.size, d.proven) || now.Before(s.nextAsk) || d.only != nil && s != d.only {
		return false
	}
	if d.crowd.few && !s.asked && !s.quiet() {
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
	if s.flights.live == 0 && !s.lastSent.IsZero() && now.Sub(s.lastSent) > max(s.rto(now), time.Second) {
		s.control.restart(now)
	}
	if s.flights.live > 0 && s.flights.bytes+cost > s.control.window() {
		return false
	}
	ok, wait := s.pacer.allows(now, s.control.pace(), cost)
	if ok {
		if wait = max(d.cfg.Down.WaitPeer(now, s.addr, cost), d.cfg.Up.WaitPeer(now, s.addr, requestCost)); wait > 0 {
			s.control.starved(now)
			ok = false
		}
	}
	if !ok {
		d.wakeAt(now.Add(wait))
	}
	return ok
}

// untried is how many blocks a peer is asked for before the first one has proven good; one
// that sent bad ones gets as many as are forgiven. So a liar costs a download no more than
// its strikes.
const untried = strikes

// untrusted says whether s has yet to prove good, or did not.
func (d *Download) untrusted(s *source) bool {
	return (s.gave == 0 || s.bad > 0) && d.cfg.ID.Kind == chunk.BLAKE3 && d.proven
}

// onTrial says whether what s sent must be checked before it is asked for more blocks.
func (d *Download) onTrial(s *source) bool {
	if !d.untrusted(s) {
		return false
	}
	out := len(s.parts.units)
	for _, fl := range s.flights.out {
		if !fl.lost && !fl.part {
			out++
		}
	}
	return s.unchecked(out)
}

// unchecked says whether what s sent and is not checked yet, with out blocks more, is all that a
// peer is trusted with that has not proven good.
func (s *source) unchecked(out int) bool {
	return int64(out)+s.came-s.judged >= int64(max(untried-s.bad, 1))
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
				size += d.more(s, r.at/chunk.BlockSize)
			}
			s.parts.begin(r, size, s.part())
			r, u, n, _ = s.parts.next()
		}
	}
	fl := flight{n: int32(n), also: s.also}
	if u != nil {
		fl.part, fl.each = true, int32(u.each)
	}
	pad := 0
	if !s.proven {
		pad = unprovenPad
	}
	if d.withinLimit(s, s.cost(n), now) && d.send(s, r, fl, pad, now) {
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
func (d *Download) more(s *source, block int64) (size int) {
	most := min(s.control.window()/8, maxAnswer)/chunk.BlockSize - 1
	if !s.raw.speaks || d.untrusted(s) || d.cfg.TreeOnly || d.pick.crowd || most <= 0 {
		return 0
	}
	for i := range d.pick.takeMore(block, most, d.reachOf(s)) {
		d.pick.stripeOf(block + 1 + i).by[(block+1+i)%stripeBlocks] = s.slot
		size += d.blockLen(block + 1 + i)
	}
	return size
}

// nextWhole chooses a piece of the tree or a block: n bytes are asked for, size are
// wanted. A block is asked for in full, so that what is behind a claimed end shows.
func (d *Download) nextWhole(s *source, now time.Time) (r request, n, size int, ok bool) {
	if d.asksTree(s) {
		if off, n, ok := d.tree.next(func(block int64) bool { return d.hasPath(s, block) }); ok {
			return request{tree: true, at: off}, n, n, true
		}
	}
	if d.onTrial(s) {
		return request{}, 0, 0, false
	}
	block, ok := d.pickBlock(s, now)
	if !ok {
		return request{}, 0, 0, false
	}
	return request{at: block * chunk.BlockSize}, chunk.BlockSize, d.blockLen(block), true
}

// hasPath says whether s may be asked for a piece of the path of a block, or of any if block is
// -1: who holds a part has the paths of what it holds, and is the one to ask for others if nobody
// else can be.
func (d *Download) hasPath(s *source, block int64) bool {
	if s.reach.have == nil || block >= 0 && s.reach.mask(block/stripeBlocks) != 0 {
		return true
	}
	for _, o := range d.sources {
		if !o.also && o.reach.have == nil && o.noTree < 4 && !o.quiet() && o.usable(d.size, d.proven) {
			return false
		}
	}
	return true
}

// asksTree says whether s is one to ask for the tree: nodes that know sha256
// ids only have none, and leave such requests unanswered.
func (d *Download) asksTree(s *source) bool {
	if s.also {
		return false
	}
	if s.noTree < 4 {
		return true
	}
	for _, o := range d.sources {
		if !o.also && o.noTree < s.noTree && o.usable(d.size, d.proven) {
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
	if s.slow && d.left > 0 && 4*s.rtt.Smoothed() > d.left {
		return 0, false // the others are done before it answers
	}
	reach := d.reachOf(s)
	b, ok := d.pick.take(asker{slot: s.slot, reach: reach, cur: &s.run, slow: s.slow, busy: d.busy})
	if !ok {
		b, ok = d.pick.again(reach, func(b int64) bool { return d.worthTwice(s, b, now) })
	}
	if ok {
		d.pick.stripeOf(b).by[b%stripeBlocks] = s.slot
	}
	return b, ok
}

// busy says whether a peer is at work.
func (d *Download) busy(slot uint8) bool {
	o := d.sources[slot]
	return o.flights.live > 0 && !o.quiet() && !o.excluded
}

// worthTwice says whether, at the end, a block that another peer was asked for
// is asked of s too: its answer is overdue by that peer's own measure, or s
// would bring it much sooner.
func (d *Download) worthTwice(s *source, block int64, now time.Time) bool {
	o := d.sources[d.pick.stripeOf(block).by[block%stripeBlocks]]
	if o == s {
		return false
	}
	whole := request{at: block * chunk.BlockSize}
	age := time.Duration(0)
	if o.flights.hasWhole(whole) {
		age = now.Sub(o.flights.out[whole.key()].sent)
	} else if o.parts.unit(whole) == nil {
		return false
	}
	return age > 2*o.rtt.Smoothed() && age > s.rtt.Smoothed() || o.rtt.Smoothed() > 4*s.rtt.Smoothed()
}

// withinLimit says whether the limits of all peers together let another request out and its answer
// come.
func (d *Download) withinLimit(s *source, cost int, now time.Time) bool {
	if now.Before(d.stopLim) {
		return false
	}
	if wait := max(d.cfg.Down.WaitAll(now, cost), d.cfg.Share.WaitAll(now, cost), d.cfg.Up.WaitAll(now, requestCost)); wait > 0 {
		d.stopLim = now.Add(wait)
		return false
	}
	return true
}

// giveBack takes back what the limits were promised of an answer and does not come.
func (d *Download) giveBack(now time.Time, s *source, n int) {
	d.cfg.Down.Return(now, s.addr, n)
	d.cfg.Share.Return(now, s.addr, n)
}

// send opens a datagram for one request. One request a datagram: an answer of
// several would be one datagram of many fragments from the best-known node, and
// nothing at all above 65507 bytes (wire.md section 5). Blocks that follow one another are
// one request where the way to a peer has no fragments: see asking.
func (d *Download) send(s *source, r request, fl flight, pad int, now time.Time) bool {
	if !d.asking.extend(s, r, &fl, now) && !d.openAsk(s, r, &fl, pad, now) {
		return false
	}
	cost := s.cost(int(fl.n))
	if s.flights.live == 0 {
		s.granted = cost // one may always be out
	}
	d.cfg.Down.TakeAll(now, cost)
	d.cfg.Down.TakePeer(now, s.addr, cost)
	d.cfg.Share.TakeAll(now, cost)
	s.granted = max(s.granted, s.control.window())
	fl.sent, fl.cost, fl.stamp = now, int32(cost), s.control.sent(now, cost, s.flights.bytes+cost)
	s.flights.add(r, fl)
	s.pacer.spend(cost)
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
			earlier(sent.Add(s.rto(now)))
		} else if !s.excluded && s.nextAsk.After(now) {
			earlier(s.nextAsk)
		}
	}
	if d.stopLim.After(now) {
		earlier(d.stopLim)
	}
	if d.wake.After(now) {
		earlier(d.wake)
	}
	if !d.found() {
		earlier(d.started.Add(d.cfg.FindTimeout))
	} else {
		earlier(d.lastGood.Add(d.cfg.StallTimeout))
	}
	return max(wake.Sub(now), minWake)
}

// wakeAt has the loop plan again at t, or before.
func (d *Download) wakeAt(t time.Time) {
	if d.wake.IsZero() || t.Before(d.wake) {
		d.wake = t
	}
}

// orLater is when to ask the gate again about an address that it refuses: when
// it says, or in a while if it says never.
func orLater(next, now time.Time) time.Time {
	if next.IsZero() {
		return now.Add(15 * time.Second)
	}
	return next
}
