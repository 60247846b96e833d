package transfer

import (
	"math/bits"
	"time"
)

const (
	idleWait = time.Second
	minWake  = 100 * time.Microsecond // what a timer can be trusted with
)

// plan does what the clock demands and asks what may be asked. It returns how
// long nothing more will be due.
func (d *Download) plan(now time.Time) time.Duration {
	d.wake = time.Time{}
	d.chooseSize(now)
	d.expire(now)
	d.flushStale(now)
	d.pick.first = d.pick.first[:0]
	if d.cfg.Demand != nil {
		d.pick.first = d.cfg.Demand.windows(d.pick.first)
	}
	d.pick.readers = len(d.pick.first)
	d.pick.first = d.vains.windows(d.pick.first, maxReaders, now)
	d.wantTree()
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
		timedOut := s.expire(d.limits, now, func(r request, fl flight, byOrder bool) {
			d.stats.Lost++
			fl.lost = true
			if fl.part {
				s.lostPart = now
			}
			if byOrder {
				s.outcome(now, fl.long(), true)
			}
			if r.tree && !r.path {
				s.noTree++
			}
			d.lost(s, r, fl)
		})
		if timedOut {
			d.timedOut(s, now)
		}
	}
}

// timedOut is told of a timeout.
func (d *Download) timedOut(s *source, now time.Time) {
	s.run = noRun
	if s.answers {
		s.length.silent(now, s.silent)
	}
	for len(s.parts.trees) > 0 && d.treeElsewhere(s) {
		d.back(s, s.parts.trees[0].whole) // all that came may wait for it
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
		onTrial := d.untrusted(d.sources[s.from[bits.TrailingZeros64(s.got)]]) // it is asked for more when that has been checked
		if s.full() || onTrial || d.pick.gotUrgent(s) || now.Sub(s.since) >= patience {
			d.handIfReady(s)
		}
	}
}

// wantTree queues the pieces that active stripes need to be checked.
func (d *Download) wantTree() {
	if d.treeID == nil || d.size < 0 {
		return
	}
	d.wantPaths()
	if d.pick.urgent >= 0 && !d.tree.awaits(d.pick.urgent) && !d.cfg.File.Tree().HasLeaf(d.pick.urgent) {
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
	d.tree.wantEarly(d.cfg.File.Tree())
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
		if at, ok := s.flights.due(s.waits(now)); ok {
			earlier(at)
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
