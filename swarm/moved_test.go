package swarm

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sharer/wire"
)

// budgeted counts what comes from and goes to an address, and fails as soon as more than twice as
// much goes as came, headers counted.
type budgeted struct {
	t       *testing.T
	p       *peer
	conn    *fakeConn
	addr    netip.AddrPort
	in, out int
}

// say is one datagram from the address; it returns what is sent to it in return.
func (b *budgeted) say(elements ...string) (sent []sentDatagram, from wire.Sender) {
	b.t.Helper()
	data := array(elements...)
	b.in += len(data) + wire.HeaderBytes
	from = b.p.receive(b.addr, data)
	for _, d := range b.conn.take() {
		if d.Addr != b.addr {
			b.t.Errorf("%s was told %q", d.Addr, d.Data)
			continue
		}
		sent = append(sent, d)
		if b.out += len(d.Data) + wire.HeaderBytes; !from.Proven && b.out > 2*b.in {
			b.t.Errorf("%d bytes to an unproven address that sent %d", b.out, b.in)
		}
	}
	return sent, from
}

func returning(p *peer, a netip.AddrPort) string {
	text := p.Gate.cookies.Make(a, time.Now())
	return fmt.Sprintf(`{"AlwaysReturned":{"cookie":"%s"}}`, text[:])
}

// TestMovedPeer is N15: what comes with the cookie of the old address proves nothing, earns twice its
// size, is asked for the new cookie at once, and has standing with the next datagram.
func TestMovedPeer(t *testing.T) {
	old := ap("1.2.3.4:5")
	block := `{"Content":{"id":"x","offset":0,"base64":"` + strings.Repeat("QUFB", 1000) + `"}}`
	for _, now := range []string{"1.2.3.4:6", "5.6.7.8:5", "[2001:db8::1]:5"} { // port, address, family
		for say, question := range map[string]bool{`{"PleaseSendContent":{"id":"x","offset":0,"length":4096}}`: true, block: false} {
			synctest.Test(t, func(t *testing.T) {
				conn := &fakeConn{}
				p := newPeer(t, conn, Config{})
				defer p.run(t)()
				p.receive(old, array(`{"PleaseAlwaysReturnThisMessage":"theirs"}`, returning(p, old)))
				synctest.Wait()
				conn.take()
				var gained []netip.AddrPort
				defer p.Table.Watch(func(a netip.AddrPort) { gained = append(gained, a) })()

				b := &budgeted{t: t, p: p, conn: conn, addr: ap(now)}
				sent, from := b.say(say, returning(p, old))
				if from.Proven || p.Table.Proven(b.addr) || !p.Table.Proven(old) {
					t.Fatal("the cookie of another address is a proof")
				}
				if len(sent) != 1 {
					t.Fatalf("%d datagrams in return", len(sent))
				}
				mine := find(t, sent[0].Data, "PleaseAlwaysReturnThisMessage")
				if theirs := find(t, sent[0].Data, "AlwaysReturned"); mine == nil || string(theirs) != `"theirs"` {
					t.Errorf("asked for %s, returned %s", mine, theirs)
				}
				if find(t, sent[0].Data, "PleaseSendPeers") == nil || (find(t, sent[0].Data, "Content") != nil) != question {
					t.Errorf("told %q", sent[0].Data)
				}
				if all, _ := p.Table.Len(); all != 1 {
					t.Errorf("%d entries: there is state before proof", all)
				}
				if _, from := b.say(say, `{"AlwaysReturned":`+string(mine)+`}`); !from.Proven || !p.Table.Proven(b.addr) {
					t.Error("no standing after the new cookie")
				}
				if len(gained) != 1 || gained[0] != b.addr {
					t.Errorf("gained %v", gained)
				}
				// The old entry: asked ever more seldom, then forgotten; the new one answers.
				for range 2 * 60 * 4 {
					time.Sleep(15 * time.Second)
					synctest.Wait()
					p.receive(b.addr, array(`{"X":1}`, returning(p, b.addr)))
				}
				n := 0
				for _, d := range conn.take() {
					if d.Addr == old {
						n++
					}
				}
				if _, ok := p.Table.Peer(old, time.Now()); ok || !p.Table.Proven(b.addr) || n > missedMost+1 {
					t.Errorf("after two hours the old address is known: %v, %d datagrams went there", ok, n)
				}
			})
		}
	}
}

// TestMovedRestraint: blocks that go on coming from the new address earn a question twice a second and
// no more; a cookie that is old, wrong or of a banned peer earns nothing.
func TestMovedRestraint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &fakeConn{}
		p := newPeer(t, conn, Config{})
		old := ap("1.2.3.4:5")
		p.prove(t, old)
		proof := returning(p, old)
		block := `{"Content":{"id":"x","offset":0,"base64":"` + strings.Repeat("QUFB", 1000) + `"}}`
		b := &budgeted{t: t, p: p, conn: conn, addr: ap("1.2.3.4:6")}
		n := 0
		for i := range 1000 { // ten seconds, and from many addresses at once: forged, that is
			b.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{9, 9, byte(i % 5), 9}), 6)
			b.in, b.out = 0, 0
			sent, _ := b.say(block, proof)
			n += len(sent)
			time.Sleep(10 * time.Millisecond)
		}
		if n != 20 {
			t.Errorf("%d questions in ten seconds on account of one peer", n)
		}
		time.Sleep(challengeEvery)
		b.in, b.out = 0, 0
		if sent, _ := b.say(`{"X":1}`, proof); len(sent) != 1 {
			t.Error("a datagram that pays for a question earns none")
		}
		quiet := func(what string, elements ...string) {
			t.Helper()
			time.Sleep(challengeEvery)
			b.in, b.out = 0, 0
			if sent, _ := b.say(elements...); len(sent) != 0 {
				t.Errorf("%s: %q", what, sent[0].Data)
			}
		}
		wrong := []byte(proof)
		wrong[len(`{"AlwaysReturned":{"cookie":"`)] ^= 1
		quiet("wrong cookie", block, string(wrong))
		quiet("no cookie", block)
		p.Table.Ban(old, time.Now().Add(time.Minute), time.Now())
		quiet("banned", block, proof)
		time.Sleep(time.Minute)
		p.Table.Ban(b.addr, time.Now().Add(time.Minute), time.Now())
		quiet("new address banned", block, proof)
		time.Sleep(2 * time.Hour)
		quiet("two hours old", block, proof)

		// What pays for the question, but not for returning a long cookie with it.
		p.receive(old, array(`{"PleaseAlwaysReturnThisMessage":"`+strings.Repeat("t", 250)+`"}`, returning(p, old)))
		for pad, want := range map[int]bool{0: false, 1000: true} {
			time.Sleep(challengeEvery)
			b.in, b.out = 0, 0
			sent, _ := b.say(`{"X":"`+strings.Repeat("x", pad)+`"}`, returning(p, old))
			if len(sent) != 1 || (find(t, sent[0].Data, "AlwaysReturned") != nil) != want {
				t.Errorf("%d bytes of padding: %d datagrams", pad, len(sent))
			}
		}
	})
}

// TestMovedSwarm: two whole swarms, either of which gets a new address behind its NAT while both
// talk: after one round trip more they know each other again.
func TestMovedSwarm(t *testing.T) {
	block := array(`{"Content":{"id":"x","offset":0,"base64":"` + strings.Repeat("QUFB", 1000) + `"}}`)
	for _, what := range []string{"the one that asks", "the one that answers"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLossless()
				before, after, fixed := ap("1.0.0.1:1000"), ap("1.0.0.1:2000"), ap("2.0.0.1:24254")
				inside := l.conn(before)
				moving := newPeer(t, inside, Config{Rand: seeded(1), Given: []netip.AddrPort{fixed}})
				l.peers[before] = func(from netip.AddrPort, data []byte) { moving.receive(from, data) }
				defer moving.run(t)()
				home, stop := join(t, l, fixed.String(), 2, Config{})
				defer stop()
				l.settle(10 * time.Second)
				if !home.Table.Proven(before) || !moving.Table.Proven(fixed) {
					t.Fatal("they did not meet")
				}
				delete(l.peers, before)
				inside.onSend = l.conn(after).onSend
				l.peers[after] = func(from netip.AddrPort, data []byte) { moving.receive(from, data) }

				b := moving.Gate.NewBatch()
				sends := 0
				for range 3 { // at most: what a transfer does anyhow, each round trip of 20 ms
					if home.Table.Proven(after) {
						break
					}
					sends++
					if what == "the one that asks" {
						buf, ok := b.Open(fixed, 0, Request)
						if !ok {
							t.Fatal("refused")
						}
						b.Close(append(buf, `{"PleaseSendContent":{"id":"x","offset":0,"length":4096}}`...), 0)
					} else {
						buf, ok := b.Open(fixed, 0, Reply)
						if !ok {
							t.Fatal("refused")
						}
						b.Close(append(buf, block[1:len(block)-1]...), 0)
					}
					if err := b.Flush(); err != nil {
						t.Fatal(err)
					}
					l.settle(30 * time.Millisecond)
				}
				if !home.Table.Proven(after) || sends != 1 {
					t.Errorf("found again %v, after %d datagrams of its own", home.Table.Proven(after), sends)
				}
				if st := moving.Gate.Stats(); st.Refused[RefusedUnproven] > 0 || !moving.Table.Proven(fixed) {
					t.Errorf("the one that moved lost the other: %+v", st)
				}
			})
		})
	}
}
