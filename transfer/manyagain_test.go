package transfer

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Each item is taken once, by somebody who was not asked for it, and of those that the same peers were asked for the first one first.
func TestAgain(t *testing.T) {
	var a again
	for i := range 1000 {
		a.put(i, uint8(i%7)) // three peers, of whom none was asked for all
	}
	last := map[uint8]int{}
	took := 0
	for bit := range uint8(3) {
		for i, ok := a.take(bit); ok; i, ok = a.take(bit) {
			tried := uint8(i % 7)
			if tried>>bit&1 != 0 || i < last[tried] {
				t.Fatalf("%d was given to %d, after %d", i, bit, last[tried])
			}
			last[tried] = i
			took++
		}
	}
	if took != 1000 || a.n != 0 || len(a.all()) != 0 {
		t.Errorf("%d were taken, %d are left", took, a.n)
	}
	a.put(5, 1)
	if _, ok := a.take(0); ok || !slices.Equal(a.all(), []int{5}) || a.n != 0 {
		t.Error("what is left is not all")
	}
}

// A million contents of which a peer lacks a fifth: what it costs to find that nothing of that is for it does not grow.
func BenchmarkAgain(b *testing.B) {
	for name, n := range map[string]int{"1000": 1000, "200000": 200_000} {
		b.Run(name, func(b *testing.B) {
			var a again
			for i := range n {
				a.put(i, 1)
			}
			for b.Loop() {
				if _, ok := a.take(0); ok {
					b.Fatal("it was asked for that")
				}
				i, _ := a.take(1)
				a.put(i, 1)
			}
		})
	}
}

// A peer that gives a part now and then does not hold what another can give.
func TestManyWithATrickler(t *testing.T) {
	sizes := make([]int, 40)
	for i := range sizes {
		sizes[i] = 20_000
	}
	m, slow, _ := manyOf("192.0.2.1:5", sizes...)
	m.addGivers([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:5")})
	quick := m.givers[1]
	quick.answers, quick.raw, quick.each.known, quick.control = true, slow.raw, true, wide{quick.control}
	start := time.Now()
	now, trickled := start, start
	for ; !m.over(now) && now.Sub(start) < time.Minute; now = now.Add(20 * time.Millisecond) {
		m.plan(now)
		m.closeAsk(now)
		for _, c := range m.coming {
			for i := range c.parts() {
				late := c.of == slow
				if late && now.Sub(trickled) < time.Second || c.has(i) {
					continue
				}
				if late {
					trickled = now
				}
				m.reply(c.of, c.slot, int64(i*c.each), len(c.part(i)), now)
			}
		}
	}
	if took := now.Sub(start); took > manySlow+manyPatience || quick.gone || len(m.left) > 0 {
		t.Errorf("it took %v, %d are left", took, len(m.left))
	}
}
