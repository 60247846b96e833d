package transfer

import "time"

// Under a sha256 id nothing can be checked before the whole is there. When the whole
// is wrong, the next pass asks one peer alone; when that is wrong too, that
// peer lied, about the content or its size, and is excluded. So after as many passes
// as there are liars one honest peer suffices.

const (
	soloWithin = proveWithin // a peer that is asked alone and gives nothing for so long gives way
	soloTurns  = 3           // and gets so many turns
	morePasses = 3           // passes beyond one for each peer
)

// mismatch is told that a whole sha256 content is not its id.
func (d *Download) mismatch(now time.Time) {
	d.mismatched = true
	var givers []*source
	for _, s := range d.sources {
		if s.gave > 0 {
			givers = append(givers, s)
		}
	}
	if len(givers) == 1 && !d.resumed {
		d.stats.Bad++
		d.exclude(givers[0], true)
	}
	if d.stats.Passes > int64(len(d.sources)+morePasses) {
		d.fail(ErrIntegrity)
		return
	}
	d.solo(now)
}

// solo forgets what came and asks the peer alone that had the fewest turns. When
// nobody is left who answers, others may still be found.
func (d *Download) solo(now time.Time) {
	d.resumed = false
	d.recall()
	if err := d.cfg.File.Reset(); err != nil {
		d.fail(err)
		return
	}
	d.only = nil
	for _, s := range d.sources {
		s.gave = 0
		if s.answers && !s.excluded && s.claim >= 0 && (d.only == nil || s.solos < d.only.solos) {
			d.only = s
		}
	}
	d.size = -1
	if d.only == nil {
		d.started = now // another search
		return
	}
	if d.only.solos++; d.only.solos > soloTurns {
		d.fail(ErrIntegrity)
		return
	}
	d.onlySince = now
	d.setSize(d.only.claim, now)
}

// watchSolo passes the turn on when the peer that has it gives nothing.
func (d *Download) watchSolo(now time.Time) {
	if d.only == nil {
		return
	}
	since := d.onlySince
	if d.only.lastGot.After(since) {
		since = d.only.lastGot
	}
	if d.only.excluded || now.Sub(since) > soloWithin && d.pick.remaining() > 0 && d.another() {
		d.solo(now)
	}
}

// another says whether somebody else could have the turn: to nobody it is not passed
// on, for that would throw away what is there.
func (d *Download) another() bool {
	for _, s := range d.sources {
		if s != d.only && s.answers && !s.excluded && s.claim >= 0 {
			return true
		}
	}
	return false
}
