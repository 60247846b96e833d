package transfer

import (
	"testing"
	"time"

	"sharer/chunk"
)

// A peer that asks for a window at a time, again and again, costs no memory each time; and a thousand of them
// do not keep a window's worth each.
func TestTurnsReuseQueues(t *testing.T) {
	q := newTurns(nil)
	now := time.Unix(1000, 0)
	ws := make([]want, 0, turnRequests)
	window := func(peer int) {
		for i := range int64(512) {
			q.push(peerAddr(peer), want{offset: i * chunk.BlockSize, length: chunk.BlockSize}, now)
		}
		for p, _, _ := q.next(ws, now); p != nil; p, _, _ = q.next(ws, now) {
		}
	}
	window(0)
	if n := testing.AllocsPerRun(20, func() { window(0) }); n > 1 {
		t.Errorf("%v allocations for a window of 512 requests", n)
	}
	for peer := range 50 {
		window(peer)
	}
	kept := 0
	for _, p := range q.peers {
		if cap(p.queue) > 64 {
			kept++
		}
	}
	if kept > 0 || len(q.spare) > spareQueues {
		t.Errorf("%d peers keep a queue, and %d are spare", kept, len(q.spare))
	}
}

// Holders are told of a peer's interest when it is new, and once a second.
func TestTurnsTellNews(t *testing.T) {
	q := newTurns(nil)
	begun := time.Unix(1000, 0)
	one, tree, other := chunk.ID{Kind: chunk.BLAKE3}, chunk.ID{Kind: chunk.BLAKE3Tree}, chunk.ID{Kind: chunk.SHA256}
	for i, tc := range []struct {
		peer  int
		id    chunk.ID
		after time.Duration
		want  bool
	}{
		{1, one, 0, true}, {1, one, 0, false}, {1, tree, 0, false}, {2, one, 0, true}, {1, one, tellHolders - 1, false},
		{1, one, tellHolders, true}, {1, other, tellHolders, true}, {1, one, tellHolders, true},
	} {
		w := want{id: tc.id, offset: int64(i) * chunk.BlockSize, length: chunk.BlockSize}
		if got := q.push(peerAddr(tc.peer), w, begun.Add(tc.after)); got != tc.want {
			t.Errorf("%d: news %v, want %v", i, got, tc.want)
		}
	}
}
