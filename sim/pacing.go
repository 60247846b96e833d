package sim

import (
	"fmt"
	"net/netip"
	"time"

	"sharer/transfer"
)

// limits are those of a node's config, bytes a second with headers; 0: none.
type limits struct{ up, down, peer, downPeer int64 }

// pacing is C7 for one node: what it sends and gets, all together and by peer.
type pacing struct {
	up, down pacer
	to, from map[netip.AddrPort]*pacer
}

// pacer holds what was sent in the last second, and in the last ten.
type pacer struct {
	one, ten span
	told     time.Time // the last violation
}

// span sums bytes over a time.
type span struct {
	lumps []lump
	bytes int64
}

type lump struct {
	at    time.Time
	bytes int64
}

func (s *span) add(now time.Time, bytes int64, long time.Duration) {
	s.lumps = append(s.lumps, lump{now, bytes})
	s.bytes += bytes
	for now.Sub(s.lumps[0].at) >= long {
		s.bytes -= s.lumps[0].bytes
		s.lumps = s.lumps[1:]
	}
}

// slack is by how much an average over ten seconds may exceed its limit (N20).
const slack = 1.05

// add books bytes and says what is wrong: more in a second than the rate and one burst, or more in ten than the rate and
// a twentieth, and one burst. It says so once a second at most.
func (p *pacer) add(now time.Time, bytes, rate int64) (wrong string) {
	p.one.add(now, bytes, time.Second)
	p.ten.add(now, bytes, 10*time.Second)
	return p.judge(now, rate)
}

func (p *pacer) judge(now time.Time, rate int64) (wrong string) {
	most1, most10 := rate+transfer.LimitBurst, int64(10*slack*float64(rate))+transfer.LimitBurst
	switch {
	case now.Sub(p.told) < time.Second:
		return ""
	case p.one.bytes > most1:
		wrong = fmt.Sprintf("%d bytes in one second, %d at most", p.one.bytes, most1)
	case p.ten.bytes > most10:
		wrong = fmt.Sprintf("%d bytes in ten seconds, %d at most", p.ten.bytes, most10)
	default:
		return ""
	}
	p.told = now
	return wrong
}

// pacedLocked is C7.
func (w *watch) pacedLocked(l *life, d *datagram, out bool) {
	found := func(p *pacer, rate int64, what string) {
		if wrong := p.add(d.at, int64(d.size), rate); wrong != "" {
			w.foundLocked(C7, sprint(l, " ", what, " ", wrong), d)
		}
	}
	if l.limits.up > 0 && out {
		found(&l.paced.up, l.limits.up, "sent")
	}
	if l.limits.down > 0 && !out {
		found(&l.paced.down, l.limits.down, "got")
	}
	of := func(all *map[netip.AddrPort]*pacer, peer netip.AddrPort) *pacer {
		if *all == nil {
			*all = map[netip.AddrPort]*pacer{}
		}
		if (*all)[peer] == nil {
			(*all)[peer] = &pacer{}
		}
		return (*all)[peer]
	}
	if l.limits.peer > 0 && out {
		found(of(&l.paced.to, d.to), l.limits.peer, sprint("sent ", d.to))
	}
	if l.limits.downPeer > 0 && !out {
		found(of(&l.paced.from, d.from), l.limits.downPeer, sprint("got of ", d.from))
	}
}
