package bridge

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sharer/identity"
)

var local = netip.MustParseAddrPort("127.0.0.1:40000")

// payload is what stands behind "Forward" in a datagram.
func payload(text string) []byte {
	return []byte(strings.TrimSuffix(strings.TrimPrefix(text, `[{"Forward":`), `}]`))
}

// heardBy returns what programs were sent since the last look, by address.
func (s *site) heardBy() map[netip.AddrPort][]string {
	synctest.Wait()
	heard := map[netip.AddrPort][]string{}
	for _, m := range s.node.took() {
		if m.to.Addr.Addr().IsLoopback() {
			heard[m.to.Addr] = append(heard[m.to.Addr], m.messages)
		}
	}
	return heard
}

// A program is a guest once it has said Forward, and for a minute after it last spoke.
func TestProgramIsAGuest(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		s.node.known[friend] = true
		arrives := func() []string {
			s.node.seen.tell(Arrival{From: peer, Key: friend, Messages: []byte(`[{"Move":1}]`)})
			return s.heardBy()[local]
		}
		speaks := func() {
			s.node.seen.tell(Arrival{From: local, Messages: []byte(`[{"PleaseSendPeers":{}}]`)})
		}
		if speaks(); len(arrives()) != 0 {
			t.Error("who only asks is told what arrives")
		}
		s.bridge.Program(local, payload(toKey(friend, `[{"A":1}]`)))
		synctest.Wait()
		if got := s.node.took(); len(got) != 1 || got[0] != (sent{Recipient{Key: friend}, `[{"A":1}]`, false}) {
			t.Errorf("sent %v", got)
		}
		want := `[{"Forwarded":{"src":"192.0.2.1:24254","from_ed25519":"` + friend.String() + `","messages":"[{\"Move\":1}]","might_be_ip_spoofing":false}}]`
		if got := arrives(); len(got) != 1 || got[0] != want {
			t.Errorf("told %v, want %s", got, want)
		}
		time.Sleep(stay - time.Second)
		if len(arrives()) != 1 {
			t.Error("let go too early")
		}
		speaks() // anything keeps it a guest
		time.Sleep(stay - time.Second)
		if len(arrives()) != 1 {
			t.Error("let go though it spoke")
		}
		time.Sleep(2 * time.Second)
		if len(arrives()) != 0 || s.bridge.Stats().Programs != 0 {
			t.Error("kept for too long")
		}
		if speaks(); len(arrives()) != 0 {
			t.Error("a guest again without Forward")
		}
		if n := s.node.seen.len(); n != 0 {
			t.Errorf("%d observe for nobody", n)
		}
		s.bridge.Program(local, payload(toKey(friend, `[]`))) // nothing to send: it wants to hear
		synctest.Wait()
		if len(arrives()) != 1 {
			t.Error("not a guest again")
		}
	})
}

// What a program may send is what a page may.
func TestProgramSends(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		s.node.known[friend] = true
		s.bridge.Program(local, payload(toAddr(peer, `[{"A":1}]`)))
		if synctest.Wait(); len(s.node.took()) != 0 {
			t.Error("sent to an address that it never heard from")
		}
		s.node.seen.tell(Arrival{From: peer, Messages: []byte(`[{"Move":1}]`)})
		if len(s.heardBy()[local]) != 1 {
			t.Error("not told")
		}
		s.bridge.Program(local, payload(toAddr(peer, `[{"A":1}]`)))
		synctest.Wait()
		if got := s.node.took(); len(got) != 1 || got[0].to.Addr != peer {
			t.Errorf("sent %v", got)
		}
		s.bridge.Program(local, payload(toKey(friend, `[{"Forward":{}}]`)))
		s.bridge.Program(local, payload(`[{"Forward":7}]`))
		s.bridge.Program(local, []byte(`{}`))
		if synctest.Wait(); len(s.node.took()) != 0 {
			t.Error("sent what is not sent on")
		}
		if st := s.bridge.Stats(); st.Refused != 2 || st.Ignored != 2 || st.Programs != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// Neither a stranger nor another node of this machine is taken for a program, whatever it says.
func TestWhoIsNoProgram(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		s.node.known[friend] = true
		node := netip.MustParseAddrPort("127.0.0.1:24254")
		s.node.nodes[node] = true
		for _, from := range []netip.AddrPort{node, peer, netip.MustParseAddrPort("10.0.0.1:5"), netip.MustParseAddrPort("[fe80::1%7]:5")} {
			s.bridge.Program(from, payload(toKey(friend, `[{"A":1}]`)))
			s.node.seen.tell(Arrival{From: peer, Key: friend, Messages: []byte(`[{"Move":1}]`)})
			if synctest.Wait(); len(s.node.took()) != 0 {
				t.Errorf("%s is a program", from)
			}
		}
		if st := s.bridge.Stats(); st.Refused != 4 || st.Programs != 0 {
			t.Errorf("%+v", st)
		}
		s.bridge.Program(netip.MustParseAddrPort("[::ffff:127.0.0.1]:40000"), payload(toKey(friend, `[]`)))
		s.bridge.Program(netip.MustParseAddrPort("[::1]:40000"), payload(toKey(friend, `[]`)))
		s.node.seen.tell(Arrival{From: peer, Key: friend, Messages: []byte(`[{"Move":1}]`)})
		if got := s.heardBy(); len(got[local]) != 1 || len(got[netip.MustParseAddrPort("[::1]:40000")]) != 1 {
			t.Errorf("told %v", got)
		}
	})
}

// What was forwarded is not forwarded again to a program; pages are told of it, once. What a program says is told to nobody.
func TestForwardedOnce(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		a := s.open(origin)
		s.bridge.Program(local, payload(toKey(friend, `[]`)))
		synctest.Wait()
		answer := `{"Forwarded":{"src":"192.0.2.7:1","messages":"[{\"MyPublicKey\":{}}]"}}`
		if got := a.told(s, Arrival{From: peer, Messages: []byte(`[` + answer + `]`)}); !strings.Contains(got, "192.0.2.7:1") {
			t.Errorf("a page is told %s", got)
		}
		if got := s.heardBy()[local]; len(got) != 0 {
			t.Errorf("told %v", got)
		}
		a.told(s, Arrival{From: peer, Messages: []byte(`[` + answer + `, {"Move" : 1},` + answer + `]`)})
		if got := s.heardBy()[local]; len(got) != 1 || !strings.Contains(got[0], `"messages":"[{\"Move\" : 1}]"`) {
			t.Errorf("told %v", got)
		}
		other := netip.MustParseAddrPort("127.0.0.1:40001")
		s.node.seen.tell(Arrival{From: local, Messages: []byte(`[{"Secret":1}]`)})
		s.node.seen.tell(Arrival{From: other, Messages: []byte(`[{"Forward":{"src":"127.0.0.1:1","messages":[]}}]`)})
		a.told(s, Arrival{From: other, Messages: []byte(`[{"Hello":"Forward"}]`)}) // no guest: as any peer's
		if got := s.heardBy()[local]; len(got) != 1 || !strings.Contains(got[0], "Hello") {
			t.Errorf("told %v", got)
		}
		a.leaves()
	})
}

// The number of programs, what waits for them, and what waits to be sent for them are bounded.
func TestManyPrograms(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		s.node.known[friend] = true
		for i := range maxPrograms + 5 {
			s.bridge.Program(netip.AddrPortFrom(local.Addr(), uint16(41000+i)), payload(toKey(friend, `[{"A":1}]`)))
			synctest.Wait()
		}
		if st := s.bridge.Stats(); st.Programs != maxPrograms || st.Refused != 5 || st.Sent != maxPrograms {
			t.Errorf("%+v", st)
		}
		block := make(chan struct{})
		s.node.onSend = func(sent) { <-block }
		for range maxWaiting + 10 {
			s.bridge.Program(netip.AddrPortFrom(local.Addr(), 41000), payload(toKey(friend, `[{"A":1}]`)))
		}
		for range 1000 {
			s.node.seen.tell(Arrival{From: peer, Key: friend, Messages: []byte(`[{"X":"` + strings.Repeat("x", 1000) + `"}]`)})
		}
		st := s.bridge.Stats()
		if s.bridge.programs.out.bytes > maxQueued || st.Shed < 50_000 || st.Poor < 9 || st.Programs != maxPrograms {
			t.Errorf("%d bytes wait, %+v", s.bridge.programs.out.bytes, st)
		}
		close(block)
		synctest.Wait()
		s.node.onSend = nil
		time.Sleep(2 * stay)
		s.bridge.Program(local, payload(toKey(identity.PublicKey{9}, `[{"A":1}]`)))
		synctest.Wait()
		if st := s.bridge.Stats(); st.Programs != 1 {
			t.Errorf("%+v", st)
		}
	})
}
