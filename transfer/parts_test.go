package transfer

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"sharer/chunk"
)

// TestPartsModel asks for units in parts, loses some, drops some: what comes together
// is what was sent, each part is asked for until it came, and none of another unit.
func TestPartsModel(t *testing.T) {
	content := make([]byte, 4*chunk.BlockSize)
	for i := range content {
		content[i] = byte(i % 251)
	}
	rapid.Check(t, func(t *rapid.T) {
		var p parts
		out := map[request]int{} // parts in flight → length
		size := map[request]int{}
		sure := map[request]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if len(p.units) != len(size) || len(p.wholes()) != len(size) {
					t.Fatalf("%d units, want %d", len(p.units), len(size))
				}
				for whole, u := range p.units {
					for i := 0; i*u.each < u.size; i++ {
						if r, _ := u.part(i); (u.left>>i&1 == 1) != (p.of[r] == u) {
							t.Fatalf("part %d of %v: left %b, known %v", i, whole, u.left, p.of[r] == u)
						}
					}
				}
			},
			"begin": func(t *rapid.T) {
				whole := request{rapid.Bool().Draw(t, "tree"), rapid.Int64Range(0, 3).Draw(t, "block") * chunk.BlockSize}
				if p.has(whole) {
					return
				}
				size[whole] = rapid.IntRange(rawPartBytes+1, chunk.BlockSize).Draw(t, "size")
				sure[whole] = true
				p.begin(whole, size[whole], rapid.SampledFrom([]int{partBytes, rawPartBytes}).Draw(t, "each"))
			},
			"ask": func(t *rapid.T) {
				r, n, ok := p.next()
				if !ok {
					return
				}
				if n <= 0 || n > rawPartBytes {
					t.Fatalf("a part of %d bytes", n)
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
					return // dropped meanwhile
				}
				sure[u.whole] = sure[u.whole] && proven
				if !done {
					return
				}
				if u.size != size[u.whole] || !bytes.Equal(u.data[:u.size], content[u.whole.at:u.whole.at+int64(u.size)]) || u.weak == sure[u.whole] {
					t.Fatalf("%v came together as %d other bytes, weak %v", u.whole, u.size, u.weak)
				}
				delete(size, u.whole)
				blockPool.Put(u.data)
			},
			"lose": func(t *rapid.T) {
				if r, _, ok := anyOut(t, out); ok {
					delete(out, r)
					p.lost(r)
				}
			},
			"drop": func(t *rapid.T) {
				whole := request{rapid.Bool().Draw(t, "tree"), rapid.Int64Range(0, 3).Draw(t, "block") * chunk.BlockSize}
				p.drop(whole)
				delete(size, whole)
				for r := range out { // their answers come, and are nobody's
					if r.tree == whole.tree && r.at/chunk.BlockSize == whole.at/chunk.BlockSize {
						delete(out, r)
					}
				}
			},
		})
		// Whatever is left is asked for until it is there.
		for r := range out {
			p.lost(r)
		}
		for len(p.units) > 0 {
			r, n, ok := p.next()
			if !ok {
				t.Fatalf("%d units are left, and nothing to ask", len(p.units))
			}
			if u, done := p.arrived(r, content[r.at:r.at+int64(n)], true); done {
				blockPool.Put(u.data)
			}
		}
		if len(p.of) > 0 || len(p.clear()) > 0 {
			t.Fatalf("%d parts are left of no unit", len(p.of))
		}
	})
}

func anyOut(t *rapid.T, out map[request]int) (request, int, bool) {
	for tree := range 2 {
		for at := int64(0); at < 4*chunk.BlockSize; at += 16 {
			r := request{tree == 1, at}
			if n, ok := out[r]; ok && (len(out) == 1 || rapid.Bool().Draw(t, "this")) {
				return r, n, true
			}
		}
	}
	return request{}, 0, false
}
