package netsim

import (
	"math"
	"sync"
	"time"
)

// postbox is what others hand to the network's goroutine, and the timer by which they wake it.
type postbox struct {
	mu          sync.Mutex
	first, last *event
	tick        time.Duration
	wake        time.Duration // when the timer fires, or has fired; never: it is stopped, so that a bubble that hangs is found out
	timer       *time.Timer
}

const never = time.Duration(math.MaxInt64)

// boundary is when the network looks at what is due at a time.
func (b *postbox) boundary(due time.Duration) time.Duration {
	if b.tick <= 0 {
		return due
	}
	return (due + b.tick - 1) / b.tick * b.tick
}

// post hands over a list of events, the first of which is due at a time.
func (n *Network) post(first, last *event, due time.Duration) {
	b := &n.postbox
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil {
		b.first = first
	} else {
		b.last.next = first
	}
	b.last = last
	// A timer that has fired is left alone: whoever it wakes will look.
	if at := b.boundary(due); at < b.wake {
		b.wake = at
		b.timer.Reset(at - time.Since(n.start))
	}
}

// change has f called by the network's goroutine a nanosecond from now, before what is sent now.
func (n *Network) change(f func()) {
	e := n.store.take(0)
	e.kind, e.change, e.due = changes, f, time.Since(n.start)+1
	n.post(e, e, e.due)
}

// run does what is due, until Close.
func (n *Network) run() {
	defer close(n.ended)
	defer n.postbox.timer.Stop()
	for {
		if n.step() {
			select {
			case <-n.done:
				return
			default:
				continue
			}
		}
		select {
		case <-n.done:
			return
		case <-n.postbox.timer.C:
		}
	}
}

// step does what is due, once through, and reports whether more may be. Otherwise the timer is set.
func (n *Network) step() (more bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = time.Since(n.start)
	b := &n.postbox
	b.mu.Lock()
	posted := b.first
	b.first, b.last = nil, nil
	if posted == nil && (len(n.events) == 0 || n.events[0].due > n.now) {
		if b.wake = never; len(n.events) > 0 {
			b.wake = b.boundary(n.events[0].due)
			b.timer.Reset(b.wake - time.Since(n.start))
		}
		b.mu.Unlock()
		return false
	}
	b.mu.Unlock()
	for posted != nil {
		e := posted
		posted, e.next = e.next, nil
		n.pushLocked(e)
	}
	for len(n.events) > 0 && n.events[0].due <= n.now {
		switch e := n.events.pop(); e.kind {
		case changes:
			e.change()
			n.store.give(e)
		case enters:
			n.enterLocked(e)
		case arrives:
			n.arriveLocked(e)
		case remains:
			e.realm.pool(e.to.Addr()).keep(e.due, e.packets)
			n.store.give(e)
		}
	}
	return true
}

func (n *Network) pushLocked(e *event) {
	n.seq++
	e.seq = n.seq
	n.events.push(e)
}
