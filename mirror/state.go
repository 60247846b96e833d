package mirror

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"sharer/chunk"
)

// Head is a version of a folder: the number that the publisher gave it, and its manifest. A folder's fixed link has
// the number 0.
type Head struct {
	Seq int64
	ID  chunk.Hash // BLAKE3 of the manifest's first page
	Gen int        // the how manieth time that this version is built, from 0: what is carried of it may change
}

// MarshalText and UnmarshalText are the form that state is kept in.
func (h Head) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (h *Head) UnmarshalText(text []byte) error {
	head, ok := parseHead(string(text))
	if !ok {
		return fmt.Errorf("mirror: %q is no version", text)
	}
	*h = head
	return nil
}

// String is what the version's folder is called: numbers in fixed digits, so that names sort as numbers do.
func (h Head) String() string {
	return fmt.Sprintf("%016d-%06d-%s", h.Seq, h.Gen, hex.EncodeToString(h.ID[:]))
}

// after says whether h came to be after o.
func (h Head) after(o Head) bool { return h.Seq > o.Seq || h.Seq == o.Seq && h.Gen > o.Gen }

// maxGen bounds the builds of one version: then the numbers begin again, and the earlier ones are removed as left over.
const maxGen = 999_999

// Zero is the head of no version.
func (h Head) Zero() bool { return h.ID == chunk.Hash{} }

func parseHead(text string) (h Head, ok bool) {
	const seq, gen = 16, 6
	if len(text) != seq+1+gen+1+2*len(h.ID) || text[seq] != '-' || text[seq+1+gen] != '-' {
		return Head{}, false
	}
	for i, c := range []byte(text[:seq+1+gen]) {
		switch {
		case i == seq:
		case c < '0' || c > '9':
			return Head{}, false
		case i < seq:
			h.Seq = h.Seq*10 + int64(c-'0')
		default:
			h.Gen = h.Gen*10 + int(c-'0')
		}
	}
	id, err := chunk.ParseHash(text[seq+1+gen+1:])
	if err != nil || id.String() != text[seq+1+gen+1:] {
		return Head{}, false
	}
	h.ID = id
	return h, true
}

// News is what a head that somebody has signed is to a mirror.
type News uint8

// The kinds of news.
const (
	Known  News = iota // what is known already
	Fresh              // a later version
	Stale              // an earlier one than is known: peers that were away say such things, and it means nothing
	Frozen             // the mirror is frozen, or just now became so
)

// maxPast bounds the memory of earlier versions: some 120 bytes each.
const maxPast = 256

// State is what a mirror knows of its name, and what its operator has said. It is a value that is written down after
// each change; all that concerns what is on disk is read from the disk instead.
type State struct {
	Past     []Head    `json:"past,omitempty"` // heads that were accepted, oldest first; the last one is the latest
	Seen     time.Time `json:"seen"`           // when the latest was
	Looked   time.Time `json:"looked"`         // when somebody has answered last
	Approved Head      `json:"approved"`       // the operator wants it, whatever it takes away
	Held     Reason    `json:"held,omitempty"` // why the latest is not taken
	Why      string    `json:"why,omitempty"`
	Frozen   bool      `json:"frozen,omitempty"`   // nothing more is taken: Held and Why say the fault
	Disputed int64     `json:"disputed,omitempty"` // the number under which the fault is
	Settled  int64     `json:"settled,omitempty"`  // the operator knows of the fault under this number, and goes on with what was there first
	Paused   bool      `json:"paused,omitempty"`
	Stale    int64     `json:"stale,omitempty"` // times that an earlier head than the latest came
}

// Latest is the head that the mirror wants to have; zero if it has heard of none.
func (s *State) Latest() Head {
	if len(s.Past) == 0 {
		return Head{}
	}
	return s.Past[len(s.Past)-1]
}

// See takes a head that the publisher has signed.
func (s *State) See(h Head, now time.Time) News {
	if s.Frozen {
		return Frozen
	}
	latest := s.Latest()
	for _, p := range s.Past {
		switch {
		case p.Seq != h.Seq || p.ID == h.ID:
		case s.Settled == h.Seq && h.Seq > 0:
			s.Stale++
			return Stale
		default:
			s.freeze(h.Seq, fmt.Sprintf("%x and %x are both signed under %d", p.ID[:8], h.ID[:8], h.Seq))
			return Frozen
		}
	}
	switch {
	case !latest.Zero() && h.Seq < latest.Seq:
		s.Stale++
		return Stale
	case h == latest:
		s.Looked = now
		return Known
	}
	s.Past = append(s.Past, h)
	if len(s.Past) > maxPast {
		s.Past = append(s.Past[:0], s.Past[1:]...)
	}
	s.Seen, s.Looked = now, now
	if h.ID == latest.ID {
		// The same under a new number: what was said of it holds, or a thief would sign an earlier version twice.
		if s.Approved == latest {
			s.Approved = h
		}
		return Fresh
	}
	s.hold()
	return Fresh
}

// hold holds the latest version if it is one that was there before another.
func (s *State) hold() {
	s.Held, s.Why = "", ""
	latest, between := s.Latest(), false
	for _, p := range slices.Backward(s.Past) {
		if p.ID != latest.ID {
			between = true
		} else if between && s.Approved != latest {
			s.Held, s.Why = HeldRollback, fmt.Sprintf("number %d is an earlier version again", latest.Seq)
			return
		}
	}
}

// freeze stops everything until the operator approves.
func (s *State) freeze(seq int64, why string) {
	s.Frozen, s.Held, s.Why, s.Disputed = true, Conflict, why, seq
}

// Conflicts freezes the mirror for a fault that others have proven: two contents that are signed under one number. false:
// the operator knows of it already.
func (s *State) Conflicts(seq int64, why string) bool {
	if s.Frozen || s.Settled == seq && seq > 0 {
		return false
	}
	s.freeze(seq, why)
	return true
}

// Wants says whether the latest version should be taken now. current is what is there; a new number for the very same
// manifest changes nothing on disk.
func (s *State) Wants(current Head) bool {
	latest := s.Latest()
	return !latest.Zero() && latest.ID != current.ID && !s.Paused && !s.Frozen && latest.Seq >= current.Seq && s.Goes()
}

// Judged writes down what became of the plan for a head. A plan for what is not the latest any more says nothing.
func (s *State) Judged(h Head, p *Plan) bool {
	if h != s.Latest() || s.Frozen {
		return false
	}
	if p.Held == "" {
		s.Held, s.Why = "", ""
		return true
	}
	s.Held, s.Why = p.Held, p.Why
	return false
}

// Allowed says whether the operator has approved a head.
func (s *State) Allowed(h Head) bool { return !h.Zero() && s.Approved == h }

// Goes says whether the latest version may be planned: nothing that a plan cannot see speaks against it.
func (s *State) Goes() bool { return s.Held != HeldRollback || s.Approved == s.Latest() }

// Approve is the operator's word for the latest version; or that a frozen mirror may go on, with what it saw first, and what
// comes later: that says nothing of what else speaks against the latest, which is held then for that. It reports whether
// there was something to approve.
func (s *State) Approve() bool {
	if s.Held == "" || !s.Held.approvable() {
		return false
	}
	if s.Frozen {
		s.Frozen, s.Settled, s.Disputed = false, s.Disputed, 0
		s.hold()
		return true
	}
	s.Held, s.Why = "", ""
	s.Approved = s.Latest()
	return true
}
