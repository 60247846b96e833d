package transfer

import (
	"testing"
	"time"

	"sharer/chunk"
)

// A peer that asks for one block as fast as it is answered gets it maxRepeats times a second; nobody else, and nothing
// else that it asks for, is held up.
func TestRepeats(t *testing.T) {
	q := newTurns(nil)
	now := time.Unix(1000, 0)
	ask := func(peer int, block int64) bool {
		q.push(peerAddr(peer), want{id: chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{1}}, offset: block * chunk.BlockSize, length: chunk.BlockSize}, now)
		p, ws, _ := q.next(nil, now)
		return p != nil && len(ws) == 1
	}
	for second := range 3 {
		given := 0
		for range 10_000 {
			if ask(1, 0) {
				given++
			}
			now = now.Add(100 * time.Microsecond)
		}
		if given != maxRepeats {
			t.Errorf("second %d: %d answers, want %d", second, given, maxRepeats)
		}
		if !ask(2, 0) {
			t.Error("another peer is not answered")
		}
	}
	if want := int64(3 * (10_000 - maxRepeats)); q.repeated != want {
		t.Errorf("%d counted, want %d", q.repeated, want)
	}
	for round := range 2 * maxRepeats { // all of it again and again, as who checks a sha256 in vain does
		for block := range int64(100) {
			if !ask(1, 1+block) {
				t.Fatalf("block %d is not given in round %d", block, round)
			}
		}
	}
}
