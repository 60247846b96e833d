package swarm

import (
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/internal/atomicfile"
	"sharer/wire"
)

// siege is a network of answering addresses around one swarm: few honest and slow ones, and any number of an
// attacker's, which answer at once and know each other only.
type siege struct {
	victim *peer
	conn   *fakeConn
	honest []netip.AddrPort
	isGood map[netip.AddrPort]bool
	evil   func(i int) netip.AddrPort

	mu    sync.Mutex
	rng   *rand.Rand
	drawn int // of evil
	asked map[netip.AddrPort]int
}

const (
	siegeHonest = 40
	siegeRatio  = 9 // evil ones told for each honest one, by the honest
)

// newSiege is not started yet. The honest are in networks of their own, as the peers of a real swarm mostly are.
func newSiege(t *testing.T, evil func(i int) netip.AddrPort, c Config) *siege {
	s := &siege{evil: evil, isGood: map[netip.AddrPort]bool{}, rng: rand.New(rand.NewPCG(1, 2)), asked: map[netip.AddrPort]int{}}
	for i := range siegeHonest {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(60 + i), 7, 7, 7}), 24254)
		s.honest, s.isGood[a] = append(s.honest, a), true
	}
	s.conn = &fakeConn{quiet: true, onSend: s.answer}
	s.victim = newPeer(t, s.conn, c)
	return s
}

// moreEvil draws new addresses of the attacker, who never runs out of them.
func (s *siege) moreEvil(n int) (as []netip.AddrPort) {
	for range n {
		as = append(as, s.evil(s.drawn))
		s.drawn++
	}
	return as
}

// answer is what an address does with a datagram: it returns cookies and pings, and names peers.
func (s *siege) answer(d wire.Datagram) {
	es, _, err := wire.Split(nil, append([]byte(nil), d.Data...))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[d.Addr]++
	good := s.isGood[d.Addr]
	var out [][]byte
	for _, e := range es {
		switch e.Name {
		case "PleaseSendPeers":
			var as []netip.AddrPort
			if good {
				as = s.moreEvil(maxAnswer * siegeRatio / (siegeRatio + 1))
				for len(as) < maxAnswer {
					as = append(as, s.honest[s.rng.IntN(len(s.honest))])
				}
			} else {
				as = s.moreEvil(maxAnswer)
			}
			out = append(out, wire.AppendMessage(nil, wire.Peers{Peers: as}))
		case "PleaseReturnThisMessage":
			out = append(out, wire.AppendMessage(nil, wire.ReturnedMessage{Value: e.Payload}))
		case "PleaseAlwaysReturnThisMessage":
			out = append(out, wire.AppendMessage(nil, wire.AlwaysReturned{Value: e.Payload}))
		}
	}
	if len(out) == 0 {
		return
	}
	data := []byte{'['}
	for i, o := range out {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(data, o...)
	}
	data = append(data, ']')
	rtt := 10 * time.Millisecond
	if good {
		rtt = 150 * time.Millisecond
	}
	from := d.Addr
	time.AfterFunc(rtt, func() { s.victim.receive(from, data) })
}

// kept counts the honest that have standing and answer.
func (s *siege) kept() (n int) {
	for _, a := range s.honest {
		if p, ok := s.victim.Table.Peer(a, time.Now()); ok && p.Proven && time.Since(p.LastHeard) <= keepaliveMost+time.Minute {
			n++
		}
	}
	return n
}

// press has 20 new addresses of the attacker prove themselves each second; with the race detector for a tenth
// of the time.
func (s *siege) press(d time.Duration) {
	for range d / (50 * time.Millisecond) / min(raceFactor, 10) {
		time.Sleep(50 * time.Millisecond)
		s.mu.Lock()
		a := s.moreEvil(1)[0]
		s.mu.Unlock()
		s.victim.receive(a, array(`{"PleaseAlwaysReturnThisMessage":1}`, returning(s.victim, a)))
	}
}

// flood has as many of the attacker's addresses prove themselves at once as the table has places for such.
func (s *siege) flood(t *testing.T) {
	s.mu.Lock()
	as := s.moreEvil(fullForUninvited)
	s.mu.Unlock()
	for _, a := range as {
		s.victim.receive(a, array(`{"PleaseAlwaysReturnThisMessage":1}`, returning(s.victim, a)))
	}
	if all, _ := s.victim.Table.Len(); all < fullForUninvited {
		t.Errorf("%d entries: that is no siege", all)
	}
}

// fullForUninvited is how many entries leave no room for who comes uninvited.
var fullForUninvited = roomFor(&entry{hops: uninvited})

// networks of an attacker.
var (
	fewNetworks  = func(i int) netip.AddrPort { return inNetwork(i%4, i/4) }
	manyNetworks = func(i int) netip.AddrPort { return inNetwork(i%20000, i/20000) }
)

// inNetwork is an address in one of 25,600 /16, those of the honest apart.
func inNetwork(group, n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(110 + group/256), byte(group), byte(n), byte(1 + n/256)}), 24254)
}

// TestEclipse is A11: after ten minutes in which nine of ten addresses that the victim hears of are the
// attacker's, who besides fills the table on his own account, at least eight honest peers are kept.
func TestEclipse(t *testing.T) {
	for name, evil := range map[string]func(int) netip.AddrPort{"four /16": fewNetworks, "a /16 for each address": manyNetworks} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSiege(t, evil, Config{Bootstrap: []netip.AddrPort{ap("60.7.7.7:24254"), ap("61.7.7.7:24254")}}) // a node knows two from the start
				defer s.victim.run(t)()
				s.press(10 * time.Minute)
				all, _ := s.victim.Table.Len()
				best := 0
				for _, p := range s.victim.Best(16) {
					if s.isGood[p.Addr] {
						best++
					}
				}
				kept := s.kept()
				t.Logf("%d entries, %d of the %d honest kept, %d of the best 16 are honest", all, kept, siegeHonest, best)
				if bar := 8 / min(raceFactor, 2); kept < bar { // in a tenth of the time fewer are heard of
					t.Errorf("%d honest peers kept, want %d", kept, bar)
				}
				if raceFactor == 1 && all < fullForUninvited {
					t.Errorf("%d entries: that was no siege", all)
				}
				if err := s.victim.Table.check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestEclipseAtStart: a node that comes back into a swarm that an attacker has taken over meanwhile, with his
// addresses in its file too, asks its anchors first and keeps them.
func TestEclipseAtStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers.json")
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		s := newSiege(t, manyNetworks, Config{})
		var ks []known
		for i, a := range s.honest[:anchors] {
			ks = append(ks, known{addr: a, first: now.Add(-time.Duration(i+30) * 24 * time.Hour), last: now.Add(-time.Hour), rtt: 150 * time.Millisecond})
		}
		for _, a := range s.moreEvil(storeMost - anchors) {
			ks = append(ks, known{addr: a, first: now.Add(-24 * time.Hour), last: now.Add(-time.Hour), rtt: time.Millisecond})
		}
		if err := atomicfile.Write(path, formatPeers(ks), atomicfile.How{}); err != nil {
			t.Fatal(err)
		}
		s.victim = newPeer(t, s.conn, Config{PeersFile: path, ReadOnly: true})
		defer s.victim.run(t)()
		synctest.Wait()
		s.mu.Lock()
		for _, a := range s.honest[:anchors] {
			if s.asked[a] == 0 {
				t.Errorf("the anchor %s was not among the first to be asked", a)
			}
		}
		s.mu.Unlock()
		time.Sleep(time.Second)
		s.flood(t)
		s.press(time.Minute)
		if n := s.kept(); n < anchors {
			t.Errorf("%d of %d anchors kept", n, anchors)
		}
	})
}

// TestEclipseTooLate says what does not hold: once an attacker with a network for each address has filled the
// table, honest strangers find no place for long. What the user gives does, and what it has told.
func TestEclipseTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, manyNetworks, Config{})
		defer s.victim.run(t)()
		s.flood(t)
		for _, a := range s.honest[1:] {
			s.victim.receive(a, array(returning(s.victim, a))) // the table may be busy taking in others
		}
		s.press(30 * time.Second)
		strangers := s.kept()
		s.victim.Give(s.honest[0])
		s.press(30 * time.Second)
		if !s.victim.Table.Proven(s.honest[0]) {
			t.Error("the user's peer has no place")
		}
		t.Logf("%d of %d honest strangers are left", strangers, siegeHonest-1)
	})
}
