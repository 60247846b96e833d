package bridge

import (
	"net/netip"
	"sync"
)

const (
	maxQueued = 1 << 20       // bytes that wait for one guest (reliability.md W10)
	shedAt    = maxQueued / 4 // from here on what may be forged is left out
	perText   = 64            // bytes that a text counts beside its own: slice, header
)

// outbox is what waits to go to a page, or to all programs. Texts may be shared between outboxes, and are not changed.
type outbox struct {
	ready chan struct{} // a token: something waits

	mu    sync.Mutex
	texts []letter // all of it within maxQueued
	bytes int      // of what waits and of what is being written
}

// letter is a text on its way to a guest.
type letter struct {
	to   *guest
	text []byte
	from netip.AddrPort // valid: of an arrival, which the guest may answer from the moment that it can read of it
}

func newOutbox() *outbox { return &outbox{ready: make(chan struct{}, 1)} }

// put queues a text unless that would be more than most bytes.
func (o *outbox) put(l letter, most int) bool {
	o.mu.Lock()
	if o.bytes+len(l.text)+perText > most {
		o.mu.Unlock()
		return false
	}
	o.bytes += len(l.text) + perText
	o.texts = append(o.texts, l)
	if l.from.IsValid() {
		l.to.heard.add(l.from)
	}
	o.mu.Unlock()
	select {
	case o.ready <- struct{}{}:
	default:
	}
	return true
}

// next takes the oldest text; it counts as queued until written is called with it.
func (o *outbox) next() (letter, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.texts) == 0 {
		return letter{}, false
	}
	l := o.texts[0]
	o.texts[0] = letter{}
	if o.texts = o.texts[1:]; len(o.texts) == 0 {
		o.texts = nil
	}
	return l, true
}

// written gives back the room of a text.
func (o *outbox) written(l letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytes -= len(l.text) + perText
}
