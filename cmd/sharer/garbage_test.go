package main

import "testing"

// TestPercent: a little that lives may be four times as much again; of much, what lies around is bounded.
func TestPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 400}, {4 << 20, 400}, {8 << 20, 400}, {32 << 20, 100}, {64 << 20, 50}, {1 << 30, 25}} {
		if got := percentFor(c.live); got != c.want {
			t.Errorf("%d bytes live: %d %%, want %d", c.live, got, c.want)
		}
	}
}
