package swarm

import (
	"net/netip"
	"time"

	"sharer/wire"
)

const maxAnswer = 46 // addresses in an answer, as the best-known node sends

// Register puts the four handlers of this package on the mux.
func (s *Swarm) Register(mux *wire.Mux) {
	mux.Handle("PleaseSendPeers", wire.HandlerFunc(s.pleaseSendPeers))
	mux.Handle("Peers", wire.HandlerFunc(s.peers))
	mux.Handle("PleaseReturnThisMessage", wire.HandlerFunc(s.pleaseReturn))
	mux.Handle("ReturnedMessage", wire.HandlerFunc(s.returned))
}

// pleaseSendPeers answers with whom the asker could reach, fast ones first: up to 46 to the
// proven, one to others if it fits.
func (s *Swarm) pleaseSendPeers(from wire.Sender, _ wire.Element) []wire.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.rankedLocked(time.Now())
	class := ClassOf(from.Addr)
	keep := func(a netip.AddrPort) bool { return a != from.Addr && MayPass(a, class) }
	if from.Proven {
		return []wire.Message{wire.Peers{Peers: s.answerLocked(all, keep)}}
	}
	if len(all) == 0 {
		return nil
	}
	start := s.rng.IntN(min(len(all), 8)) // one of the fast, not always the same
	for i := range all {
		a := all[(start+i)%len(all)].addr
		if !keep(a) {
			continue
		}
		m := wire.Peers{Peers: []netip.AddrPort{a}}
		if len(`{"Peers":{"peers":[""]}},`)+len(a.String()) <= from.Room {
			return []wire.Message{m}
		}
		return nil // another one is hardly shorter
	}
	return nil
}

// largeTable: from here on the list for answers is a second old at most, but not newer than the
// table: to sort 4096 peers takes about a millisecond, and anyone who is proven may ask as often
// as he likes.
const largeTable = 512

func (s *Swarm) rankedLocked(now time.Time) []ranked {
	s.Table.mu.Lock()
	n, version := len(s.Table.list), s.Table.version
	s.Table.mu.Unlock()
	if s.listTime.IsZero() || now.Sub(s.listTime) >= time.Second || n <= largeTable && version != s.version {
		s.list, s.version = s.Table.rank(now)
		s.listTime = now
	}
	return s.list
}

func (s *Swarm) answerLocked(all []ranked, keep func(netip.AddrPort) bool) []netip.AddrPort {
	fit := make([]ranked, 0, len(all))
	for _, r := range all {
		if keep(r.addr) {
			fit = append(fit, r)
		}
	}
	as := make([]netip.AddrPort, 0, maxAnswer)
	for _, r := range pick(fit, maxAnswer, s.rng, func(r ranked) time.Time { return r.first }) {
		as = append(as, r.addr)
	}
	return as
}

// peers makes candidates of what a proven peer tells.
func (s *Swarm) peers(from wire.Sender, e wire.Element) []wire.Message {
	if !from.Proven {
		return nil
	}
	m, err := wire.ParsePeers(e.Payload)
	if err != nil {
		return nil
	}
	now := time.Now()
	for _, a := range m.Peers {
		if s.Gate.MayLearn(from, a) {
			s.Table.Hear(a, from.Addr, now)
		}
	}
	return nil
}

func (s *Swarm) pleaseReturn(from wire.Sender, e wire.Element) []wire.Message {
	if _, mine := s.Pings.Check(from.Addr, e.Payload, time.Now()); mine {
		s.Table.Self(from.Addr) // our own question came back: that address is ourselves, or pretends to be
		return nil
	}
	return []wire.Message{wire.ReturnedMessage{Value: e.Payload}}
}

// returned believes a token that verifies: as strong as a cookie, since it names the address.
func (s *Swarm) returned(from wire.Sender, e wire.Element) []wire.Message {
	now := time.Now()
	rtt, ok := s.Pings.Check(from.Addr, e.Payload, now)
	if !ok {
		return nil
	}
	s.Table.provePong(from.Addr, rtt, now)
	s.Pings.subs.Tell(Pong{From: from.Addr, RTT: rtt, Sent: now.Add(-rtt), Bytes: from.Size})
	return nil
}

// announce asks the LAN who is there.
func (s *Swarm) announce() {
	for _, ip := range s.Gate.around.Load().announce {
		to := netip.AddrPortFrom(ip, s.conf.LANPort)
		if buf, ok := s.batch.Open(to, 0, Announce); ok {
			s.batch.Close(wire.AppendMessage(buf, wire.PleaseSendPeers{}), 0)
		}
	}
	_ = s.batch.Flush() // counted; the next one is in a minute
}
