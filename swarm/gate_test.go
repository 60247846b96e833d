package swarm

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"sharer/wire"
)

// forgedElements is every message that a stranger might send, enumerated by name below.
func forgedElements(p *peer, from netip.AddrPort, otherCookie string) []string {
	id := strings.Repeat("ab", 32)
	token := p.Pings.Token(ap("9.9.9.9:9"), time.Now())
	return []string{
		`{"PleaseSendPeers":{}}`,
		`{"Peers":{"peers":["8.8.8.8:24254","` + from.String() + `"]}}`,
		`{"PleaseReturnThisMessage":{"cookie":"x"}}`,
		`{"PleaseReturnThisMessage":` + string(token) + `}`,
		`{"PleaseReturnThisMessage":[{"PleaseReturnThisMessage":{"PleaseSendPeers":{}}}]}`,
		`{"PleaseReturnThisMessage":1}`,
		`{"ReturnedMessage":{"cookie":"x"}}`,
		`{"ReturnedMessage":` + string(token) + `}`,
		`{"PleaseSendContent":{"id":"` + id + `","offset":0,"length":4096}}`,
		`{"PleaseSendContent":{"id":"x","offset":0,"length":1}}`,
		`{"Content":{"id":"` + id + `","offset":0,"base64":"QUFB","eof":3}}`,
		`{"PleaseAlwaysReturnThisMessage":{"cookie":"3de59ecd"}}`,
		`{"PleaseAlwaysReturnThisMessage":"` + strings.Repeat("y", 254) + `"}`,
		`{"PleaseAlwaysReturnThisMessage":"` + strings.Repeat("z", 255) + `"}`,
		`{"AlwaysReturned":{"cookie":"` + otherCookie + `"}}`,
		`{"AlwaysReturned":[1]}`,
		`{"ChatMessage":{"message":"/ping"}}`,
		`{"ChatMessage":{"message":"hi"}}`,
		`{"PleaseListContent":{}}`, `{"PleaseFill":{}}`,
		`{"X":1}`, `7`,
	}
}

// TestAmplification is A1: whatever is forged, an address that never proved itself gets at most
// twice what was sent in its name, headers counted, at every instant.
func TestAmplification(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		conn := &fakeConn{local: []netip.AddrPort{ap("10.0.0.1:24254")}}
		p := newPeer(t, conn, Config{Rand: seeded(rapid.Uint64Range(0, 3).Draw(rt, "seed"))})
		for i := range 8 { // somebody to tell about
			p.prove(t, ap(fmt.Sprintf("5.%d.0.1:24254", i+1)))
		}
		known := ap("5.1.0.1:24254") // whose cookie an attacker has overheard
		p.receive(known, array(`{"PleaseAlwaysReturnThisMessage":"`+strings.Repeat("y", rapid.IntRange(0, 254).Draw(rt, "theirs"))+`"}`, returning(p, known)))
		conn.take()
		victims := []netip.AddrPort{ap("1.2.3.4:5"), ap("[2001:db8::1]:65535"), ap("192.168.1.9:24254")}
		p.Gate.MayRequest(victims[0], time.Now())
		in, out := map[netip.AddrPort]int{}, map[netip.AddrPort]int{}
		for range rapid.IntRange(1, 12).Draw(rt, "datagrams") {
			v := rapid.SampledFrom(victims).Draw(rt, "victim")
			other := p.Gate.cookies.Make(known, time.Now())
			kinds := forgedElements(p, v, string(other[:]))
			var es []string
			switch rapid.IntRange(0, 2).Draw(rt, "shape") {
			case 0:
				es = []string{rapid.SampledFrom(kinds).Draw(rt, "element")}
			case 1:
				es = rapid.SliceOfN(rapid.SampledFrom(kinds), 0, 6).Draw(rt, "elements")
			default:
				e := rapid.SampledFrom(kinds).Draw(rt, "element")
				for range 60 {
					es = append(es, e)
				}
			}
			data := array(es...)
			if pad := rapid.IntRange(0, 40).Draw(rt, "pad"); pad > 0 {
				data = append(data, strings.Repeat(" ", pad)...)
			}
			in[v] += len(data) + wire.HeaderBytes
			if s := p.receive(v, data); s.Proven {
				rt.Fatalf("%q proved %s", data, v)
			}
			for _, d := range conn.take() {
				out[d.Addr] += len(d.Data) + wire.HeaderBytes
				if out[d.Addr] > 2*in[d.Addr] {
					rt.Fatalf("%s got %d bytes for %d, last %q for %q", d.Addr, out[d.Addr], in[d.Addr], d.Data, data)
				}
			}
		}
		if all, _ := p.Table.Len(); all != 8 {
			rt.Fatalf("%d entries: strangers left state behind", all)
		}
	})
}

// TestRepliesUseTheirRoom: the bound is reached to the byte, so that the test above can fail.
func TestRepliesUseTheirRoom(t *testing.T) {
	conn := &fakeConn{}
	p := newPeer(t, conn, Config{})
	v := ap("1.2.3.4:5")
	for i := range 120 {
		pad, theirs := i/2, ""
		data := array(`{"PleaseReturnThisMessage":1}`)
		if i%2 == 1 {
			theirs = `{"AlwaysReturned":[1]}`
			data = array(`{"PleaseReturnThisMessage":1}`, `{"PleaseAlwaysReturnThisMessage":[1]}`)
		}
		data = append(data, strings.Repeat(" ", pad)...)
		es, _, _ := wire.Split(nil, data)
		from := p.Gate.Admit(wire.Datagram{Addr: v, Data: data}, es)
		want := 2*(len(data)+28) - 28 - 2 - 63
		if theirs != "" {
			want -= len(theirs) + 1
		}
		if from.Room != want {
			t.Fatalf("room %d of %d bytes, want %d", from.Room, len(data), want)
		}
		for d := range 2 {
			reply := []byte(`{"A":"` + strings.Repeat("a", from.Room-1-8+d) + `"}`)
			if d == 1 { // what was kept of their cookie went with the first reply
				p.Gate.Admit(wire.Datagram{Addr: v, Data: data}, es)
			}
			p.Gate.Reply(from, true, [][]byte{reply})
			sent := conn.take()
			if got, want := len(sent[0].Data)+28, 2*(len(data)+28); d == 0 && got != want {
				t.Fatalf("reply of %d bytes, budget %d", got, want)
			} else if d == 1 && bytes.Contains(sent[0].Data, reply) {
				t.Fatalf("a reply one byte too long: %q", sent[0].Data)
			}
		}
	}
}

// TestCookieAlone: a question of 24 bytes earns a cookie of 65; an echo earns nothing.
func TestCookieAlone(t *testing.T) {
	conn := &fakeConn{}
	p := newPeer(t, conn, Config{})
	v := ap("1.2.3.4:5")
	for _, c := range []struct {
		name string
		data string
		want int // bytes, 0: silence
	}{
		{"question", `[{"PleaseSendPeers":{}}]`, 65},
		{"unknown question", `[{"PleaseSendGold":{}}]`, 65},
		{"ping in chat", `[{"ChatMessage":{"message":"/ping"}}]`, 65 + 35},
		{"too short a question", `[{"PleaseX":{}}]`, 0},
		{"the shortest that pays", `[{"PleaseX":{}}]   `, 65},
		{"echo", `[{"AlwaysReturned":{"cookie":"0123456789abcdef"}}]`, 0},
		{"answer", `[{"Peers":{"peers":[]}}, {"ReturnedMessage":{"cookie":"x"}}]`, 0},
		{"mere cookie", `[{"PleaseAlwaysReturnThisMessage":{"cookie":"3de59ecd"}}]`, 0},
		{"nothing", `[                                       ]`, 0},
		{"not an array", `{"PleaseSendPeers":{}}                `, 0},
	} {
		p.receive(v, []byte(c.data))
		sent := conn.take()
		got := 0
		for _, d := range sent {
			got += len(d.Data)
		}
		if got != c.want || len(sent) > 1 {
			t.Errorf("%s: %q was answered by %d bytes in %d datagrams, want %d", c.name, c.data, got, len(sent), c.want)
		}
	}
	p.receive(v, array(`{"PleaseSendPeers":{}}`, `{"PleaseAlwaysReturnThisMessage":[1, "a"]}`))
	if echo := find(t, conn.take()[0].Data, "AlwaysReturned"); string(echo) != `[1, "a"]` {
		t.Errorf("their cookie came back as %q", echo)
	}
	p.receive(v, array(`{"PleaseSendPeers":{}}`, `{"PleaseSendPeers":{}}`))
	if d := conn.take(); find(t, d[0].Data, "AlwaysReturned") != nil {
		t.Errorf("a stranger's cookie was kept: %q", d[0].Data)
	}
}

// TestForgedSources: nothing comes from, or goes to, what is nobody's address.
func TestForgedSources(t *testing.T) {
	conn := &lanConn{prefixes: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}}
	conn.local = []netip.AddrPort{ap("0.0.0.0:24254"), ap("10.77.0.1:24254")}
	p := newPeer(t, conn, Config{})
	for a, want := range map[string]DropReason{
		"224.0.0.1:24254": DropAddress, "[ff02::1]:24254": DropAddress, "255.255.255.255:1": DropAddress,
		"0.0.0.0:24254": DropAddress, "[::]:24254": DropAddress, "1.2.3.4:0": DropAddress, "240.0.0.1:5": DropAddress,
		"10.77.0.255:24254": DropAddress, "127.0.0.1:24254": DropSelf, "10.77.0.1:24254": DropSelf, "[::ffff:224.0.0.1]:1": DropAddress,
	} {
		before := p.Gate.Stats().Dropped[want]
		p.receive(ap(a), array(`{"PleaseSendPeers":{}}`, `{"X":"`+strings.Repeat("x", 500)+`"}`))
		if n := len(conn.take()); n != 0 || p.Gate.Stats().Dropped[want] != before+1 {
			t.Errorf("%s: %d answers, %+v", a, n, p.Gate.Stats())
		}
		for why := Reply; why < Announce; why++ {
			if _, ok := p.Gate.NewBatch().Open(ap(a), 0, why); ok {
				t.Errorf("%v to %s is allowed", why, a)
			}
		}
	}
	st := p.Gate.Stats()
	if st.In != st.Handled+st.DroppedAll() || st.In != 11 {
		t.Errorf("C2: %+v", st)
	}
}

// TestLoopDies is A3: two nodes that are forged into answering each other send at most two
// datagrams for each injected one.
func TestLoopDies(t *testing.T) {
	a, b := ap("1.0.0.1:24254"), ap("2.0.0.1:24254")
	net := newLossless()
	pa, pb := newPeer(t, net.conn(a), Config{Rand: seeded(1)}), newPeer(t, net.conn(b), Config{Rand: seeded(2)})
	net.peers[a] = func(from netip.AddrPort, data []byte) { pa.receive(from, data) }
	net.peers[b] = func(from netip.AddrPort, data []byte) { pb.receive(from, data) }
	known := ap("5.5.5.5:5")
	pa.prove(t, known)
	pb.prove(t, known)
	other := pa.Gate.cookies.Make(known, time.Now()) // as if the peer had moved to b
	kinds := append(forgedElements(pa, b, string(other[:])), returning(pb, known), returning(pb, a))
	for _, e := range kinds {
		for _, f := range kinds {
			for n, data := range [][]byte{array(e, f), array(e, f, e, f, `{"PleaseSendPeers":{}}`, `{"PleaseAlwaysReturnThisMessage":{"cookie":"3de59ecd"}}`)} {
				net.count = 0
				pa.receive(b, data)
				net.deliver()
				if net.count > 2 {
					t.Fatalf("%d: %q caused %d datagrams", n, data, net.count)
				}
			}
		}
	}
	// Those that know each other must not circle either.
	ca, cb := pa.Gate.cookies.Make(b, time.Now()), pb.Gate.cookies.Make(a, time.Now())
	for _, e := range kinds {
		net.count = 0
		pa.receive(b, array(e, `{"AlwaysReturned":{"cookie":"`+string(ca[:])+`"}}`, `{"PleaseAlwaysReturnThisMessage":{"cookie":"`+string(cb[:])+`"}}`))
		net.deliver()
		if net.count > 3 { // the greedy uploader answers with two datagrams of content
			t.Fatalf("proven: %q caused %d datagrams", e, net.count)
		}
	}
}

// representative addresses by class.
var ofClass = [numClasses]string{"8.1.1.1:24254", "10.1.1.1:24254", "169.254.1.1:24254", "127.0.0.1:24254", "224.0.0.1:24254", "255.255.255.255:24254", "0.0.0.0:24254", "240.0.0.1:24254", "8.1.1.1:0"}

// TestRulesAreObeyed drives the gate with each cell of the table.
func TestRulesAreObeyed(t *testing.T) {
	for why := Reply; why < numReasons; why++ {
		for proof := Unproven; proof <= Proven; proof++ {
			for class := Public; class < numClasses; class++ {
				t.Run(fmt.Sprintf("%v/%v/%v", why, proof, class), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { oneRule(t, why, proof, class) })
				})
			}
		}
	}
}

// TestFirstTries: who was given by the user is asked for content each second at first; then, as others are at once, after a silence that
// doubles, and after an answer anew.
func TestFirstTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, &lanConn{}, Config{})
		given := ap(ofClass[Private])
		p.Give(given)
		b := p.Gate.NewBatch()
		var waits []time.Duration
		for range 7 {
			buf, ok := b.Open(given, 0, Request)
			if !ok {
				t.Fatal("refused when it was due")
			}
			b.Close(append(buf, `{"PleaseSendPeers":{}}`...), 0)
			if err := b.Flush(); err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			_, next := p.Gate.MayRequest(given, now)
			waits = append(waits, next.Sub(now)/time.Second)
			time.Sleep(next.Sub(now))
		}
		if want := []time.Duration{1, 1, 1, 1, 2, 4, 8}; !slices.Equal(waits, want) {
			t.Errorf("silences of %d s, want %d", waits, want)
		}
	})
}

func oneRule(t *testing.T, why Reason, proof Proof, class Class) {
	conn := &lanConn{announce: []netip.Addr{netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("255.255.255.255")}}
	p := newPeer(t, conn, Config{})
	to := ap(ofClass[class])
	lim, ok := RuleFor(why, proof, class)
	if class.Unicast() {
		if why == Given {
			p.Give(to)
		}
		if proof == Proven {
			p.prove(t, to)
		}
	} else if proof == Proven && ok {
		t.Fatalf("the table has a rule for proven %v", class)
	} else if proof == Proven {
		return
	}
	b := p.Gate.NewBatch()
	open := func(a netip.AddrPort, size int) bool {
		buf, ok := b.Open(a, 0, why)
		if !ok {
			return false
		}
		b.Close(append(buf, `{"PleaseSendPeers":{}}`...), size)
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
		return len(conn.take()) == 1
	}
	if !ok || lim.Ratio > 0 { // replies to strangers go by Gate.Reply, tested above
		if open(to, 0) {
			t.Fatal("sent, though no rule allows it")
		}
		return
	}
	if may, _ := p.Gate.MayRequest(to, time.Now()); why == Request && !may {
		t.Fatal("MayRequest says no")
	}
	buf, opened := b.Open(to, 0, why)
	if !opened {
		t.Fatal("refused, though a rule allows it")
	}
	b.Close(append(buf, `{"PleaseSendPeers":{}}`...), 60000)
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	size := len(conn.take()[0].Data)
	if lim.Small > 0 && size != lim.Small || lim.Small == 0 && size != 60000 {
		t.Fatalf("padded to %d, limit %d", size, lim.Small)
	}
	wait := lim.First
	for range 4 {
		step := max(wait, lim.Every)
		if step > 0 {
			time.Sleep(step - time.Nanosecond)
			if open(to, 0) {
				t.Fatalf("sent again within %v", step)
			}
			time.Sleep(time.Nanosecond)
		}
		day := lim.PerDay > 0 && wait > 2*lim.First // three were sent
		if may, next := p.Gate.MayRequest(to, time.Now()); why == Request && (may == day || !may && next.IsZero()) {
			t.Fatalf("MayRequest: %v, %v", may, next)
		}
		if open(to, 0) == day {
			t.Fatalf("after %v: allowed %v", step, !day)
		}
		if day {
			break
		}
		wait = min(2*wait, lim.Most)
	}
	if lim.PerSecond > 0 {
		time.Sleep(2 * time.Second)
		n := 0
		for i := range 200 {
			a := ap(fmt.Sprintf("%d.%d.9.9:24254", []int{8, 10, 169, 127}[class], map[Class]int{LinkLocal: 254}[class]+i*map[Class]int{Public: 1, Private: 1, Loopback: 1}[class]))
			if class == LinkLocal {
				a = ap(fmt.Sprintf("169.254.9.%d:24254", i+1))
			}
			if open(a, 0) {
				n++
			}
		}
		if n != lim.PerSecond {
			t.Fatalf("%d in one second, limit %d", n, lim.PerSecond)
		}
	}
	if lim.PerNet > 0 {
		time.Sleep(2 * time.Second)
		n := 0
		for i := range 20 {
			if open(ap(fmt.Sprintf("8.200.1.%d:24254", i+1)), 0) {
				n++
			}
		}
		if n != lim.PerNet {
			t.Fatalf("%d in one second to one /24, limit %d", n, lim.PerNet)
		}
	}
}

// TestPaidRequests: an answer without proof lets the next request leave at once, as large as
// twice the answer at most; silence backs off.
func TestPaidRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &fakeConn{}
		p := newPeer(t, conn, Config{})
		v := ap("1.2.3.4:5")
		b := p.Gate.NewBatch()
		ask := func() int {
			buf, ok := b.Open(v, 0, Request)
			if !ok {
				return 0
			}
			b.Close(append(buf, `{"PleaseSendContent":{"id":"x","offset":0,"length":1}}`...), 5000)
			_ = b.Flush()
			return len(conn.take()[0].Data)
		}
		if n := ask(); n != SmallDatagram {
			t.Fatalf("first request of %d bytes", n)
		}
		if ask() != 0 {
			t.Fatal("a second one without an answer")
		}
		p.receive(v, array(`{"Content":{"id":"x","offset":0,"base64":"`+strings.Repeat("QUFB", 40)+`"}}`))
		size := len(array(`{"Content":{"id":"x","offset":0,"base64":"` + strings.Repeat("QUFB", 40) + `"}}`))
		if n, want := ask(), 2*(size+28)-28; n != want {
			t.Fatalf("request of %d bytes, paid for %d", n, want)
		}
		if ask() != 0 {
			t.Fatal("paid twice")
		}
		p.receive(v, array(`{"Content":{"id":"x","offset":0}}`)) // pays for too little
		if ask() != 0 {
			t.Fatal("a small answer paid for a request")
		}
		p.receive(v, array(`{"PleaseSendPeers":{}}`, `{"X":"`+strings.Repeat("x", 300)+`"}`)) // paid back by the reply
		conn.take()
		if ask() != 0 {
			t.Fatal("a question paid twice")
		}
		time.Sleep(time.Second)
		if n := ask(); n != SmallDatagram {
			t.Fatalf("after the silence: %d bytes", n)
		}
	})
}
