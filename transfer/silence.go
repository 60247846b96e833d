package transfer

import (
	"net/netip"
	"time"
)

// When our own router changes its mapping in mid-transfer, nothing that arrives tells us: requests go to
// the address that we had, and who sends them waits for answers. So a peer that was asking steadily and
// falls silent is asked whether it is there. The question opens the new mapping and carries the cookie
// that the peer made for the old address, by which it learns of the move (swarm/moved.go).
//
// At the end of a download it is in vain, which the asker does not tell: silenceAsks datagrams of
// some 150 bytes, to an address that has proven itself and was sent content a second before.
const (
	steadyAsks   = 8                // requests in a row, none silenceFirst after the one before: who asks less will look elsewhere first
	silenceFirst = time.Second      // of silence, then it is asked; twice as long until the next time, and so on
	silenceAsks  = 3                // times
	silenceLook  = silenceFirst / 8 // between two looks at all peers that ask steadily, 4096 at most
)

// heard is told of a request, before it counts as the last one.
func (t *turns) heard(p *upPeer, now time.Time) {
	if now.Sub(p.used) > silenceFirst {
		p.asks = 0
	}
	p.asks++
	p.calls = 0
	if p.asks >= steadyAsks && !p.steady {
		p.steady = true
		t.steady = append(t.steady, p)
		if at := now.Add(silenceFirst); t.look.IsZero() || at.Before(t.look) {
			t.look = at
		}
	}
}

// silent appends the peers to dst that are to be asked whether they are there, and counts them as asked.
// next is when to look again; the zero time: when somebody has asked for something.
func (t *turns) silent(dst []netip.AddrPort, now time.Time) (who []netip.AddrPort, next time.Time) {
	if len(t.steady) == 0 || now.Before(t.look) {
		return dst, t.look
	}
	kept := t.steady[:0]
	t.look = time.Time{}
	for _, p := range t.steady {
		at := p.due(now)
		if p.asks >= steadyAsks && p.calls < silenceAsks && !now.Before(at) {
			dst = append(dst, p.addr)
			p.calls++
			at = p.due(now)
		}
		if p.asks < steadyAsks || p.calls == silenceAsks {
			p.steady, p.asks = false, 0
			continue
		}
		kept = append(kept, p)
		if at = later(at, now.Add(silenceLook)); t.look.IsZero() || at.Before(t.look) {
			t.look = at
		}
	}
	clear(t.steady[len(kept):])
	t.steady = kept
	return dst, t.look
}

// due is when a peer that stays silent is asked next: silence is counted from its last request, or from
// our last answer, for which it may have been waiting.
func (p *upPeer) due(now time.Time) time.Time {
	if p.head < len(p.queue) {
		return now.Add(silenceFirst)
	}
	return later(p.used, p.answered).Add(silenceFirst<<(p.calls+1) - silenceFirst)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
