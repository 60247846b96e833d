package transfer

import "time"

// A download that is fast is bound by the processors, and much of what they did was passing answers on: a copy into the inbox, a
// goroutine that is woken for it, and a copy into the stripe of what has left the cache meanwhile. So while a download is fast the
// receive path takes raw content itself, straight from the socket's memory into the stripe, and asks for more: it is the loop for that
// long, and so is the writer when it has written a stripe. What may wait stays with the loop's own goroutine: pieces of the tree, which go
// to disk, whoever is told of progress, sizes that are not proven, and what is due by the clock. Neither waits for Download.loop: where
// another has it the answer goes into the inbox.

// straight hands an answer with raw content, in parts that follow one another, to the loop, or is the loop. False: it is dropped, as
// the loop is behind; it is asked for again.
func (d *Download) straight(a *arrival, parts ...[]byte) bool {
	a.n = 0
	for _, part := range parts {
		a.n += len(part)
	}
	if a.tree || !d.beLoop() {
		return d.boxFor(a).put(a, parts...)
	}
	defer d.loop.Unlock()
	d.stats.Direct++
	d.taking = true
	d.drain()
	if len(parts) > 1 {
		d.arriveParts(a, parts)
	} else {
		a.data = parts[0]
		d.arrive(a)
	}
	d.taking = false
	d.askDirect()
	return true
}

// boxFor is where an answer waits: what only run may take, apart.
func (d *Download) boxFor(a *arrival) *inbox {
	if (a.tree || a.none) && d.direct.Load() {
		return d.aside
	}
	return d.inbox
}

// beLoop says whether this goroutine is the loop from now on, until it unlocks Download.loop.
func (d *Download) beLoop() bool {
	if !d.direct.Load() || d.wanted.Load() || !d.loop.TryLock() {
		return false
	}
	if !d.direct.Load() {
		d.loop.Unlock()
		return false
	}
	return true
}

// askDirect asks for more where so much of a window is free that it is worth a system call, and wakes run for what is its own.
func (d *Download) askDirect() {
	opened := d.pick.opened
	d.wake = time.Time{}
	if d.err == nil && d.wantsLump() {
		now := time.Now()
		d.expire(now) // what these answers show to be lost, as nothing else may come
		d.request(now)
		d.flush(now)
		if now.Add(d.nextWake(now)).Before(d.armed) {
			d.inbox.signal()
		}
	}
	if d.err != nil || !d.speed.fast || d.pick.remaining() == 0 || d.pick.opened != opened || len(d.unchecked) > 0 {
		d.inbox.signal()
	}
}

func (d *Download) wantsLump() bool {
	for _, s := range d.sources {
		if s.flights.bytes <= s.control.window()*7/8 && s.answers && !s.quiet() {
			return true
		}
	}
	return false
}
