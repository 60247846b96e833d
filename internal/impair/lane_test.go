package impair

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharer/internal/netsim"
)

// packet is an IPv4 packet of size bytes with a number in it.
func packet(size int, flags uint16, number byte) []byte {
	b := make([]byte, size)
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(size))
	binary.BigEndian.PutUint16(b[6:], flags)
	binary.BigEndian.PutUint16(b[10:], checksum(b[:20]))
	for i := 20; i < size; i++ {
		b[i] = number + byte(i)
	}
	return b
}

func TestParse(t *testing.T) {
	six := make([]byte, 60)
	six[0], six[5], six[6] = 0x60, 20, 44
	for name, c := range map[string]struct {
		b    []byte
		want header
		bad  bool
	}{
		"whole":     {b: packet(100, 0, 0), want: header{version: 4, length: 20}},
		"df":        {b: packet(100, flagDF, 0), want: header{version: 4, length: 20, df: true}},
		"first":     {b: packet(100, flagMF, 0), want: header{version: 4, length: 20, fragment: true}},
		"last":      {b: packet(100, 7, 0), want: header{version: 4, length: 20, fragment: true}},
		"six":       {b: six, want: header{version: 6, fragment: true, df: true}},
		"empty":     {bad: true},
		"short":     {b: packet(100, 0, 0)[:99], bad: true},
		"version 5": {b: []byte{0x50}, bad: true},
	} {
		if got, err := parse(c.b); (err != nil) != c.bad || !c.bad && got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

// TestLaws is one law of a link a row: when packets of 1500 bytes, sent one each gap, leave.
func TestLaws(t *testing.T) {
	const n = 20_000
	for name, c := range map[string]struct {
		link netsim.Link
		gap  time.Duration
		ok   func(c Counts, first, last time.Duration) bool
	}{
		"delay": {netsim.Link{Delay: 7 * time.Millisecond}, time.Millisecond, func(c Counts, first, last time.Duration) bool {
			return first == 7*time.Millisecond && c.Delivered == n
		}},
		"rate 12 Mbit/s": {netsim.Link{Rate: 1.5e6}, 0, func(c Counts, first, last time.Duration) bool {
			return first == time.Millisecond && last == n*time.Millisecond && c.Delivered == n
		}},
		"queue of ten": {netsim.Link{Rate: 1.5e6, Queue: 15_000}, 0, func(c Counts, first, last time.Duration) bool {
			return c.Delivered == 10 && c.Overflow == n-10 && c.Sojourn.Quantile(1) == 11*time.Millisecond
		}},
		"queue, twice the rate": {netsim.Link{Rate: 1.5e6, Queue: 15_000}, time.Millisecond / 2, func(c Counts, first, last time.Duration) bool {
			return math.Abs(float64(c.Delivered)/n-0.5) < 0.01
		}},
		"loss 5 % in bursts": {netsim.Link{Loss: 0.05, Burst: 2.5}, time.Millisecond, func(c Counts, first, last time.Duration) bool {
			return math.Abs(float64(c.Lost)/n-0.05) < 0.01 && c.InBurst == c.Lost
		}},
		"twice": {netsim.Link{Duplicate: 0.2}, time.Millisecond, func(c Counts, first, last time.Duration) bool {
			return math.Abs(float64(c.Duplicated)/n-0.2) < 0.02 && c.Delivered == n+c.Duplicated
		}},
		"dark": {netsim.Link{Dark: netsim.Every(5*time.Second, 2*time.Second, time.Hour)}, time.Millisecond, func(c Counts, first, last time.Duration) bool {
			return c.Down == n*2/5
		}},
		"down":   {netsim.Link{Down: true}, 0, func(c Counts, first, last time.Duration) bool { return c.Down == n }},
		"1280":   {netsim.Link{MTU: 1280}, 0, func(c Counts, first, last time.Duration) bool { return c.Delivered == 2*n && c.Fragments == 2*n }},
		"no cut": {netsim.Link{MTU: 1280, NoFrags: true}, 0, func(c Counts, first, last time.Duration) bool { return c.Blocked == 2*n }},
	} {
		l := NewLane(1, c.link)
		var first, last time.Duration
		p := packet(1500, 0, 0)
		for i := range n {
			l.Take(time.Duration(i)*c.gap, p)
		}
		for {
			at, ok := l.Due()
			if !ok {
				break
			}
			if l.Next(at-1) != nil {
				t.Fatalf("%s: a packet before it was due", name)
			}
			l.Give(l.Next(at))
			if first == 0 {
				first = at
			}
			last = at
		}
		if got := l.Counts(); !c.ok(got, first, last) {
			got.Sojourn = Sojourn{}
			t.Errorf("%s: first %v, last %v, %+v", name, first, last, got)
		}
	}
}

func TestTooLargeWithDF(t *testing.T) {
	l := NewLane(1, netsim.Link{MTU: 1400})
	l.Take(0, packet(1401, flagDF, 0))
	l.Take(0, packet(1400, flagDF, 0))
	if c := l.Counts(); c.TooLarge != 1 || l.Under() != 1 {
		t.Errorf("%d too large, %d under way, want 1 and 1", c.TooLarge, l.Under())
	}
}

// TestCut: fragments, cut again on the way, fit and make the packet that was.
func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := packet(rapid.IntRange(100, 9000).Draw(t, "size"), 0, 3)
		parts := [][]byte{b}
		small := 9000
		for _, mtu := range rapid.SliceOfN(rapid.IntRange(68, 1500), 1, 3).Draw(t, "mtus") {
			var next [][]byte
			for _, p := range parts {
				h, err := parse(p)
				if err != nil {
					t.Fatal(err)
				}
				if len(p) <= mtu {
					next = append(next, p)
				} else {
					next = append(next, cut(p, h, mtu)...)
				}
			}
			parts, small = next, min(small, mtu)
		}
		whole := make([]byte, len(b)-20)
		covered, ends := 0, 0
		for _, p := range parts {
			if len(p) > small || checksum(p[:20]) != 0 {
				t.Fatalf("%d bytes for %d, checksum %x", len(p), small, checksum(p[:20]))
			}
			flags := binary.BigEndian.Uint16(p[6:])
			at := int(flags&offsetMask) * 8
			covered += copy(whole[at:], p[20:])
			if flags&flagMF == 0 {
				ends++
			}
		}
		if covered != len(whole) || ends != 1 || !bytes.Equal(whole, b[20:]) {
			t.Fatalf("%d of %d bytes, %d ends", covered, len(whole), ends)
		}
	})
}

// TestConserved: every packet has one fate, and none overtakes where nothing reorders.
func TestConserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		link := netsim.Link{
			Rate: rapid.Float64Range(1e4, 1e8).Draw(t, "rate"), Queue: rapid.IntRange(0, 100_000).Draw(t, "queue"),
			Delay: time.Duration(rapid.IntRange(0, 1e9).Draw(t, "delay")), Jitter: time.Duration(rapid.IntRange(0, 1e8).Draw(t, "jitter")),
			Loss: rapid.Float64Range(0, 0.5).Draw(t, "loss"), Burst: rapid.Float64Range(1, 5).Draw(t, "burst"),
			MTU: rapid.SampledFrom([]int{0, 576, 1500}).Draw(t, "mtu"),
		}
		l := NewLane(rapid.Uint64().Draw(t, "seed"), link)
		now := time.Duration(0)
		out := 0
		last := -1
		for i := range rapid.IntRange(1, 200).Draw(t, "packets") {
			now += time.Duration(rapid.IntRange(0, 1e7).Draw(t, "gap"))
			b := packet(rapid.IntRange(30, 1500).Draw(t, "size"), 0, 0)
			binary.BigEndian.PutUint16(b[4:], uint16(i))
			l.Take(now, b)
			for b := l.Next(now); b != nil; b = l.Next(now) {
				if id := int(binary.BigEndian.Uint16(b[4:])); id < last {
					t.Fatalf("%d after %d", id, last)
				} else {
					last = id
				}
				out++
				l.Give(b)
			}
		}
		c := l.Counts()
		if c.Packets != c.Delivered+c.Lost+c.Overflow+int64(l.Under()) || int64(out) != c.Delivered {
			t.Fatalf("%d packets, %d delivered, %d lost, %d overflowed, %d under way", c.Packets, c.Delivered, c.Lost, c.Overflow, l.Under())
		}
	})
}
