package transfer

import (
	"math/bits"
	"testing"

	"pgregory.net/rapid"

	"sharer/chunk"
)

// TestPickerModel drives a picker as a download does, with peers of different
// reach, lost answers, bad blocks and late ones, against a model: every block is
// asked for until it is done, none is asked of two peers but by again, none is
// asked of a peer that has it not, and the hint of orphans is never too low.
func TestPickerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := rapid.Int64Range(1, 1000).Draw(t, "blocks")
		size := blocks*chunk.BlockSize - rapid.Int64Range(0, chunk.BlockSize-1).Draw(t, "short")
		var p picker
		p.reset(size, chunk.Ranges{})
		p.limit = rapid.IntRange(1, 8).Draw(t, "stripes")
		if rapid.Bool().Draw(t, "urgent") {
			p.urgent = blocks - 1
		}
		reaches := []reach{{}, {have: []chunk.Range{{From: 0, To: blocks/2 + 1}}}, {have: []chunk.Range{{From: blocks / 3, To: blocks}}}, {have: []chunk.Range{}}}
		current := make([]int64, len(reaches))
		for i := range current {
			current[i] = -1
		}
		out := map[int64]int{} // block → requests in flight
		done := map[int64]bool{}
		finish := func(s *stripe, bad uint64) {
			good := s.got &^ bad
			bad &= s.got
			for m := good; m != 0; m &= m - 1 {
				done[s.index*stripeBlocks+int64(bits.TrailingZeros64(m))] = true
			}
			s.checking = true
			p.wrote(s, good, bad)
		}
		check := func() {
			missing := p.countOrphans()
			if p.orphans < missing {
				t.Fatalf("hint says %d orphans, there are %d", p.orphans, missing)
			}
			if int64(len(done)) != p.done.Total() {
				t.Fatalf("%d blocks done, picker says %d", len(done), p.done.Total())
			}
			if len(p.active) > p.limit || p.buffers > p.limit {
				t.Fatalf("%d stripes active, %d buffers, limit %d", len(p.active), p.buffers, p.limit)
			}
		}
		data := make([]byte, chunk.BlockSize)
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"ask": func(t *rapid.T) {
				i := rapid.IntRange(0, len(reaches)-1).Draw(t, "peer")
				b, ok := p.take(reaches[i], &current[i], func(int64) bool { return rapid.Bool().Draw(t, "taken") })
				if !ok {
					return
				}
				if b < 0 || b >= blocks || !reaches[i].has(b) || done[b] || out[b] > 0 {
					t.Fatalf("asked %d of peer %d: done %v, in flight %d", b, i, done[b], out[b])
				}
				out[b]++
			},
			"ask again": func(t *rapid.T) {
				i := rapid.IntRange(0, len(reaches)-1).Draw(t, "peer")
				b, ok := p.again(reaches[i], func(int64) bool { return true })
				if !ok {
					return
				}
				if out[b] != 1 || done[b] || !reaches[i].has(b) {
					t.Fatalf("asked %d again with %d in flight, done %v", b, out[b], done[b])
				}
				out[b]++
			},
			"arrive": func(t *rapid.T) {
				b := rapid.Int64Range(0, blocks-1).Draw(t, "block")
				s := p.arrived(b, data, 0, true)
				if done[b] && s != nil {
					t.Fatal("a done block was taken")
				}
				if s == nil {
					return
				}
				delete(out, b)
				if s.full() || rapid.Bool().Draw(t, "flush") {
					finish(s, rapid.Uint64().Draw(t, "bad")&rapid.Uint64().Draw(t, "bad2"))
				}
			},
			"lose": func(t *rapid.T) {
				b := rapid.Int64Range(0, blocks-1).Draw(t, "block")
				if out[b] == 0 {
					return
				}
				out[b]--
				p.lost(b, out[b] > 0)
			},
		})
		// Whatever has happened: one peer that has everything finishes it.
		for b, n := range out {
			for ; n > 0; n-- {
				p.lost(b, n > 1)
			}
		}
		cur := int64(-1)
		for range 4 * blocks {
			b, ok := p.take(reach{}, &cur, func(int64) bool { return false })
			if !ok {
				for _, s := range append([]*stripe(nil), p.active...) {
					finish(s, 0)
				}
				if p.remaining() == 0 {
					break
				}
				continue
			}
			if s := p.arrived(b, data, 0, true); s != nil && s.full() {
				finish(s, 0)
			}
		}
		if p.remaining() != 0 {
			t.Fatalf("%d of %d blocks were never asked for", p.remaining(), blocks)
		}
	})
}

func TestSpanMask(t *testing.T) {
	for from := range 65 {
		for to := from; to <= 64; to++ {
			var want uint64
			for i := from; i < to; i++ {
				want |= 1 << i
			}
			if got := spanMask(from, to); got != want {
				t.Fatalf("spanMask(%d, %d) = %x, want %x", from, to, got, want)
			}
		}
	}
}
