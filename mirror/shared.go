package mirror

import (
	"encoding/binary"
	"math"
	"slices"

	"sharer/chunk"
	"sharer/identity"
)

// score is what a mirror has for a file: uniform over all 64-bit numbers, the same wherever it is computed. It is the
// finalizer of splitmix64 over the first eight bytes, big-endian, of the file's BLAKE3 xor those of the key. Keys are
// cheap, so a mirror may choose one that gets the files it likes; it cannot keep others from carrying them.
func score(file chunk.Hash, mirror identity.PublicKey) uint64 {
	x := binary.BigEndian.Uint64(file[:8]) ^ binary.BigEndian.Uint64(mirror[:8])
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Shared says which files a mirror carries of a set that several carry together. It is a value: who is known, and
// who we are.
type Shared struct {
	self   identity.PublicKey
	others []identity.PublicKey
	copies int
	share  float64 // 0 to 1; 0: by copies
}

// maxMirrors bounds the known mirrors that are counted: each costs a hash a file.
const maxMirrors = 1000

// NewShared is who carries what, by rendezvous hashing: of all mirrors the copies with the highest scores of a file
// carry it. A mirror that leaves gives its files to those next in rank and changes nothing else. With a share no
// others need to be known.
func NewShared(r Rules, self identity.PublicKey, known []identity.PublicKey) Shared {
	s := Shared{self: self, copies: r.Copies, share: r.Share.Percent / 100}
	for _, k := range known {
		if k != self && len(s.others) < maxMirrors {
			s.others = append(s.others, k)
		}
	}
	slices.SortFunc(s.others, func(a, b identity.PublicKey) int { return slices.Compare(a[:], b[:]) })
	s.others = slices.Compact(s.others)
	return s
}

// Carries says whether we carry a file.
func (s Shared) Carries(file chunk.Hash) bool {
	switch {
	case s.share > 0:
		return float64(score(file, s.self)) < s.share*math.MaxUint64
	case s.copies == 0 || len(s.others) < s.copies:
		return true
	}
	mine, better := score(file, s.self), 0
	for _, k := range s.others {
		if other := score(file, k); other > mine || other == mine && slices.Compare(k[:], s.self[:]) < 0 {
			if better++; better == s.copies {
				return false
			}
		}
	}
	return true
}

// Copies is how many of all mirrors, us included, carry a file by the rule.
func (s Shared) Copies() int {
	if s.copies == 0 {
		return 1 + len(s.others)
	}
	return min(s.copies, 1+len(s.others))
}
