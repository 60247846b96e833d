package node

import (
	"net/netip"
	"time"

	"sharer/chunk"
	"sharer/deny"
	"sharer/swarm"
	"sharer/transfer"
)

// banTime is how long an address that sent what contradicts an id is neither
// asked nor answered.
const banTime = time.Hour

// peers shows transfer what the swarm knows of addresses.
type peers struct {
	s    *swarm.Swarm
	deny *deny.Book
}

var _ transfer.Peers = peers{}

func (p peers) MayRequest(a netip.AddrPort, now time.Time) (bool, time.Time) {
	if p.deny != nil {
		if _, no := p.deny.Peer(a.Addr()); no {
			return false, now.Add(time.Hour)
		}
	}
	return p.s.Gate.MayRequest(a, now)
}

func (p peers) Proven(a netip.AddrPort) bool { return p.s.Table.Proven(a) }

func (p peers) Answered(a netip.AddrPort, rtt time.Duration) {
	p.s.Table.Answered(a, rtt, time.Now())
}

func (p peers) Unanswered(a netip.AddrPort) { p.s.Table.Unanswered(a, time.Now()) }

func (p peers) Punish(a netip.AddrPort) {
	now := time.Now()
	p.s.Table.Ban(a, now.Add(banTime), now)
}

// holders shows transfer who asked for what.
type holders struct {
	h    *swarm.Holders
	deny *deny.Book
}

var _ transfer.Holders = holders{}

func (h holders) Asked(id chunk.ID, a netip.AddrPort, _ time.Time) { h.h.Add(id, a) }

// Tell names holders that the asker can reach and may be told of.
func (h holders) Tell(id chunk.ID, to netip.AddrPort, n int, _ time.Time) []netip.AddrPort {
	if denies(h.deny, id) {
		return nil
	}
	class := swarm.ClassOf(to)
	var told []netip.AddrPort
	for _, a := range h.h.Of(id) {
		if len(told) == n {
			break
		}
		if a != to && swarm.MayPass(a, class) {
			told = append(told, a)
		}
	}
	return told
}

var _ swarm.Shedder = (*transfer.Limit)(nil)

// pinger asks peers whether they are there.
type pinger struct{ s *swarm.Swarm }

// ping is for addresses that are proven still: one that the table has forgotten meanwhile
// is not worth the care that a stranger takes.
func (p pinger) ping(to netip.AddrPort) {
	if p.s.Table.Proven(to) {
		_ = p.s.Ping(to, time.Now()) // counted by the gate; it is asked again
	}
}
