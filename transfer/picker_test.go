package transfer

import (
	"math/bits"
	"math/rand/v2"
	"slices"
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
		p.rng = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		p.crowd = rapid.Bool().Draw(t, "crowd")
		if rapid.Bool().Draw(t, "urgent") {
			p.urgent = blocks - 1
		}
		if rapid.Bool().Draw(t, "reader") {
			from := rapid.Int64Range(0, blocks-1).Draw(t, "from")
			p.first = []chunk.Range{{From: from, To: from + rapid.Int64Range(1, 200).Draw(t, "window")}}
		}
		reaches := []reach{{}, holding(), holding(), holding()}
		p.rarity.gain(reaches[1].have, []chunk.Range{{From: 0, To: blocks/2 + 1}})
		p.rarity.gain(reaches[2].have, []chunk.Range{{From: blocks / 3, To: blocks}})
		runs := []run{noRun, noRun, noRun, noRun}
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
			vain := 0
			for _, s := range p.active {
				if s.again&^s.missing() != 0 {
					t.Fatalf("of stripe %d %x counts as asked in vain, %x is missing", s.index, s.again, s.missing())
				}
				vain += bits.OnesCount64(s.again)
			}
			if vain != p.vain {
				t.Fatalf("%d blocks were asked for in vain, picker says %d", vain, p.vain)
			}
			missing := p.countOrphans()
			if p.orphans < missing {
				t.Fatalf("hint says %d orphans, there are %d", p.orphans, missing)
			}
			if int64(len(done)) != p.done.Total() {
				t.Fatalf("%d blocks done, picker says %d", len(done), p.done.Total())
			}
			if most := p.limit + readerStripes; len(p.active) > most || len(p.active)+len(p.free) > most {
				t.Fatalf("%d stripes active, %d buffers free, limit %d", len(p.active), len(p.free), most)
			}
		}
		data := make([]byte, chunk.BlockSize)
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"ask": func(t *rapid.T) {
				i := rapid.IntRange(0, len(reaches)-1).Draw(t, "peer")
				slow := rapid.Bool().Draw(t, "slow")
				b, ok := p.take(asker{slot: uint8(i), reach: reaches[i], cur: &runs[i], slow: slow, busy: func(uint8) bool { return rapid.Bool().Draw(t, "busy") }})
				if !ok {
					if b, ok := p.unasked(0, reaches[i]); ok && !slow && (len(p.active) < p.limit || p.stripeOf(b) != nil) {
						t.Fatalf("nothing for peer %d, who holds %d", i, b)
					}
					return
				}
				if len(p.first) == 1 && p.urgent < 0 && ok && !slow {
					// Nothing of the window that the peer has may be left unasked.
					for w := p.first[0].From; w < min(p.first[0].To, blocks); w++ {
						if st := p.stripeOf(w); b != w && !done[w] && out[w] == 0 && reaches[i].has(w) && st != nil && st.missing()>>(w%stripeBlocks)&1 == 1 &&
							!(b >= p.first[0].From && b < w) {
							t.Fatalf("asked %d while the reader waits for %d", b, w)
						}
					}
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
		cur := noRun
		for range 4 * blocks {
			b, ok := p.take(asker{slot: 9, cur: &cur, busy: func(uint8) bool { return false }})
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

// TestPickerRarest: of what a peer has, what the fewest others have comes first; between
// equals the order from start on.
func TestPickerRarest(t *testing.T) {
	const stripes = 20
	all := chunk.Range{From: 0, To: stripes * stripeBlocks}
	part := func(from, to int64) chunk.Range {
		return chunk.Range{From: from * stripeBlocks, To: to * stripeBlocks}
	}
	for name, tc := range map[string]struct {
		partial [][]chunk.Range
		reach   reach
		start   int64
		want    []int64 // stripes, in the order of their choice
	}{
		"nobody is partial":                      {nil, reach{}, 18, []int64{18, 19, 0, 1, 2}},
		"two hold the start":                     {[][]chunk.Range{{part(0, 10)}, {part(5, 12)}}, reach{}, 0, []int64{12, 13, 14, 15, 16, 17, 18, 19, 0, 1, 2, 3, 4, 10, 11, 5}},
		"a partial peer gives the rarest it has": {[][]chunk.Range{{part(0, 10)}, {part(0, 8)}}, holding(part(0, 10)), 0, []int64{8, 9, 0, 1}},
		"everybody holds everything":             {[][]chunk.Range{{all}, {all}}, reach{}, 3, []int64{3, 4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			var p picker
			p.reset(stripes*stripeBytes, chunk.Ranges{})
			p.start = tc.start * stripeBlocks
			for _, have := range tc.partial {
				p.rarity.gain(holding().have, have)
			}
			for i, want := range tc.want {
				s := p.next(tc.reach)
				if s == nil || s.index != want {
					t.Fatalf("choice %d is %+v, want stripe %d", i, s, want)
				}
			}
		})
	}
}

// TestRarityCounts compares the counts, taken as ranges become known, with a plain sum, and takes
// everything away again.
func TestRarityCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := rapid.SampledFrom([]int64{1, 64, 1000, 1 << 24}).Draw(t, "blocks")
		r := newRarity(blocks)
		if (blocks-1)>>r.shift >= maxCells {
			t.Fatalf("%d blocks need more than %d cells of 2^%d blocks", blocks, maxCells, r.shift)
		}
		want := map[int64]int{}
		var holders []*chunk.Ranges
		for range rapid.IntRange(0, 5).Draw(t, "holders") {
			holder, plain := new(chunk.Ranges), new(chunk.Ranges)
			for range rapid.IntRange(0, 6).Draw(t, "messages") {
				var have chunk.Ranges
				for range rapid.IntRange(0, 3).Draw(t, "ranges") {
					from := rapid.Int64Range(0, blocks-1).Draw(t, "from")
					have.Add(from, min(blocks, from+rapid.Int64Range(1, 500).Draw(t, "len")))
				}
				before := plain.Total()
				for _, h := range have.All() {
					plain.Add(h.From, h.To)
				}
				if news := r.gain(holder, have.All()); news != (plain.Total() > before) {
					t.Fatalf("news %v, %d blocks more", news, plain.Total()-before)
				}
			}
			if !slices.Equal(holder.All(), plain.All()) {
				t.Fatalf("holds %v, want %v", holder.All(), plain.All())
			}
			cells := map[int64]bool{}
			for _, h := range plain.All() {
				for c := h.From >> r.shift; c <= (h.To-1)>>r.shift; c++ {
					cells[c] = true
				}
			}
			for c := range cells {
				want[c]++
			}
			holders = append(holders, holder)
		}
		for c := range int64(len(r.n)) {
			if int(r.of(c<<r.shift)) != want[c] {
				t.Fatalf("cell %d: %d holders, want %d", c, r.of(c<<r.shift), want[c])
			}
		}
		for _, have := range holders {
			r.lose(have)
		}
		for c, n := range r.n {
			if n != 0 {
				t.Fatalf("cell %d keeps %d holders", c, n)
			}
		}
	})
}

// TestReach compares a reach with a set of blocks.
func TestReach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const blocks = 300
		var have []chunk.Range
		var set [blocks]bool
		for range rapid.IntRange(0, 5).Draw(t, "ranges") {
			from := rapid.Int64Range(0, blocks-1).Draw(t, "from")
			to := rapid.Int64Range(from+1, blocks).Draw(t, "to")
			have = append(have, chunk.Range{From: from, To: to})
			for b := from; b < to; b++ {
				set[b] = true
			}
		}
		r := holding(have...)
		for b := range int64(blocks) {
			if r.has(b) != set[b] || r.mask(b/stripeBlocks)>>(b%stripeBlocks)&1 == 1 != set[b] {
				t.Fatalf("block %d: has %v, mask %x, want %v", b, r.has(b), r.mask(b/stripeBlocks), set[b])
			}
			to := rapid.Int64Range(0, blocks).Draw(t, "to")
			i := int64(slices.Index(set[b:max(b, to)], true))
			if got, ok := r.firstFrom(b, to); ok != (i >= 0) || ok && got != b+i {
				t.Fatalf("first in %d ≤ i < %d: %d, %v; want %d", b, to, got, ok, b+i)
			}
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
