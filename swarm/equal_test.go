package swarm

import (
	"strings"
	"testing"
)

// What is a few bytes shorter than its neighbour is filled up to it, for then both leave in one system call; what goes
// elsewhere or is much shorter, is not.
func TestNeighboursAreFilledUp(t *testing.T) {
	conn := &fakeConn{}
	p := newPeer(t, conn, Config{})
	a, other := ap("1.2.3.4:5"), ap("1.2.3.4:6")
	p.prove(t, a)
	p.prove(t, other)
	b := p.Gate.NewBatch()
	size := func(element int) int {
		t.Helper()
		buf, ok := b.Open(a, 0, Request)
		if !ok {
			t.Fatal("refused")
		}
		return b.Close(append(buf, `{"X":"`+strings.Repeat("x", element)+`"}`...), 0)
	}
	first := size(2000)
	for _, tc := range []struct{ element, want int }{
		{2000, first}, {1999, first}, {1968, first}, {1967, first - 33},
		{1967, first - 33}, {1970, first - 30}, {1940, first - 30},
	} {
		if got := size(tc.element); got != tc.want {
			t.Errorf("an element of %d: %d bytes, want %d", tc.element, got, tc.want)
		}
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := size(1990); got != first-10 {
		t.Errorf("behind a flush: %d bytes, want %d", got, first-10)
	}
	buf, ok := b.Open(other, 0, Request)
	if !ok {
		t.Fatal("refused")
	}
	if got := b.Close(append(buf, `{"X":"`+strings.Repeat("x", 1989)+`"}`...), 0); got != first-11 {
		t.Errorf("to another: %d bytes, want %d", got, first-11)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, d := range conn.take() {
		if !strings.HasSuffix(string(d.Data), "]") || strings.TrimRight(strings.TrimSuffix(string(d.Data), "]"), " ") == "" {
			t.Errorf("…%q", d.Data[len(d.Data)-9:])
		}
	}
}
