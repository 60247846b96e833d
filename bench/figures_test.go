package main

import (
	"math"
	"strings"
	"testing"
)

func TestSheet(t *testing.T) {
	s := sheet{Name: "x", Title: "what", Columns: []string{"n", "MB/s"}, Bars: []bar{{"a", 1, 1, "ms"}, {"b", 1.01, 1, "ms"}, {"c", math.NaN(), 1, "s"}}}
	s.add(1000, 0.01234)
	s.add("many", 123.456)
	var out strings.Builder
	s.print(&out)
	want := `x: what
n     MB/s
1000  0.0123
many  123
a: 1.00 ms, want at most 1.00 ms: met
b: 1.01 ms, want at most 1.00 ms: NOT MET
c: NaN s, want at most 1.00 s: NOT MET
`
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", &out, want)
	}
}
