package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sharer/wire"
)

// run starts Run and returns what stops it.
func (p *peer) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// settle lets time pass while datagrams take 10 ms each way. In the end all rest, and what the last ones have caused is on its way.
func (l *lossless) settle(d time.Duration) {
	for range d / (10 * time.Millisecond) {
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		l.mu.Lock()
		queue, from := l.queue, l.from
		l.queue, l.from = nil, nil
		l.mu.Unlock()
		for i, d := range queue {
			if to := l.peers[d.Addr]; to != nil {
				to(from[i], d.Data)
			}
		}
	}
	synctest.Wait()
}

// join makes a running peer at an address of the network.
func join(t *testing.T, l *lossless, a string, seed uint64, c Config) (p *peer, stop func()) {
	c.Rand = seeded(seed)
	p = newPeer(t, l.conn(ap(a)), c)
	l.peers[ap(a)] = func(from netip.AddrPort, data []byte) { p.receive(from, data) }
	return p, p.run(t)
}

// TestSwarmFinds: b and c know a only; soon all know all, with measured round trips, and stay
// proven through hours of rotating secrets.
func TestSwarmFinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLossless()
		addrs := []string{"1.0.0.1:24254", "2.0.0.1:24254", "3.0.0.1:24254"}
		var ps []*peer
		for i, a := range addrs {
			c := Config{}
			if i > 0 {
				c.Given = []netip.AddrPort{ap(addrs[0])}
			}
			p, stop := join(t, l, a, uint64(i), c)
			defer stop()
			ps = append(ps, p)
		}
		l.settle(30 * time.Second)
		all := func(when string) {
			t.Helper()
			for i, p := range ps {
				for j, a := range addrs {
					k, ok := p.Table.Peer(ap(a), time.Now())
					if i != j && (!ok || !k.Proven || k.RTT <= 0 || k.RTT > 20*time.Millisecond || k.Theirs == nil) {
						t.Errorf("%s: %s knows %s as %+v", when, addrs[i], a, k)
					}
				}
				if n := len(p.Best(10)); n != 2 {
					t.Errorf("%s: %s recommends %d", when, addrs[i], n)
				}
			}
		}
		all("soon")
		l.settle(5 * time.Hour / 20) // a quarter of an hour each way of the secret would not show it
		all("later")
		for _, p := range ps {
			if st := p.Gate.Stats(); st.In != st.Handled+st.DroppedAll() || st.CookiesWrong > 0 {
				t.Errorf("%+v", st)
			}
		}
	})
}

// TestStandingOutlivesSecrets: hours of keepalives at 15 s, no cookie is ever too old.
func TestStandingOutlivesSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLossless()
		a, stop := join(t, l, "1.0.0.1:1", 1, Config{})
		defer stop()
		b, stop := join(t, l, "2.0.0.1:1", 2, Config{Given: []netip.AddrPort{ap("1.0.0.1:1")}})
		defer stop()
		for range 5 * 60 * 4 {
			time.Sleep(15 * time.Second)
			synctest.Wait()
			l.deliver()
		}
		for _, p := range []*peer{a, b} {
			if st := p.Gate.Stats(); st.CookiesWrong > 0 || len(p.Best(9)) != 1 {
				t.Errorf("%d wrong cookies, %d peers", st.CookiesWrong, len(p.Best(9)))
			}
			if n := p.Gate.Stats().Out[Probe]; n > 5*60*4 || n < 5*60*2 {
				t.Errorf("%d keepalives in 5 hours", n)
			}
		}
	})
}

// TestPythonNode has the habits of the twenty lines of the quick start (wire.md section 11).
func TestPythonNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLossless()
		me, python := ap("1.0.0.1:24254"), ap("2.0.0.1:24254")
		conn := l.conn(python)
		l.peers[python] = func(from netip.AddrPort, data []byte) {
			es, _, err := wire.Split(nil, data)
			if err != nil {
				return
			}
			var out []string
			for _, e := range es {
				if e.Name == "PleaseSendPeers" {
					out = append(out, `{"Peers": {"peers": ["`+me.String()+`", "3.0.0.1:24254"]}}`)
				}
				if len(out) > 0 && e.Name == "PleaseAlwaysReturnThisMessage" {
					out = append(out, `{"AlwaysReturned": `+strings.Replace(string(e.Payload), ":", ": ", 1)+`}`)
				}
			}
			if out != nil {
				_, _ = conn.WriteBatch([]wire.Datagram{{Addr: from, Data: array(out...)}})
			}
		}
		p, stop := join(t, l, me.String(), 1, Config{Given: []netip.AddrPort{python}})
		defer stop()
		l.settle(5 * time.Second)
		if !p.Table.Proven(python) {
			t.Error("not found")
		}
		if _, ok := p.Table.Peer(ap("3.0.0.1:24254"), time.Now()); !ok {
			t.Error("its peers were not believed")
		}
		if _, ok := p.Table.Peer(me, time.Now()); ok {
			t.Error("we heard of ourselves")
		}
		l.settle(10 * time.Minute)
		if !p.Table.Proven(python) || len(p.Best(3)) != 1 {
			t.Error("forgotten, though it talks")
		}
	})
}

// TestGivenForEver: 1, 2, 4 … 60 s; found as soon as it wakes; asked again after it fell silent.
func TestGivenForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLossless()
		a := ap("2.0.0.1:24254")
		p, stop := join(t, l, "1.0.0.1:24254", 1, Config{Given: []netip.AddrPort{a}, Bootstrap: []netip.AddrPort{ap("224.0.0.1:1")}})
		defer stop()
		start := time.Now()
		var at []time.Duration
		l.peers[a] = func(netip.AddrPort, []byte) { at = append(at, time.Since(start).Truncate(time.Second)) }
		l.settle(5 * time.Minute)
		want := []time.Duration{0, 1, 3, 7, 15, 31, 63, 123, 183, 243}
		if len(at) != len(want) {
			t.Fatalf("%v", at)
		}
		for i := range want {
			if at[i] != want[i]*time.Second {
				t.Fatalf("%v", at)
			}
		}
		gained := make(chan netip.AddrPort, 9)
		cancel := p.Table.Watch(func(a netip.AddrPort) { gained <- a })
		_, stop2 := join(t, l, a.String(), 2, Config{})
		l.settle(61 * time.Second)
		if !p.Table.Proven(a) || len(gained) != 1 || <-gained != a {
			t.Fatal("not found after it woke")
		}
		cancel()
		stop2()
		n := 0
		l.peers[a] = func(netip.AddrPort, []byte) { n++ }
		l.settle(20 * time.Minute)
		if n < 20 || n > 40 || p.Table.Proven(a) || len(p.Best(9)) != 0 {
			t.Errorf("silent for 20 minutes: %d datagrams, proven %v", n, p.Table.Proven(a))
		}
	})
}

// TestSilentPeerIsForgotten: N13's share of the swarm, and no room for the dead.
func TestSilentPeerIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &fakeConn{}
		p := newPeer(t, conn, Config{})
		defer p.run(t)()
		a := ap("1.2.3.4:5")
		p.prove(t, a)
		p.Table.Answered(a, time.Millisecond, time.Now())
		time.Sleep(time.Minute)
		conn.take()
		time.Sleep(30 * time.Minute)
		sent := conn.take()
		for i := 1; i < len(sent); i++ {
			if sent[i].at.Sub(sent[i-1].at) < 30*time.Second {
				t.Errorf("two probes within %v", sent[i].at.Sub(sent[i-1].at))
			}
		}
		time.Sleep(2 * time.Hour)
		if n, _ := p.Table.Len(); n != 0 {
			t.Errorf("%d entries", n)
		}
	})
}

// TestPeersAnswers: who may know what, how many, and who is believed.
func TestPeersAnswers(t *testing.T) {
	conn := &fakeConn{local: []netip.AddrPort{ap("0.0.0.0:24254"), ap("9.9.9.9:24254")}}
	p := newPeer(t, conn, Config{})
	for i := range 60 {
		p.prove(t, ap(fmt.Sprintf("5.%d.0.1:24254", i)))
	}
	p.prove(t, ap("10.0.0.7:24254"))
	p.prove(t, ap("[fe80::1%7]:24254"))
	p.prove(t, ap("127.0.0.1:4000"))
	ask := func(from string, proven bool) []netip.AddrPort {
		t.Helper()
		data := `{"PleaseSendPeers":{}}`
		if proven {
			text := p.Gate.cookies.Make(ap(from), time.Now())
			data += `,{"AlwaysReturned":{"cookie":"` + string(text[:]) + `"}}`
		}
		p.receive(ap(from), array(data, `{"X":"`+strings.Repeat("x", 40)+`"}`))
		sent := conn.take()
		if len(sent) != 1 || len(sent[0].Data) > wire.CustomarySize {
			t.Fatalf("%d datagrams to %s", len(sent), from)
		}
		m, err := wire.ParsePeers(find(t, sent[0].Data, "Peers"))
		if err != nil {
			t.Fatal(err)
		}
		return m.Peers
	}
	count := func(as []netip.AddrPort, c Class) (n int) {
		for _, a := range as {
			if ClassOf(a) == c {
				n++
			}
		}
		return n
	}
	for range 20 {
		as := ask("5.3.0.1:24254", true)
		if len(as) != 46 || count(as, Public) != 46 {
			t.Fatalf("a public asker: %d, %d of them public", len(as), count(as, Public))
		}
		for _, a := range as {
			if a == ap("5.3.0.1:24254") {
				t.Fatal("the asker hears of itself")
			}
		}
		if as := ask("10.0.0.8:1", true); count(as, Loopback)+count(as, LinkLocal) > 0 {
			t.Fatalf("a private asker: %v", as)
		}
		if as := ask("8.8.8.8:1", false); len(as) != 1 || count(as, Public) != 1 {
			t.Fatalf("a stranger: %v", as)
		}
		if as := ask("127.0.0.1:5", false); count(as, LinkLocal) > 0 || len(as) != 46 {
			t.Fatalf("loopback: %v", as)
		}
	}
	tell := func(from, list string, proven bool) {
		text := p.Gate.cookies.Make(ap(from), time.Now())
		if !proven {
			text[0] ^= 1
		}
		p.receive(ap(from), array(`{"Peers":{"peers":[`+list+`]}}`, `{"AlwaysReturned":{"cookie":"`+string(text[:])+`"}}`))
	}
	heard := func(a string) bool { _, ok := p.Table.Peer(ap(a), time.Now()); return ok }
	tell("6.6.6.6:6", `"7.0.0.1:7"`, false)
	if heard("7.0.0.1:7") {
		t.Error("a stranger was believed")
	}
	tell("6.6.6.6:6", `"7.0.0.1:7","host:1",7,"10.0.0.99:1","127.0.0.1:99","127.0.0.1:24254","[fe80::9%7]:1","224.0.0.1:1","9.9.9.9:24254","7.0.0.1:7","[::ffff:7.0.0.2]:7"`, true)
	for a, want := range map[string]bool{"7.0.0.1:7": true, "7.0.0.2:7": true, "10.0.0.99:1": false, "127.0.0.1:99": false, "127.0.0.1:24254": false, "[fe80::9%7]:1": false, "9.9.9.9:24254": false} {
		if heard(a) != want {
			t.Errorf("%s: heard %v", a, heard(a))
		}
	}
	tell("10.0.0.7:24254", `"10.0.0.99:1"`, true)
	if !heard("10.0.0.99:1") {
		t.Error("a private peer may tell of private ones")
	}
	if err := p.Table.check(); err != nil {
		t.Error(err)
	}
	empty := newPeer(t, conn, Config{})
	empty.receive(ap("127.0.0.1:5"), array(`{"PleaseSendPeers":{}}`))
	if d := conn.take(); len(d) != 1 || string(d[0].Data) != `[{"Peers":{"peers":[]}}]` {
		t.Errorf("who knows nobody says so: %v", d)
	}
}

// TestLargeAnswers: many proven askers of a full table do not sort it each time.
func TestLargeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, &fakeConn{quiet: true}, Config{})
		for i := range 600 {
			p.prove(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i/100), byte(i), 1, 1}), 1))
		}
		from := wire.Sender{Addr: ap("20.1.1.1:1"), Proven: true, Room: 1 << 16}
		ask := func() int { return len(p.pleaseSendPeers(from, wire.Element{})[0].(wire.Peers).Peers) }
		if ask() != maxAnswer {
			t.Error("too few")
		}
		at := p.listTime
		p.prove(t, ap("99.1.1.1:1"))
		if time.Sleep(time.Second - time.Nanosecond); ask() != maxAnswer || p.listTime != at {
			t.Error("sorted again within a second")
		}
		if time.Sleep(time.Nanosecond); ask() != maxAnswer || p.listTime == at {
			t.Error("never sorted again")
		}
	})
}

// TestSelf: an address that turns out to be ourselves is neither asked nor answered.
func TestSelf(t *testing.T) {
	for _, with := range []string{"cookie", "ping"} {
		synctest.Test(t, func(t *testing.T) {
			conn := &fakeConn{} // behind a NAT that turns our own datagrams around
			outside := ap("1.2.3.4:24254")
			p := newPeer(t, conn, Config{Given: []netip.AddrPort{outside}})
			stop := p.run(t)
			synctest.Wait()
			sent := conn.take()[0]
			data := sent.Data
			if with == "ping" {
				data = array(`{"PleaseReturnThisMessage":` + string(find(t, data, "PleaseReturnThisMessage")) + `}`)
			}
			p.receive(outside, data)
			time.Sleep(time.Hour)
			if n := len(conn.take()); n != 0 {
				t.Errorf("%s: %d more datagrams to ourselves", with, n)
			}
			if s := p.receive(outside, array(`{"PleaseSendPeers":{}}`)); s.Addr.IsValid() || p.Gate.Stats().Dropped[DropSelf] == 0 {
				t.Errorf("%s: we answer ourselves", with)
			}
			stop()
		})
	}
}

// TestIsolated: nothing leaves for the world unless the user typed it.
func TestIsolated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &lanConn{prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, announce: []netip.Addr{netip.MustParseAddr("10.1.255.255")}}
		p := newPeer(t, conn, Config{Isolated: true, Given: []netip.AddrPort{ap("5.5.5.5:5")}, Bootstrap: []netip.AddrPort{ap("6.6.6.6:6")}})
		defer p.run(t)()
		from := ap("10.1.0.9:1")
		text := p.Gate.cookies.Make(from, time.Now())
		p.receive(from, array(`{"Peers":{"peers":["7.7.7.7:7","10.1.0.2:7","10.2.0.2:7"]}}`, `{"AlwaysReturned":{"cookie":"`+string(text[:])+`"}}`))
		p.prove(t, ap("8.8.8.8:8"))
		time.Sleep(time.Minute)
		to := map[netip.AddrPort]bool{}
		for _, d := range conn.take() {
			to[d.Addr] = true
		}
		want := []string{"5.5.5.5:5", "10.1.0.9:1", "10.1.0.2:7"}
		if len(to) != len(want) {
			t.Errorf("sent to %v", to)
		}
		for _, a := range want {
			if !to[ap(a)] {
				t.Errorf("nothing to %s", a)
			}
		}
		b := p.Gate.NewBatch()
		for a, want := range map[string]bool{"7.7.7.7:7": false, "8.8.8.8:8": false, "10.2.0.2:7": false, "10.1.3.3:3": true, "127.0.0.1:5": true} {
			may, _ := p.Gate.MayRequest(ap(a), time.Now())
			if _, ok := b.Open(ap(a), 0, Request); ok != want || may != want {
				t.Errorf("request to %s: %v %v", a, ok, may)
			}
		}
		if _, ok := b.Open(ap("8.8.8.8:8"), 0, Reply); !ok {
			t.Error("who comes by himself is answered")
		}
	})
}

// TestLAN: two nodes that know nobody find each other by announcements, once a minute.
func TestLAN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLossless()
		addrs := []string{"10.1.0.1:24254", "10.1.0.2:24254"}
		all := netip.MustParseAddr("10.1.255.255")
		var ps []*peer
		announced := 0
		for i, a := range addrs {
			conn := &lanConn{prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, announce: []netip.Addr{all}}
			conn.local = []netip.AddrPort{ap("0.0.0.0:24254")} // a wildcard: our own announcement comes back
			conn.onSend = l.conn(ap(a)).onSend
			p := newPeer(t, conn, Config{Rand: seeded(uint64(i))})
			l.peers[ap(a)] = func(from netip.AddrPort, data []byte) { p.receive(from, data) }
			ps = append(ps, p)
		}
		l.peers[netip.AddrPortFrom(all, DefaultPort)] = func(from netip.AddrPort, data []byte) {
			announced++
			for _, a := range addrs {
				l.peers[ap(a)](from, data)
			}
		}
		for _, p := range ps {
			defer p.run(t)()
		}
		l.settle(5 * time.Second)
		for i, p := range ps {
			if !p.Table.Proven(ap(addrs[1-i])) || p.Table.Proven(ap(addrs[i])) {
				t.Errorf("%s did not find its neighbour, or found itself", addrs[i])
			}
		}
		l.settle(5 * time.Minute)
		if announced < 8 || announced > 12 {
			t.Errorf("%d announcements of 2 nodes in 5 minutes", announced)
		}
		// Later, when nobody was called, a forged answer leads nowhere.
		l.settle(20 * time.Second)
		ps[0].receive(ap("10.1.0.77:24254"), array(`{"Peers":{"peers":[]}}`))
		if _, ok := ps[0].Table.Peer(ap("10.1.0.77:24254"), time.Now()); ok && !ps[0].Gate.calledWithin(time.Now(), 10*time.Second) {
			t.Error("an uninvited neighbour was remembered")
		}
	})
}

// TestPing: the command's way, the answer's observers, and what is not believed.
func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLossless()
		a, b := ap("1.0.0.1:1"), ap("2.0.0.1:1")
		pa := newPeer(t, l.conn(a), Config{Rand: seeded(1)})
		pb := newPeer(t, l.conn(b), Config{Rand: seeded(2)})
		l.peers[a] = func(from netip.AddrPort, data []byte) { pa.receive(from, data) }
		l.peers[b] = func(from netip.AddrPort, data []byte) { pb.receive(from, data) }
		var got []Pong
		cancel := pa.Pings.Subscribe(func(p Pong) { got = append(got, p) })
		if err := pa.Ping(b, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := pa.Ping(b, time.Now()); !errors.Is(err, ErrRefused) {
			t.Errorf("a second one to a stranger: %v", err)
		}
		l.settle(50 * time.Millisecond)
		if len(got) != 1 || got[0].From != b || got[0].RTT != 20*time.Millisecond || got[0].Bytes == 0 || !pa.Table.Proven(b) {
			t.Errorf("%+v", got)
		}
		pa.receive(b, array(`{"ReturnedMessage":`+string(pa.Pings.Token(a, time.Now()))+`}`, `{"ReturnedMessage":{"sent_at":12.5}}`))
		cancel()
		_ = pa.Ping(b, time.Now())
		l.settle(50 * time.Millisecond)
		if len(got) != 1 {
			t.Errorf("%+v", got)
		}
		// A peer that echoes no cookies, but pings, is proven by them.
		c := ap("3.0.0.1:1")
		_ = pa.Ping(c, time.Now())
		pa.receive(c, array(`{"ReturnedMessage":`+string(pa.Pings.Token(c, time.Now().Add(-time.Millisecond)))+`}`))
		if !pa.Table.Proven(c) {
			t.Error("a token that came back is a proof")
		}
	})
}
