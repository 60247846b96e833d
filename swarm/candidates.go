package swarm

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"
)

// pace bounds datagrams to addresses that never answered: perSecond in all, perNet to each /24
// or /48, in any window of a second. It remembers the last perSecond of them, which is all that
// such a window can hold.
type pace struct {
	ring [16]struct {
		at  time.Time
		net netip.Prefix
	}
	n int // datagrams so far
}

// next is when one more may go to the network; a zero net is not bounded on its own.
func (p *pace) next(net netip.Prefix, l Limit) (at time.Time) {
	k := min(l.PerSecond, len(p.ring))
	if k > 0 && p.n >= k {
		at = p.ring[(p.n-k)%len(p.ring)].at.Add(time.Second)
	}
	if l.PerNet == 0 || !net.IsValid() {
		return at
	}
	seen := 0
	for i := p.n - 1; i >= 0 && i >= p.n-len(p.ring); i-- { // newest first
		r := &p.ring[i%len(p.ring)]
		if r.net != net {
			continue
		}
		if seen++; seen == l.PerNet {
			if t := r.at.Add(time.Second); t.After(at) {
				at = t
			}
			break
		}
	}
	return at
}

func (p *pace) sent(net netip.Prefix, now time.Time) {
	r := &p.ring[p.n%len(p.ring)]
	r.at, r.net = now, net
	p.n++
}

// silent remembers for 24 to 30 hours how often an address was tried in vain, although the
// table has long forgotten it, in bounded memory: a counting sketch of keyed hashes, one for
// each six hours. It may count too many, never too few.
//
// Arithmetic: 10 a second are at most 216,000 in six hours; with 4 cells each of 2^21 a cell is
// in use with p = 1-exp(-0.41) = 0.34, so that under a flood that never pauses one address in 75
// is taken for one that was tried; at the rates of a quiet day none. 2 bits a cell make 512 KiB
// a sketch, five of them 2.5 MiB, each allocated when its first address is tried.
type silent struct {
	key     [16]byte
	sketch  [sketches][]byte
	started [sketches]time.Time
	cur     int
}

const (
	sketches    = 5
	sketchCells = 1 << 21
	sketchSpan  = 6 * time.Hour
	sketchMost  = 3 // what 2 bits hold
)

func (s *silent) cells(a netip.AddrPort) (at [4]uint32) {
	var in [16 + 16 + 2]byte
	copy(in[:], s.key[:])
	ip := a.Addr().As16()
	copy(in[16:], ip[:])
	binary.BigEndian.PutUint16(in[32:], a.Port())
	sum := sha256.Sum256(in[:])
	for i := range at {
		at[i] = binary.BigEndian.Uint32(sum[4*i:]) % sketchCells
	}
	return at
}

func cellOf(b []byte, i uint32) byte { return b[i/4] >> (i % 4 * 2) & 3 }

// count is how often the address was tried within 24 hours, or more.
func (s *silent) count(a netip.AddrPort, now time.Time) int {
	n := 0
	var at [4]uint32
	hashed := false
	for i, b := range s.sketch {
		if b == nil || now.Sub(s.started[i]) >= 24*time.Hour+sketchSpan {
			continue
		}
		if !hashed {
			at, hashed = s.cells(a), true
		}
		least := byte(sketchMost)
		for _, c := range at {
			least = min(least, cellOf(b, c))
		}
		n += int(least)
	}
	return n
}

// tried notes one more.
func (s *silent) tried(a netip.AddrPort, now time.Time) {
	if b := s.sketch[s.cur]; b == nil {
		s.sketch[s.cur] = make([]byte, sketchCells/4)
		s.started[s.cur] = now
	} else if now.Sub(s.started[s.cur]) >= sketchSpan {
		s.cur = (s.cur + 1) % sketches
		if s.sketch[s.cur] == nil {
			s.sketch[s.cur] = make([]byte, sketchCells/4)
		} else {
			clear(s.sketch[s.cur])
		}
		s.started[s.cur] = now
	}
	b := s.sketch[s.cur]
	at := s.cells(a)
	least := byte(sketchMost)
	for _, c := range at {
		least = min(least, cellOf(b, c))
	}
	if least == sketchMost {
		return
	}
	for _, c := range at { // conservative update: only the cells that decide
		if cellOf(b, c) == least {
			b[c/4] += 1 << (c % 4 * 2)
		}
	}
}
