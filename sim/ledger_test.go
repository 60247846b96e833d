package sim

import (
	"net/netip"
	"testing"
	"time"

	"sharer/swarm"
	"sharer/wire"
)

// C3 against each row of swarm.Rules: what the row allows passes, one more byte, datagram or instant does not.

func rule(t *testing.T, why swarm.Reason, proof swarm.Proof, class swarm.Class) swarm.Limit {
	t.Helper()
	l, ok := swarm.RuleFor(why, proof, class)
	if !ok {
		t.Fatalf("no row for %s, %s, %s", why, proof, class)
	}
	return l
}

var (
	askContent = wire.PleaseSendContent{ID: []byte("x"), Length: 4096}
	content    = wire.Content{ID: []byte("x"), Data: make([]byte, 300), EOF: -1}
	ourCookie  = wire.CookieValue("0123456789abcdef")
)

// gossip is one who has proven himself, and tells of others.
var gossip = netip.MustParseAddrPort("20.4.0.1:24254")

func (s *scene) hear(as ...netip.AddrPort) {
	s.prove(gossip)
	s.hears(gossip, array(0, wire.Peers{Peers: as}, wire.AlwaysReturned{Value: ourCookie}))
}

// prove lets a peer return the node's cookie.
func (s *scene) prove(a netip.AddrPort) {
	s.hears(a, array(400, wire.PleaseSendPeers{}))
	s.says(a, array(0, wire.Peers{}, wire.PleaseAlwaysReturnThisMessage{Value: ourCookie}))
	s.hears(a, array(0, wire.ReturnedMessage{Value: []byte("1")}, wire.AlwaysReturned{Value: ourCookie}))
	s.want("", "a handshake")
}

func TestLedgerReplies(t *testing.T) {
	ratio := rule(t, swarm.Reply, swarm.Unproven, swarm.Public).Ratio
	worth := func(in int) int { return ratio*(in+wire.HeaderBytes) - wire.HeaderBytes }
	for _, tc := range []struct {
		name string
		play func(s *scene)
		want Rule
	}{
		{"twice the question", func(s *scene) {
			s.hears(peerAt, array(300, askContent))
			s.says(peerAt, array(worth(300), wire.Peers{}))
		}, ""},
		{"one byte more", func(s *scene) {
			s.hears(peerAt, array(300, askContent))
			s.says(peerAt, array(worth(300)+1, wire.Peers{}))
		}, C3},
		{"a second reply", func(s *scene) {
			s.hears(peerAt, array(300, askContent))
			s.says(peerAt, array(100, wire.Peers{}))
			s.says(peerAt, array(100, wire.Peers{}))
		}, C3},
		{"one reply for two questions in one", func(s *scene) {
			s.hears(peerAt, array(300, askContent, askContent))
			s.says(peerAt, array(100, wire.Peers{}))
			s.says(peerAt, array(100, wire.Peers{}))
		}, C3},
		{"a reply to nothing", func(s *scene) { s.says(peerAt, array(0, wire.Peers{})) }, C3},
		{"a reply to an echo", func(s *scene) {
			s.hears(peerAt, array(300, wire.AlwaysReturned{Value: ourCookie}))
			s.says(peerAt, array(0, wire.PleaseAlwaysReturnThisMessage{Value: ourCookie}))
		}, C3},
		{"a cookie in answer to a question", func(s *scene) {
			s.hears(peerAt, array(0, wire.PleaseSendPeers{}))
			s.says(peerAt, array(0, wire.PleaseAlwaysReturnThisMessage{Value: ourCookie}))
		}, ""},
		{"a late reply", func(s *scene) {
			s.hears(peerAt, array(300, askContent))
			s.wait(time.Second)
			s.says(peerAt, array(100, wire.Peers{}))
		}, C3},
		{"the budget of another", func(s *scene) {
			s.hears(userGave, array(300, askContent))
			s.says(peerAt, array(100, wire.Peers{}))
		}, C3},
		{"what was asked with the cookie", func(s *scene) {
			s.prove(peerAt)
			s.hears(peerAt, array(0, askContent, wire.AlwaysReturned{Value: ourCookie}))
			s.wait(10 * time.Second) // it waited for its turn
			s.says(peerAt, array(5000, content))
		}, ""},
		{"two answers to one request", func(s *scene) {
			s.prove(peerAt)
			s.hears(peerAt, array(0, askContent, wire.AlwaysReturned{Value: ourCookie}))
			s.says(peerAt, array(5000, content))
			s.says(peerAt, array(5000, content))
		}, C3},
		{"asked without the cookie by one who has proven himself", func(s *scene) {
			s.prove(peerAt)
			s.hears(peerAt, array(0, askContent))
			s.says(peerAt, array(5000, content))
		}, C3},
		{"asked with a cookie that we never gave", func(s *scene) {
			s.hears(peerAt, array(0, askContent, wire.AlwaysReturned{Value: ourCookie}))
			s.says(peerAt, array(5000, content))
		}, C3},
		{"asked with the cookie of another", func(s *scene) {
			s.prove(peerAt)
			s.hears(userGave, array(0, askContent, wire.AlwaysReturned{Value: ourCookie}))
			s.says(userGave, array(5000, content))
		}, C3},
		{"a question to one who seems to have moved", func(s *scene) {
			s.hears(peerAt, array(300, wire.AlwaysReturned{Value: ourCookie}))
			s.says(peerAt, array(worth(300), wire.PleaseSendPeers{}))
		}, ""},
		{"a larger one", func(s *scene) {
			s.hears(peerAt, array(300, wire.AlwaysReturned{Value: ourCookie}))
			s.says(peerAt, array(worth(300)+1, wire.PleaseSendPeers{}))
		}, C3},
		{"a second one", func(s *scene) {
			s.hears(peerAt, array(300, wire.AlwaysReturned{Value: ourCookie}))
			s.says(peerAt, array(0, wire.PleaseSendPeers{}))
			s.says(peerAt, array(0, wire.PleaseSendPeers{}))
		}, C3},
		{"loopback", func(s *scene) {
			s.says(netip.MustParseAddrPort("127.0.0.1:5000"), array(5000, content))
		}, ""},
	} {
		s := newScene(t, limits{})
		tc.play(s)
		s.want(tc.want, tc.name)
	}
}

func TestLedgerRequests(t *testing.T) {
	lim := rule(t, swarm.Request, swarm.Unproven, swarm.Public)
	ask := func(s *scene, to netip.AddrPort) { s.says(to, array(0, askContent)) }
	heard := func(s *scene, as ...netip.AddrPort) { s.hear(as...) }
	each := func(s *scene, to netip.AddrPort, n int) { // so many, with the first silence between them
		for i := range n {
			if i > 0 {
				s.wait(lim.First)
			}
			ask(s, to)
		}
	}
	for _, tc := range []struct {
		name string
		play func(s *scene)
		want Rule
	}{
		{"to one that was named", func(s *scene) { heard(s, peerAt); ask(s, peerAt) }, ""},
		{"to one that nobody named", func(s *scene) { ask(s, peerAt) }, C3},
		{"to one that a stranger named", func(s *scene) {
			s.hears(userGave, array(0, wire.Peers{Peers: []netip.AddrPort{peerAt}}))
			ask(s, peerAt)
		}, C3},
		{"to one that only spoke", func(s *scene) {
			s.hears(peerAt, array(0, wire.Peers{}))
			s.wait(time.Second)
			ask(s, peerAt)
		}, C3},
		{"as large as allowed", func(s *scene) { s.says(userGave, array(lim.Small, askContent)) }, ""},
		{"larger", func(s *scene) { s.says(userGave, array(lim.Small+1, askContent)) }, C3},
		{"after the silence", func(s *scene) {
			ask(s, userGave)
			s.wait(lim.First)
			ask(s, userGave)
			s.wait(2 * lim.First)
			ask(s, userGave)
		}, ""},
		{"too early", func(s *scene) {
			ask(s, userGave)
			s.wait(lim.First - 1)
			ask(s, userGave)
		}, C3},
		{"the first few to one that the user gave", func(s *scene) { each(s, userGave, lim.Even+1) }, ""},
		{"one more of these", func(s *scene) { each(s, userGave, lim.Even+2) }, C3},
		{"to another the silence does not double", func(s *scene) { heard(s, peerAt); each(s, peerAt, 3) }, C3},
		{"an answer without proof pays for one", func(s *scene) {
			ask(s, userGave)
			s.hears(userGave, array(400, content))
			ask(s, userGave)
		}, ""},
		{"but not for two", func(s *scene) {
			ask(s, userGave)
			s.hears(userGave, array(400, content))
			ask(s, userGave)
			ask(s, userGave)
		}, C3},
		{"nor for a larger one", func(s *scene) {
			ask(s, userGave)
			s.hears(userGave, array(100, wire.Peers{}))
			s.says(userGave, array(1000, askContent))
		}, C3},
		{"as many a day as allowed", func(s *scene) {
			heard(s, peerAt)
			for range lim.PerDay {
				ask(s, peerAt)
				s.wait(lim.Most)
			}
		}, ""},
		{"one more a day", func(s *scene) {
			heard(s, peerAt)
			for range lim.PerDay + 1 {
				ask(s, peerAt)
				s.wait(lim.Most)
			}
		}, C3},
		{"as many a second as allowed", func(s *scene) { several(s, heard, lim.PerSecond, 1) }, ""},
		{"one more a second", func(s *scene) { several(s, heard, lim.PerSecond+1, 1) }, C3},
		{"one more a second in one network", func(s *scene) { several(s, heard, lim.PerNet+1, 0) }, C3},
		{"any number to the proven", func(s *scene) {
			s.prove(peerAt)
			for range 100 {
				s.says(peerAt, array(2000, askContent))
			}
		}, ""},
		{"multicast", func(s *scene) { ask(s, netip.MustParseAddrPort("224.0.0.1:24254")) }, ""}, // an announcement by its address
		{"reserved", func(s *scene) { ask(s, netip.MustParseAddrPort("240.0.0.1:24254")) }, C3},
	} {
		s := newScene(t, limits{})
		tc.play(s)
		s.want(tc.want, tc.name)
	}
}

// several asks n addresses at once, each in a network of its own or all in one.
func several(s *scene, heard func(*scene, ...netip.AddrPort), n, apart int) {
	var as []netip.AddrPort
	for i := range n {
		as = append(as, netip.AddrPortFrom(netip.AddrFrom4([4]byte{50, byte(i * apart), 7, byte(1 + i)}), 4000))
	}
	heard(s, as...)
	for _, a := range as {
		s.says(a, array(0, askContent))
	}
}

func TestLedgerProbes(t *testing.T) {
	lim := rule(t, swarm.Probe, swarm.Unproven, swarm.Public)
	given := rule(t, swarm.Given, swarm.Unproven, swarm.Public)
	gap := rule(t, swarm.Probe, swarm.Proven, swarm.Public).Every
	spread := rule(t, swarm.Announce, swarm.Unproven, swarm.Multicast)
	all := netip.MustParseAddrPort("224.0.0.1:24254")
	lan := netip.MustParseAddrPort("20.1.0.255:24254")
	probe := func(s *scene, to netip.AddrPort) { s.says(to, array(0, wire.PleaseSendPeers{})) }
	for _, tc := range []struct {
		name string
		play func(s *scene)
		want Rule
	}{
		{"again after its silence", func(s *scene) {
			s.hear(peerAt)
			probe(s, peerAt)
			s.wait(lim.First)
			probe(s, peerAt)
		}, ""},
		{"too early", func(s *scene) {
			s.hear(peerAt)
			probe(s, peerAt)
			s.wait(lim.First - 1)
			probe(s, peerAt)
		}, C3},
		{"given ones sooner, and for ever", func(s *scene) {
			wait := given.First
			for range 20 {
				probe(s, userGave)
				s.wait(wait)
				wait = min(2*wait, given.Most)
			}
		}, ""},
		{"given ones too early", func(s *scene) {
			probe(s, userGave)
			s.wait(given.First - 1)
			probe(s, userGave)
		}, C3},
		{"a probe and a request keep their own silence", func(s *scene) {
			probe(s, userGave)
			s.says(userGave, array(0, askContent))
		}, ""},
		{"keepalives", func(s *scene) {
			s.prove(peerAt)
			probe(s, peerAt)
			s.wait(gap)
			probe(s, peerAt)
		}, ""},
		{"keepalives too often", func(s *scene) {
			s.prove(peerAt)
			probe(s, peerAt)
			s.wait(gap - 1)
			probe(s, peerAt)
		}, C3},
		{"one that has long been silent is as one unknown", func(s *scene) {
			s.prove(userGave)
			for range goneAfter {
				probe(s, userGave)
				s.wait(gap)
			}
			probe(s, userGave)
			s.wait(given.First)
			probe(s, userGave)
		}, ""},
		{"announcements", func(s *scene) {
			s.says(all, array(spread.Small, wire.PleaseSendPeers{}))
			s.says(lan, array(spread.Small, wire.PleaseSendPeers{}))
			s.wait(spread.Every)
			probe(s, all)
		}, ""},
		{"an announcement too large", func(s *scene) { s.says(lan, array(spread.Small+1, wire.PleaseSendPeers{})) }, C3},
		{"announcements too often", func(s *scene) {
			probe(s, all)
			s.wait(spread.Every - 1)
			probe(s, all)
		}, C3},
	} {
		s := newScene(t, limits{})
		tc.play(s)
		s.want(tc.want, tc.name)
	}
}

// What the checker allows is what the table says now: a row that changes changes it.
func TestLedgerObeysTheTable(t *testing.T) {
	i := 0
	for swarm.Rules[i].Limit.Ratio == 0 {
		i++
	}
	old := swarm.Rules[i].Limit.Ratio
	defer func() { swarm.Rules[i].Limit.Ratio = old }()
	for _, ratio := range []int{1, old, 5} {
		swarm.Rules[i].Limit.Ratio = ratio
		s := newScene(t, limits{})
		s.hears(peerAt, array(300, askContent))
		s.says(peerAt, array(ratio*(300+wire.HeaderBytes)-wire.HeaderBytes, wire.Peers{}))
		s.want("", sprint("ratio ", ratio))
		s.hears(peerAt, array(300, askContent))
		s.says(peerAt, array(ratio*(300+wire.HeaderBytes)-wire.HeaderBytes+1, wire.Peers{}))
		s.want(C3, sprint("ratio ", ratio, " and a byte"))
	}
}
