package transfer

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"sharer/chunk"
)

// TestPartsModel asks for units of one block, of several, and of pieces in parts, loses some, drops some: what comes together
// is what was sent, each part is asked for until it came, and none of another unit.
func TestPartsModel(t *testing.T) {
	const blocks = 16
	content := make([]byte, blocks*chunk.BlockSize)
	for i := range content {
		content[i] = byte(i % 251)
	}
	rapid.Check(t, func(t *rapid.T) {
		var p parts
		out := map[request]int{}   // parts in flight → length
		size := map[request]int{}  // by first block
		sure := map[request]bool{} // by first block
		of := func(whole request) (all []request) {
			for at := 0; at < size[whole]; at += chunk.BlockSize {
				all = append(all, request{tree: whole.tree, at: whole.at + int64(at)})
			}
			return all
		}
		forget := func(whole request) {
			for r := range out { // their answers come, and are nobody's
				if r.tree == whole.tree && r.at >= whole.at && r.at < whole.at+int64(size[whole]) {
					delete(out, r)
				}
			}
			delete(size, whole)
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				want := 0
				for whole := range size {
					for _, b := range of(whole) {
						want++
						if u := p.unit(b); u == nil || u.whole != whole {
							t.Fatalf("block %v of %v: unit %v", b, whole, u)
						}
					}
				}
				if len(p.units) != want || len(p.wholes()) != want {
					t.Fatalf("%d blocks, want %d", len(p.units), want)
				}
				for _, u := range p.units {
					for i := 0; i*u.each < len(u.data); i++ {
						if r, _ := u.part(i); (u.left>>i&1 == 1) != (p.of(r) == u) {
							t.Fatalf("part %d of %v: left %b, known %v", i, u.whole, u.left, p.of(r) == u)
						}
					}
				}
			},
			"begin": func(t *rapid.T) {
				whole := request{tree: rapid.Bool().Draw(t, "tree"), at: rapid.Int64Range(0, blocks-1).Draw(t, "block") * chunk.BlockSize}
				n := 1
				if !whole.tree {
					n = rapid.IntRange(1, min(maxAnswer/chunk.BlockSize, blocks-int(whole.at/chunk.BlockSize))).Draw(t, "blocks")
				}
				for i := range n {
					if b := (request{tree: whole.tree, at: whole.at + int64(i*chunk.BlockSize)}); p.unit(b) != nil {
						return
					}
				}
				most := rapid.SampledFrom([]int{partBytes, rawPartBytes}).Draw(t, "most")
				size[whole] = (n-1)*chunk.BlockSize + rapid.IntRange(most+1, chunk.BlockSize).Draw(t, "size")
				sure[whole] = true
				p.begin(whole, size[whole], most)
			},
			"ask": func(t *rapid.T) {
				r, u, n, ok := p.next()
				if !ok {
					return
				}
				if n <= 0 || n > rawPartBytes || n > u.each || n < u.each && int(r.at)+n != int(u.whole.at)+len(u.data) {
					t.Fatalf("a part of %d bytes of %d each", n, u.each)
				}
				out[r] = n
			},
			"come": func(t *rapid.T) {
				r, n, ok := anyOut(t, out)
				if !ok {
					return
				}
				delete(out, r)
				proven := rapid.Bool().Draw(t, "sure")
				u, done := p.arrived(r, content[r.at:r.at+int64(n)], proven)
				if u == nil {
					t.Fatalf("%v is none", r)
				}
				sure[u.whole] = sure[u.whole] && proven
				if !done {
					return
				}
				if len(u.data) != size[u.whole] || !bytes.Equal(u.data, content[u.whole.at:u.whole.at+int64(len(u.data))]) || u.weak == sure[u.whole] {
					t.Fatalf("%v came together as %d other bytes, weak %v", u.whole, len(u.data), u.weak)
				}
				forget(u.whole)
				u.free()
			},
			"lose": func(t *rapid.T) {
				if r, _, ok := anyOut(t, out); ok {
					delete(out, r)
					p.lost(r)
				}
			},
			"drop": func(t *rapid.T) {
				b := request{tree: rapid.Bool().Draw(t, "tree"), at: rapid.Int64Range(0, blocks-1).Draw(t, "block") * chunk.BlockSize}
				if u := p.unit(b); u != nil {
					whole := u.whole
					p.drop(b)
					forget(whole)
				}
			},
			"whole": func(t *rapid.T) {
				b := request{tree: rapid.Bool().Draw(t, "tree"), at: rapid.Int64Range(0, blocks-1).Draw(t, "block") * chunk.BlockSize}
				if u := p.unit(b); u != nil {
					whole := u.whole
					if p.came(b); size[whole] <= chunk.BlockSize {
						forget(whole)
					}
				}
			},
		})
		// Whatever is left is asked for until it is there.
		for r := range out {
			p.lost(r)
		}
		for len(p.units) > 0 {
			r, _, n, ok := p.next()
			if !ok {
				t.Fatalf("%d units are left, and nothing to ask", len(p.units))
			}
			if u, done := p.arrived(r, content[r.at:r.at+int64(n)], true); done {
				u.free()
			}
		}
		if len(p.units) > 0 || len(p.clear()) > 0 {
			t.Fatalf("%d blocks are left of no part", len(p.units))
		}
	})
}

func anyOut(t *rapid.T, out map[request]int) (request, int, bool) {
	for tree := range 2 {
		for at := int64(0); at < 16*chunk.BlockSize; at++ {
			r := request{tree: tree == 1, at: at}
			if n, ok := out[r]; ok && (len(out) == 1 || rapid.Bool().Draw(t, "this")) {
				return r, n, true
			}
		}
	}
	return request{}, 0, false
}
