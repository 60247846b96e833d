package transfer

import "sharer/chunk"

// untried is how many blocks a peer is asked for before the first one has proven good; one
// that sent bad ones gets as many as are forgiven. So a liar costs a download no more than
// its strikes.
const untried = strikes

// untrusted says whether s has yet to prove good, or did not.
func (d *Download) untrusted(s *source) bool {
	return (s.gave == 0 || s.bad > 0) && d.cfg.ID.Kind == chunk.BLAKE3 && d.proven
}

// onTrial says whether what s sent must be checked before it is asked for more blocks.
func (d *Download) onTrial(s *source) bool {
	if !d.untrusted(s) {
		return false
	}
	out := len(s.parts.units)
	for k, fl := range s.flights.out {
		if !fl.lost && !fl.part && k&keyPath == 0 {
			out++
		}
	}
	return s.unchecked(out)
}

// unchecked says whether what s sent and is not checked yet, with out blocks more, is all that a
// peer is trusted with that has not proven good.
func (s *source) unchecked(out int) bool {
	return int64(out)+s.came-s.judged >= int64(max(untried-s.bad, 1))
}
