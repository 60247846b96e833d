package portmap

import "time"

// epochClock compares the seconds that a gateway counts with our own: if they do not fit,
// it has started anew and its mappings are lost.
type epochClock struct {
	known  bool
	server uint32
	at     time.Time
}

// observe takes the epoch of an answer and reports whether the gateway has lost its state
// since the last one (RFC 6887 section 8.5, which allows for clocks that differ by a sixteenth;
// it covers RFC 6886 section 3.6 too).
func (c *epochClock) observe(server uint32, now time.Time) (reset bool) {
	before := *c
	*c = epochClock{true, server, now}
	if !before.known {
		return false
	}
	theirs := int64(server) - int64(before.server)
	ours := int64(now.Sub(before.at) / time.Second)
	const slack = 2 // seconds: rounding, and the way of the answer
	return theirs < -1 || ours+slack < theirs-theirs/16 || theirs+slack < ours-ours/16
}
