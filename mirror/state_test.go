package mirror

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharer/chunk"
)

// TestStateModel lets a publisher, its thief, and peers that were away say things in any order, kills the mirror between
// any two, and compares with what must never be: a version that goes back, one that was held, one under a disputed number.
func TestStateModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s State
		var current Head
		signed := map[int64]chunk.Hash{} // what was accepted first under each number
		now := time.Unix(1_700_000_000, 0)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				latest := s.Latest()
				if s.Wants(current) && (latest.Seq < current.Seq || s.Frozen || s.Paused) {
					t.Fatalf("wants %v after %v", latest, current)
				}
			},
			"see": func(t *rapid.T) {
				h := Head{Seq: rapid.Int64Range(0, 6).Draw(t, "seq"), ID: chunk.Hash{rapid.Byte().Draw(t, "id") % 4, 1}}
				before, was := s.Latest(), s.Frozen
				news := s.See(h, now)
				first, there := signed[h.Seq]
				switch {
				case was:
					if news != Frozen || s.Latest() != before {
						t.Fatalf("frozen, and took %v", h)
					}
				case there && first != h.ID && s.Settled == h.Seq && h.Seq > 0:
					if news != Stale || s.Latest() != before {
						t.Fatalf("a fault that is known: %v", news)
					}
				case there && first != h.ID:
					if news != Frozen || !s.Frozen {
						t.Fatalf("two manifests under %d: %v", h.Seq, news)
					}
				case !before.Zero() && h.Seq < before.Seq:
					if news != Stale || s.Latest() != before {
						t.Fatalf("an earlier number is %v", news)
					}
				case h == before:
					if news != Known {
						t.Fatalf("the same again is %v", news)
					}
				default:
					if news != Fresh || s.Latest() != h {
						t.Fatalf("a later one is %v", news)
					}
					for seq, id := range signed {
						if id == h.ID && id != before.ID && seq != h.Seq && s.Held != HeldRollback {
							t.Fatalf("%v was version %d before, and is not held", h, seq)
						}
					}
					signed[h.Seq] = h.ID
				}
			},
			"sync": func(t *rapid.T) {
				if !s.Wants(current) {
					return
				}
				h := s.Latest()
				p := &Plan{}
				if rapid.Bool().Draw(t, "wipe") && !s.Allowed(h) {
					p.Held = HeldDelete
				}
				went := s.Judged(h, p)
				if went != (p.Held == "") {
					t.Fatalf("held by %q, goes: %v", p.Held, went)
				}
				if went {
					current = h
				}
			},
			"approve": func(*rapid.T) { s.Approve() },
			"pause":   func(*rapid.T) { s.Paused = !s.Paused },
			"restart": func(t *rapid.T) {
				data, err := json.Marshal(s)
				if err != nil {
					t.Fatal(err)
				}
				s = State{}
				if err := json.Unmarshal(data, &s); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

// TestHeadText: the names of versions are read back, and nothing else is taken for one.
func TestHeadText(t *testing.T) {
	h := Head{Seq: 1738, Gen: 12, ID: chunk.Hash{0xab, 31: 0xcd}}
	if got, ok := parseHead(h.String()); !ok || got != h {
		t.Errorf("%v becomes %v", h, got)
	}
	for _, bad := range []string{"", "..", h.String() + "x", ".new-" + h.String(), "000000000000173x-000012-" + h.ID.String(), "0000000000001738_000012-" + h.ID.String()} {
		if _, ok := parseHead(bad); ok {
			t.Errorf("%q is taken for a version", bad)
		}
	}
}

// TestApproveOnlyWhatHelps: what does not fit is not made to fit by a word.
func TestApproveOnlyWhatHelps(t *testing.T) {
	for reason, want := range map[Reason]bool{"": false, HeldQuota: false, HeldDisk: false, HeldInodes: false, HeldDelete: true, HeldRollback: true, Conflict: true} {
		s := State{Past: []Head{{Seq: 1, ID: chunk.Hash{1}}}, Held: reason, Frozen: reason == Conflict}
		// That a fault of the publisher is known says nothing of the version that was there first.
		if got := s.Approve(); got != want || want && (s.Frozen || s.Allowed(s.Latest()) == (reason == Conflict)) {
			t.Errorf("%q: approved %v, want %v", reason, got, want)
		}
	}
}

// TestRollbackTwice: an earlier version that is signed again under more numbers stays held, and one word is enough for it.
func TestRollbackTwice(t *testing.T) {
	a, b, c, now := chunk.Hash{1}, chunk.Hash{2}, chunk.Hash{3}, time.Unix(1_700_000_000, 0)
	var s State
	for i, id := range []chunk.Hash{a, b, a, a} {
		s.See(Head{Seq: int64(i + 1), ID: id}, now)
	}
	current := Head{Seq: 2, ID: b}
	if s.Held != HeldRollback || s.Wants(current) {
		t.Fatalf("an earlier version, signed twice: %+v", s)
	}
	// A fault that is known now does not let it through.
	s.See(Head{Seq: 4, ID: c}, now)
	if !s.Frozen || !s.Approve() || s.Held != HeldRollback || s.Wants(current) {
		t.Errorf("after a fault: %+v", s)
	}
	if news := s.See(Head{Seq: 4, ID: c}, now); news != Stale || s.Frozen {
		t.Errorf("the same fault again is %v: %+v", news, s)
	}
	if !s.Approve() || !s.Wants(current) {
		t.Errorf("approved: %+v", s)
	}
	s.See(Head{Seq: 5, ID: a}, now)
	if s.Held != "" || !s.Wants(current) {
		t.Errorf("approved, and signed again: %+v", s)
	}
}
