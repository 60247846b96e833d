package wire

import (
	"bytes"
	"testing"
)

// plainSlowly is skipPlain, a byte at a time.
func plainSlowly(data []byte, i int) int {
	for i < len(data) && data[i] != '"' && data[i] != '\\' && 0x20 <= data[i] && data[i] < 0x80 {
		i++
	}
	return i
}

// Each byte that ends a run does so wherever it stands, before and behind where vectors begin.
func TestSkipPlain(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 63, 64, 65, 71, 72, 200, longWindow + 63, longWindow + 64, 3*longWindow + 100} {
		data := bytes.Repeat([]byte("A~ z\x7f+/0")[:4], n/4+1)[:n]
		for _, at := range []int{0, 1, 63, 64, 65, 72, n / 2, n - 2, n - 1} {
			if at < 0 || at >= n {
				continue
			}
			for c := range 256 {
				was := data[at]
				data[at] = byte(c)
				for _, from := range []int{0, 1, 9} {
					if from > n {
						continue
					}
					if got, want := skipPlain(data, from), plainSlowly(data, from); got != want {
						t.Fatalf("%d bytes, %#x at %d, from %d: %d, want %d", n, c, at, from, got, want)
					}
				}
				data[at] = was
			}
		}
	}
}

func FuzzSkipPlain(f *testing.F) {
	f.Add(bytes.Repeat([]byte("QUJD"), 40), uint16(3), uint16(4000))
	f.Add([]byte("abc\\\"\x00\x80"), uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, unit []byte, from, long uint16) {
		// What is short is found by the fuzzer; what is long, made of it.
		data := unit
		if len(unit) > 0 {
			data = append(bytes.Repeat([]byte{'A'}, int(long)), bytes.Repeat(unit, 1+int(long)/8/len(unit))...)
		}
		i := min(int(from), len(data))
		if got, want := skipPlain(data, i), plainSlowly(data, i); got != want {
			t.Fatalf("%q from %d: %d, want %d", data, i, got, want)
		}
	})
}
