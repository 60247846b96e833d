package transfer

import (
	"slices"
	"testing"
	"time"

	"sharer/chunk"
)

// room is a control that says what a test wants.
type room struct {
	control
	most, holds int
	rate        float64
}

func (r *room) window() int   { return r.most }
func (r *room) fits() int     { return r.holds }
func (r *room) pace() float64 { return r.rate }

// Where a round trip is too short for a pacer, a window that was full is filled again a quarter at a time: each request by itself would wake both sides. It
// is not while the path is being found out, nor where a pacer makes the lumps; and in no case does a download stand still.
func TestWindowIsFilledInLumps(t *testing.T) {
	const blocks = 64
	one := []int{1, 1, 1, 1, 1, 1, 1, 1}
	for _, tc := range []struct {
		name   string
		window int // answers
		change func(d *Download, s *source, r *room)
		want   []int // requests after each answer
	}{
		{"no pacer", 16, func(*Download, *source, *room) {}, []int{0, 0, 0, 4, 0, 0, 0, 4}},
		{"no pacer, a small window", 4, func(*Download, *source, *room) {}, one},
		{"no pacer, less than an answer", 1, func(_ *Download, _ *source, r *room) { r.most-- }, one},
		{"a pacer", 16, func(_ *Download, _ *source, r *room) { r.rate = 1e15 }, one},
		{"the way up", 16, func(_ *Download, _ *source, r *room) { r.holds = 0 }, one},
		{"losses are being counted", 16, func(_ *Download, s *source, _ *room) { s.length.raw = true }, one},
		{"fast", 16, func(d *Download, _ *source, _ *room) { d.speed.fast = true }, one},
	} {
		d, _ := near(blocks, "192.0.2.1:5")
		s := d.sources[0]
		s.each.never = true
		r := &room{control: s.control, most: tc.window * s.cost(chunk.BlockSize), holds: 1}
		s.control = r
		tc.change(d, s, r)
		now := time.Unix(1000, 0)
		if d.request(now); s.flights.live != tc.window {
			t.Fatalf("%s: %d in flight at first", tc.name, s.flights.live)
		}
		var asked []int
		for s.flights.live > 0 {
			s.flights.answer(s.flights.order.first().request)
			s.flights.order.pop()
			before := d.stats.Requests
			now = now.Add(time.Millisecond)
			d.request(now)
			asked = append(asked, int(d.stats.Requests-before))
		}
		if !slices.Equal(asked[:len(tc.want)], tc.want) || d.stats.Requests < blocks {
			t.Errorf("%s: asked %v, in all %d", tc.name, asked, d.stats.Requests)
		}
	}
}
