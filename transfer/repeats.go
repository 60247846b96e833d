package transfer

import (
	"encoding/binary"
	"time"
)

// repeats counts how often a peer was given the same lately. The best-known node asks for content of one block under its
// blake3 id again as soon as it is answered, and for ever (wire.md section 11): what it gets sets its pace, thousands a second
// on a LAN. Whoever lost an answer asks once in a round trip and more, and seldom for the same
// maxRepeats times in a second; if so, it has to wait for the rest of that second.
//
// A request has its place by its key, and one for something else takes the place over: who asks for many things
// is not counted here.
type repeats [8]struct {
	key   uint64
	n     int
	since time.Time
}

// over counts a request, and says whether it is one too many.
func (r *repeats) over(k wantKey, now time.Time) bool {
	// Multiplied by the golden ratio, so that offsets which are multiples of a block differ in the upper bits.
	key := (binary.LittleEndian.Uint64(k.id.Hash[:8]) ^ uint64(k.offset) ^ uint64(k.length)<<40 ^ uint64(k.id.Kind)<<60) * 0x9e3779b97f4a7c15
	p := &r[key>>61]
	if p.key != key || now.Sub(p.since) >= time.Second {
		p.key, p.n, p.since = key, 0, now
	}
	p.n++
	return p.n > maxRepeats
}
