package transfer

import (
	"time"

	"sharer/chunk"
)

// speed says whether a download, or what one peer is sent, is fast: so fast that the system calls of fragments, one each, cost more than what is around each
// packet costs a link. Pure; the zero value is slow.
type speed struct {
	fast  bool
	since time.Time
	bytes int
}

const (
	speedSpan = 50 * time.Millisecond
	speedLump = 4 << 20 // bytes, or as soon as so many have come: a rate above 80 MB/s
	fastFrom  = 32e6    // bytes a second, more than home lines and most wireless ones have
	slowFrom  = fastFrom / 2
)

// came is told of an answer of n bytes.
func (s *speed) came(now time.Time, n int) {
	span := now.Sub(s.since)
	if s.bytes += n; span < speedSpan && s.bytes < speedLump {
		return
	}
	switch rate := float64(s.bytes) / max(span, time.Millisecond).Seconds(); {
	case rate > fastFrom:
		s.fast = true
	case rate < slowFrom:
		s.fast = false
	}
	s.since, s.bytes = now, 0
}

// inParts says whether s is asked for parts that make one packet each: where long answers are lost, and where all is fast.
func (d *Download) inParts(s *source) bool {
	return s.length.short || (d.speed.fast || s.length.unsure()) && s.raw.speaks && !s.near && !s.each.never
}

// nextLength is about how long the next request to s will be.
func (d *Download) nextLength(s *source) int {
	if d.inParts(s) {
		return s.part()
	}
	return chunk.BlockSize
}
