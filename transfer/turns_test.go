package transfer

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharer/chunk"
)

func peerAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, byte(i >> 8), byte(i)}), 24254)
}

// TestTurnsModel compares the queue with plain lists: first in, first out for each
// peer, the oldest dropped beyond the bound, nothing lost otherwise.
func TestTurnsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newTurns(nil)
		q.capPeer, q.capTotal = 8*chunk.BlockSize, 20*chunk.BlockSize
		model := map[netip.AddrPort][]int64{}
		var total, next, dropped int64
		now := time.Unix(1000, 0)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if q.bytes != total*chunk.BlockSize || q.dropped != dropped {
					t.Fatalf("%d bytes and %d dropped, want %d blocks and %d", q.bytes, q.dropped, total, dropped)
				}
			},
			"push": func(t *rapid.T) {
				a := peerAddr(rapid.IntRange(0, 3).Draw(t, "peer"))
				next++
				q.push(a, want{offset: next, length: chunk.BlockSize}, now)
				if len(model[a]) == 8 {
					model[a] = model[a][1:]
					total--
					dropped++
				}
				if total == 20 {
					dropped++
					return
				}
				model[a] = append(model[a], next)
				total++
			},
			"turn": func(t *rapid.T) {
				p, ws, wait := q.next(nil, now)
				if p == nil {
					if total != 0 || wait >= 0 {
						t.Fatalf("nothing taken with %d queued, wait %v", total, wait)
					}
					return
				}
				for _, w := range ws {
					if len(model[p.addr]) == 0 || model[p.addr][0] != w.offset {
						t.Fatalf("%s: took %d, want the first of %v", p.addr, w.offset, model[p.addr])
					}
					model[p.addr] = model[p.addr][1:]
					total--
				}
			},
		})
	})
}

// A peer that asks for much makes another wait for one of its turns, not for all of it.
func TestTurnsAreFair(t *testing.T) {
	q, now := newTurns(nil), time.Unix(1000, 0)
	greedy, modest := peerAddr(1), peerAddr(2)
	for i := range int64(500) {
		q.push(greedy, want{offset: i, length: chunk.BlockSize}, now)
	}
	q.push(modest, want{length: chunk.BlockSize}, now)
	for i := range 3 {
		p, ws, _ := q.next(nil, now)
		if p == nil {
			t.Fatal("nothing to do")
		}
		bytes := int64(0)
		for _, w := range ws {
			bytes += w.length
		}
		if bytes > turnBytes {
			t.Fatalf("a turn of %d bytes", bytes)
		}
		if p.addr == modest {
			return
		}
		if i == 2 {
			t.Fatal("the modest peer still waits after two turns of the greedy one")
		}
	}
}

// A peer's own limit holds over any second, and leaves the others alone.
func TestTurnsLimitEachPeer(t *testing.T) {
	const perSecond = 100_000
	q, start := newTurns(NewUpLimit(0, perSecond)), time.Unix(1000, 0)
	a, b := peerAddr(1), peerAddr(2)
	sent, next := map[netip.AddrPort]int{}, int64(0)
	now := start
	for now.Sub(start) < 10*time.Second {
		for _, p := range []netip.AddrPort{a, b} {
			if q.peers[p] == nil || len(q.peers[p].queue)-q.peers[p].head < 10 {
				q.push(p, want{offset: next, length: chunk.BlockSize}, now)
				next += chunk.BlockSize
			}
		}
		p, ws, wait := q.next(nil, now)
		if p == nil {
			now = now.Add(max(wait, time.Millisecond))
			continue
		}
		for _, w := range ws {
			sent[p.addr] += answerCost(w.length)
			q.limit.Charge(now, p.addr, answerCost(w.length))
		}
	}
	for _, p := range []netip.AddrPort{a, b} {
		if got := sent[p] - limitCap; got < 9.5*perSecond || got > 10*perSecond+answerCost(chunk.BlockSize) {
			t.Errorf("%s was sent %d bytes beyond the burst in 10 s, want %d", p, got, 10*perSecond)
		}
	}
}

// The state of peers is bounded, and one that is not heard of any more makes room.
func TestTurnsForget(t *testing.T) {
	q, now := newTurns(nil), time.Unix(1000, 0)
	for i := range maxUpPeers + 10 {
		q.push(peerAddr(i), want{length: 1}, now)
	}
	if len(q.peers) != maxUpPeers || q.dropped != 10 {
		t.Errorf("%d peers, %d dropped", len(q.peers), q.dropped)
	}
	for p, _, _ := q.next(nil, now); p != nil; p, _, _ = q.next(nil, now) {
	}
	q.push(peerAddr(maxUpPeers+1), want{length: 1}, now.Add(2*time.Minute))
	if len(q.peers) != maxUpPeers || q.peers[peerAddr(maxUpPeers+1)] == nil || q.peers[peerAddr(0)] != nil {
		t.Error("no room was made for a new peer in place of the one that was silent longest")
	}
}
