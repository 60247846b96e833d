package swarm

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/atomicfile"
	"sharer/wire"
)

// spellings of one address each, as different sockets, files and users write them; the first one is clean.
var spellings = [][]string{
	{"1.2.3.4:5", "[::ffff:1.2.3.4]:5", "[::ffff:102:304%eth0]:5"},
	{"10.1.2.3:5", "[::ffff:10.1.2.3]:5"},
	{"[2001:db8::1]:5", "[2001:db8::1%eth0]:5", "[2001:DB8:0::1%7]:5"},
	{"[fe80::1%eth0]:5", "[fe80:0::1%eth0]:5"},
}

// TestOneIdentity is N16: each entry point knows an address again however it is spelled. a is the
// spelling that goes in first, b the one that asks afterwards.
func TestOneIdentity(t *testing.T) {
	id := chunk.ID{Kind: chunk.BLAKE3}
	now := time.Now()
	returned := func(p *peer, a netip.AddrPort) []byte {
		text := p.Gate.cookies.Make(a, time.Now())
		return array(`{"AlwaysReturned":{"cookie":"` + string(text[:]) + `"}}`)
	}
	for name, same := range map[string]func(t *testing.T, p *peer, a, b netip.AddrPort) bool{
		"cookie": func(t *testing.T, p *peer, a, b netip.AddrPort) bool {
			s := p.receive(b, returned(p, a))
			return s.Proven && s.Addr == Clean(a) && p.Table.Proven(a) && p.Table.Proven(b)
		},
		"table": func(t *testing.T, p *peer, a, b netip.AddrPort) bool {
			p.prove(t, Clean(a))
			p.Table.Answered(a, time.Second, now)
			p.Table.Unanswered(b, now)
			k, ok := p.Table.Peer(b, now)
			all, _ := p.Table.Len()
			return ok && k.Addr == Clean(a) && k.Sent == 2 && all == 1
		},
		"given": func(t *testing.T, p *peer, a, b netip.AddrPort) bool {
			n := p.Give(a, b) // taken twice, kept once
			k, ok := p.Table.Peer(b, now)
			all, _ := p.Table.Len()
			return n == 2 && ok && k.Given && all == 1 && p.Table.given == 1
		},
		"ban": func(t *testing.T, p *peer, a, b netip.AddrPort) bool {
			p.Table.Ban(a, now.Add(time.Hour), now)
			_, opened := p.Gate.NewBatch().Open(b, 0, Request)
			return p.Table.Banned(b, now) && !opened && !p.receive(b, returned(p, b)).Addr.IsValid()
		},
		"self": func(t *testing.T, p *peer, a, b netip.AddrPort) bool {
			p.Table.Self(a)
			return p.Give(b) == 0 && !p.receive(b, returned(p, b)).Addr.IsValid()
		},
		"listening": func(t *testing.T, _ *peer, a, b netip.AddrPort) bool {
			conn := &fakeConn{local: []netip.AddrPort{a}}
			p := newPeer(t, conn, Config{})
			return p.Give(b) == 0 && !p.receive(b, returned(p, b)).Addr.IsValid() && p.Gate.Stats().Dropped[DropSelf] == 1
		},
		"holders": func(t *testing.T, p *peer, a, b netip.AddrPort) bool {
			p.Holders.Add(id, a, b)
			once := slices.Equal(p.Holders.Of(id), []netip.AddrPort{Clean(a)})
			p.Holders.Remove(id, b)
			return once && p.Holders.Of(id) == nil
		},
		"hearsay": func(t *testing.T, p *peer, a, b netip.AddrPort) bool {
			first, again := p.Table.Hear(a, ap("8.8.8.8:8"), now), p.Table.Hear(b, ap("8.8.8.8:8"), now)
			return first && !again
		},
		"request": func(t *testing.T, p *peer, a, b netip.AddrPort) bool { // a second of silence between two
			batch := p.Gate.NewBatch()
			_, first := batch.Open(a, 0, Request)
			_, again := batch.Open(b, 0, Request)
			may, _ := p.Gate.MayRequest(b, time.Now())
			return first && !again && !may && p.Gate.Stats().Refused[RefusedSilence] == 1
		},
		"probes of a day": func(t *testing.T, p *peer, a, b netip.AddrPort) bool {
			q := p.Gate.query(a, Probe)
			p.Table.silent.tried(q.to, now)
			return p.Table.silent.count(p.Gate.query(b, Probe).to, now) == 1
		},
		"probes of a network": func(t *testing.T, p *peer, a, b netip.AddrPort) bool {
			net := netOf(p.Gate.query(a, Probe).to.Addr())
			return net.IsValid() && net == netOf(p.Gate.query(b, Probe).to.Addr()) && banKey(Clean(a)) == banKey(Clean(b)) &&
				groupOf(Clean(a).Addr()) == groupOf(Clean(b).Addr())
		},
		"places in a network": func(t *testing.T, p *peer, a, b netip.AddrPort) bool {
			if ClassOf(a) != Public {
				return true // told apart by address and port, no limit
			}
			for i := range uint16(MaxPerNet) {
				p.prove(t, netip.AddrPortFrom(Clean(a).Addr(), 100+i))
			}
			p.receive(b, returned(p, b))
			_, kept := p.Table.Peer(b, now)
			return !kept
		},
		"reply": func(t *testing.T, p *peer, a, b netip.AddrPort) bool {
			es, _, _ := wire.Split(nil, array(`{"PleaseSendPeers":{}}`, `{"PleaseAlwaysReturnThisMessage":7}`))
			from := p.Gate.Admit(wire.Datagram{Addr: a, Data: make([]byte, 100)}, es)
			from.Addr = b
			p.Gate.Reply(from, true, nil)
			sent := p.Gate.conn.(*fakeConn).take()
			return len(sent) == 1 && sent[0].Addr == Clean(a) && string(find(t, sent[0].Data, "AlwaysReturned")) == "7"
		},
		"ping": func(t *testing.T, p *peer, a, b netip.AddrPort) bool {
			if err := p.Ping(a, time.Now()); err != nil {
				t.Fatal(err)
			}
			sent := p.Gate.conn.(*fakeConn).take()
			p.receive(b, array(`{"ReturnedMessage":`+string(find(t, sent[0].Data, "PleaseReturnThisMessage"))+`}`))
			return sent[0].Addr == Clean(a) && p.Table.Proven(a)
		},
		"peers told": func(t *testing.T, p *peer, a, b netip.AddrPort) bool { // the asker does not hear of itself
			p.prove(t, Clean(a))
			text := p.Gate.cookies.Make(b, time.Now())
			p.receive(b, array(`{"PleaseSendPeers":{}}`, `{"AlwaysReturned":{"cookie":"`+string(text[:])+`"}}`))
			sent := p.Gate.conn.(*fakeConn).take()
			m, err := wire.ParsePeers(find(t, sent[0].Data, "Peers"))
			return err == nil && len(m.Peers) == 0
		},
		"learning": func(t *testing.T, _ *peer, a, b netip.AddrPort) bool {
			conn := &fakeConn{local: []netip.AddrPort{a}}
			p := newPeer(t, conn, Config{})
			return !p.Gate.MayLearn(wire.Sender{Addr: ap("10.1.9.9:1"), Proven: true}, b)
		},
		"peers.json": func(t *testing.T, _ *peer, a, b netip.AddrPort) bool {
			path := filepath.Join(t.TempDir(), "peers.json")
			text := fmt.Sprintf(`{"v":1,"peers":[{"addr":%q,"first":1,"last":2},{"addr":%q,"first":1,"last":2}]}`, a.String(), b.String())
			if err := atomicfile.Write(path, []byte(text), atomicfile.How{}); err != nil {
				t.Fatal(err)
			}
			p := newPeer(t, &fakeConn{}, Config{PeersFile: path})
			n, err := p.Loaded()
			_, known := p.Table.Peer(b, now)
			return n == 1 && err == nil && known
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, group := range spellings {
				for _, a := range group {
					for _, b := range group {
						if p := newPeer(t, &fakeConn{}, Config{}); !same(t, p, ap(a), ap(b)) {
							t.Errorf("%s and %s are not one peer", a, b)
						}
					}
				}
				// The test can fail: another port is another peer.
				if p := newPeer(t, &fakeConn{}, Config{}); name == "cookie" && same(t, p, ap(group[0]), netip.AddrPortFrom(ap(group[0]).Addr(), 6)) {
					t.Errorf("another port than that of %s counts as the same", group[0])
				}
			}
		})
	}
}

// TestTwoIdentities: what is not the same. A peer that is known by an IPv4 and an IPv6 address is two
// entries, as nothing but an address names a peer yet; and a link-local address is another on each link.
func TestTwoIdentities(t *testing.T) {
	for _, s := range [][2]string{
		{"1.2.3.4:5", "[2001:db8::1]:5"}, {"1.2.3.4:5", "[::1.2.3.4]:5"}, {"[fe80::1%eth0]:5", "[fe80::1%eth1]:5"}, {"[fe80::1%eth0]:5", "[fe80::1]:5"},
		{"1.2.3.4:5", "1.2.3.4:6"}, {"1.2.3.4:5", "[64:ff9b::1.2.3.4]:5"},
	} {
		a, b := ap(s[0]), ap(s[1])
		p := newPeer(t, &fakeConn{}, Config{})
		p.prove(t, a)
		text := p.Gate.cookies.Make(a, time.Now())
		if ClassOf(b).Unicast() && p.receive(b, array(`{"AlwaysReturned":{"cookie":"`+string(text[:])+`"}}`)).Proven {
			t.Errorf("the cookie of %s proves %s", a, b)
		}
		if _, ok := p.Pings.Check(b, p.Pings.Token(a, time.Now()), time.Now()); ok {
			t.Errorf("a ping to %s was returned by %s", a, b)
		}
		if p.Table.Proven(b) {
			t.Errorf("%s has the standing of %s", b, a)
		}
	}
}

// TestAnnounceZones: each link is called by its own zone, once a minute each.
func TestAnnounceZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &lanConn{announce: []netip.Addr{
			netip.MustParseAddr("ff02::1%eth0"), netip.MustParseAddr("ff02::1%eth1"), netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("::ffff:10.1.255.255"),
		}, prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
		p := newPeer(t, conn, Config{})
		for range 3 {
			p.announce()
			var to []string
			for _, d := range conn.take() {
				to = append(to, d.Addr.String())
			}
			if want := []string{"[ff02::1%eth0]:24254", "[ff02::1%eth1]:24254", "224.0.0.1:24254", "10.1.255.255:24254"}; !slices.Equal(to, want) {
				t.Errorf("announced to %v, want %v", to, want)
			}
			p.announce()
			if n := len(conn.take()); n != 0 {
				t.Errorf("%d announcements within a minute", n)
			}
			time.Sleep(time.Minute)
		}
	})
}
