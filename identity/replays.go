package identity

import (
	"sync"
	"time"
)

const (
	replayFor   = 10 * time.Minute // how long an opened letter is remembered
	replayMost  = 65_536           // letters; beyond, the oldest are forgotten early
	maxClockOff = 5 * time.Minute  // how far a time inside a letter may be from ours
)

// Replays remembers what was opened, so that it is acted on once.
type Replays struct {
	mu    sync.Mutex
	seen  map[[32]byte]time.Time
	order [][32]byte // a ring, the oldest at first
	first int
	early int64 // forgotten before their time
}

// NewReplays remembers nothing.
func NewReplays() *Replays { return &Replays{seen: map[[32]byte]time.Time{}} }

// Seen reports whether id was added in the last ten minutes.
func (r *Replays) Seen(id [32]byte, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.seen[id]
	return ok && now.Sub(at) < replayFor
}

// Add remembers id, and reports whether it was not remembered before.
func (r *Replays) Add(id [32]byte, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.seen) > 0 && now.Sub(r.seen[r.order[r.first]]) >= replayFor {
		r.forgetLocked()
	}
	if _, ok := r.seen[id]; ok {
		return false
	}
	if len(r.seen) == replayMost {
		r.forgetLocked()
		r.early++
	}
	if len(r.seen) == len(r.order) { // laid out anew, the oldest at the start
		larger := make([][32]byte, min(max(64, 2*len(r.order)), replayMost))
		n := copy(larger, r.order[r.first:])
		copy(larger[n:], r.order[:r.first])
		r.order, r.first = larger, 0
	}
	r.order[(r.first+len(r.seen))%len(r.order)] = id
	r.seen[id] = now
	return true
}

// forgetLocked forgets the oldest.
func (r *Replays) forgetLocked() {
	delete(r.seen, r.order[r.first])
	r.first = (r.first + 1) % len(r.order)
}

// Early returns how many were forgotten before their ten minutes, because there were too many.
func (r *Replays) Early() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.early
}

// Fresh checks a time that a letter itself carries, such as a group chat's: a letter that was
// kept for longer than Replays remembers is known by it. The error is ErrStale.
func Fresh(sent, now time.Time) error {
	if d := now.Sub(sent); d > maxClockOff || d < -maxClockOff {
		return ErrStale
	}
	return nil
}
