package identity

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharer/wire"
)

func cookieFor(a netip.AddrPort) []byte { return wire.CookieValue("for " + a.String()) }

func oursFor(a netip.AddrPort) func([]byte) bool {
	return func(v []byte) bool { return bytes.Equal(v, cookieFor(a)) }
}

func returned(k *Key, a netip.AddrPort) wire.SignedMessage {
	return k.Sign(wire.AlwaysReturned{Value: cookieFor(a)})
}

// letter is a signed message that arrived.
func letter(t testing.TB, m wire.SignedMessage) Letter {
	t.Helper()
	l, err := Verify(m)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A17: the key moves with a proof, and with nothing else.
func TestPlaceMovesByProofAlone(t *testing.T) {
	o := openerOf(bob)
	p := o.Places
	claim := func(a netip.AddrPort) {
		if err := o.Claim(NewWork(), wire.Sender{Addr: a, Proven: true}, wire.MyPublicKey{Ed25519: alice.Public()}, now); err != nil {
			t.Error(err)
		}
	}
	at := func(want netip.AddrPort, proven bool) {
		t.Helper()
		if got, ok := p.Of(alice.Public()); !ok || got.Addr != want || got.Proven != proven {
			t.Errorf("%+v, want %v, %v", got, want, proven)
		}
	}
	claim(addrs[0])
	at(addrs[0], false)
	claim(addrs[1]) // a second address claims the same key
	at(addrs[0], false)
	if p.Lives(addrs[0]) {
		t.Error("a claim is no proof")
	}
	if _, ok := p.Answer(wire.WhereAreThey{Ed25519: alice.Public()}); ok {
		t.Error("a claim is passed on")
	}
	for what, l := range map[string]Letter{
		"for another address": letter(t, returned(alice, addrs[0])),
		"without a cookie":    letter(t, alice.Sign(wire.MyPublicKey{Ed25519: alice.Public()})),
		"after too many":      letter(t, alice.Sign(wire.AlwaysReturned{}, wire.AlwaysReturned{}, wire.AlwaysReturned{}, wire.AlwaysReturned{}, wire.AlwaysReturned{Value: cookieFor(addrs[1])})),
		"by somebody else":    letter(t, returned(carol, addrs[0])),
		"by ourselves":        letter(t, returned(bob, addrs[1])),
	} {
		if p.Prove(l, addrs[1], oursFor(addrs[1]), now) {
			t.Errorf("proven %s", what)
		}
	}
	at(addrs[0], false)
	if !p.Prove(letter(t, returned(alice, addrs[0])), addrs[0], oursFor(addrs[0]), now) {
		t.Error("not proven")
	}
	at(addrs[0], true)
	if got, _ := p.Of(alice.Public()); len(got.Former) > 0 {
		t.Errorf("it never moved: %+v", got)
	}
	if !p.Prove(letter(t, returned(alice, addrs[2])), addrs[2], oursFor(addrs[2]), now.Add(time.Hour)) {
		t.Error("not proven")
	}
	at(addrs[2], true)
	got, _ := p.Of(alice.Public())
	if len(got.Former) != 1 || got.Former[0] != addrs[0] || got.First != now || got.Proved != now.Add(time.Hour) || p.Lives(addrs[0]) || !p.Lives(addrs[2]) {
		t.Errorf("%+v", got)
	}
	claim(addrs[1])
	at(addrs[2], true)
	u, _ := alice.Public().x25519()
	p.claim(alice.Public(), u, addrs[1], now) // as of two goroutines that both found it unknown
	at(addrs[2], true)
	// The same cookie inside a sealed letter proves too.
	l, err := o.Open(NewWork(), wire.Sender{Addr: addrs[1]}, elementOf(t, sealed(t, alice, bob, 1, wire.AlwaysReturned{Value: cookieFor(addrs[1])})), now)
	if err != nil || !p.Prove(l, addrs[1], oursFor(addrs[1]), now) {
		t.Error(err)
	}
	at(addrs[1], true)
	if got, _ := p.Of(alice.Public()); !slices.Equal(got.Former, []netip.AddrPort{addrs[2], addrs[0]}) {
		t.Errorf("it was at %v", got.Former)
	}
	f, ok := p.Answer(wire.WhereAreThey{Ed25519: alice.Public()})
	if k, a, err := Hint(f); !ok || err != nil || k != alice.Public() || a != addrs[1] || f.Spoofed {
		t.Errorf("%+v: %v, %v", f, a, err)
	}
	for _, messages := range []string{"", "[]", "x", `[{"MyPublicKey":{}}]`, `[{"Forwarded":{"src":"1.2.3.4:5","messages":"[]"}}]`} {
		if _, _, err := Hint(wire.Forwarded{Src: addrs[0], Messages: []byte(messages)}); err == nil {
			t.Errorf("%s is a hint", messages)
		}
	}
	if err := o.Claim(NewWork(), wire.Sender{Addr: addrs[0]}, wire.MyPublicKey{Ed25519: bob.Public()}, now); err != ErrOwn {
		t.Errorf("our own key is claimed: %v", err)
	}
	for _, digits := range smallOrder {
		o := openerOf(bob)
		err := o.Claim(NewWork(), wire.Sender{Addr: addrs[0]}, wire.MyPublicKey{Ed25519: bytes32(t, digits)}, now)
		if all, _ := o.Places.Len(); !errors.Is(err, ErrKey) || all != 0 {
			t.Errorf("%s is claimed: %v", digits, err)
		}
	}
}

// A17: ten thousand tries, with real keys and every thing that a thief can send, move no key.
func TestNoHijackInTenThousandTries(t *testing.T) {
	o := openerOf(bob)
	p := o.Places
	if !p.Prove(letter(t, returned(alice, addrs[0])), addrs[0], oursFor(addrs[0]), now) {
		t.Fatal("not proven")
	}
	captured := []wire.Message{
		returned(alice, addrs[0]), alice.Sign(wire.MyPublicKey{Ed25519: alice.Public()}), alice.Sign(),
		sealed(t, alice, bob, 1, wire.AlwaysReturned{Value: cookieFor(addrs[0])}),
	}
	forged := returned(carol, addrs[1])
	forged.Ed25519 = alice.Public()
	fast := sealedFast(t, carol, bob, 1, wire.AlwaysReturned{Value: cookieFor(addrs[1])})
	fast.Sender = alice.Public()
	tries := append(captured, forged, fast, wire.MyPublicKey{Ed25519: alice.Public()}, returned(carol, addrs[1]))
	opened := 0
	for n := range 10_000 {
		evil := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), uint16(n+1))
		at := now.Add(time.Duration(n) * time.Millisecond)
		m, from, e := tries[n%len(tries)], wire.Sender{Addr: evil, Proven: n%2 == 0}, wire.Element{}
		if claim, ok := m.(wire.MyPublicKey); ok {
			if err := o.Claim(NewWork(), from, claim, at); err != nil {
				t.Fatal(err)
			}
			continue
		}
		e = elementOf(t, m)
		if l, err := o.Open(NewWork(), from, e, at); err == nil {
			opened++
			if p.Prove(l, evil, oursFor(evil), at) {
				t.Fatalf("%s from %v proved", e.Raw, evil)
			}
		}
	}
	if got, ok := p.Of(alice.Public()); !ok || got.Addr != addrs[0] || !got.Proven {
		t.Errorf("hijacked: %+v", got)
	}
	if opened < 1000 {
		t.Errorf("only %d were opened: the budget hid the rest", opened)
	}
}

// Two keys have one X25519 form: a claim of the negative one takes nothing from the other.
func TestNegativeKey(t *testing.T) {
	negative := alice.Public()
	negative[31] ^= 0x80
	u, _ := alice.Public().x25519()
	if other, err := negative.x25519(); err != nil || other != u {
		t.Fatalf("%x, %v", other, err)
	}
	p := NewPlaces(bob.Public())
	p.claim(negative, u, addrs[1], now)
	if k, ok := p.ByX25519(u); !ok || k != negative {
		t.Error("one claim is not found")
	}
	p.claim(alice.Public(), u, addrs[0], now)
	if k, ok := p.ByX25519(u); ok {
		t.Errorf("of two claims %v is believed", k)
	}
	p.prove(alice.Public(), addrs[0], now)
	if k, ok := p.ByX25519(u); !ok || k != alice.Public() {
		t.Errorf("%v, %v", k, ok)
	}
	o := openerOf(bob)
	o.Places = p
	m := sealedFast(t, alice, bob, 1)
	m.Sender = negative
	if _, err := o.Open(NewWork(), wire.Sender{Addr: addrs[0]}, elementOf(t, m), now); err != ErrUnknown {
		t.Errorf("a fast message under the negative key: %v", err)
	}
	m.Sender = alice.Public()
	if _, err := o.Open(NewWork(), wire.Sender{Addr: addrs[0]}, elementOf(t, m), now); err != nil {
		t.Error(err)
	}
}

// Whatever comes in whatever order: the bounds hold, all indexes agree, claims push out no
// proof, and a proven key is where it was proven last.
func TestPlacesModel(t *testing.T) {
	var keys [40]*Key
	for i := range keys {
		keys[i] = seeded(byte(i + 10))
	}
	rapid.Check(t, func(t *rapid.T) {
		p := NewPlaces(bob.Public())
		last := map[PublicKey]netip.AddrPort{}
		at := now
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			at = at.Add(time.Second)
			k := keys[rapid.IntRange(0, len(keys)-1).Draw(t, "key")].Public()
			a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(1, 4).Draw(t, "host"))}), uint16(rapid.IntRange(1, 3).Draw(t, "port")))
			if rapid.Bool().Draw(t, "prove") {
				p.prove(k, a, at)
				last[k] = a
			} else if !p.Heard(k, a, at) {
				u, _ := k.x25519()
				_, before := p.Len()
				p.claim(k, u, a, at)
				if _, after := p.Len(); after != before {
					t.Fatal("a claim has pushed out a proof")
				}
			}
			all, proven := p.Len()
			if all != len(p.keys) || all != p.queues[0].Len()+p.queues[1].Len() {
				t.Fatalf("%d keys, %d in queues", all, p.queues[0].Len()+p.queues[1].Len())
			}
			here, hosts, known := 0, map[tenancy]int{}, 0
			for key, r := range p.keys {
				if r.Proven {
					known++
					if r.Addr != last[key] {
						t.Fatalf("%v is at %v, was proven at %v", key, r.Addr, last[key])
					}
				}
				hosts[tenancy{host(r.Addr.Addr()), r.Proven}]++
			}
			for a, rs := range p.at {
				here += len(rs)
				for _, r := range rs {
					if r.Addr != a || p.keys[r.Key] != r {
						t.Fatalf("%v is said to be at %v", r.Place, a)
					}
				}
			}
			for h, n := range hosts {
				most := claimsOfHost
				if h.proven {
					most = provenOfHost
				}
				if n > most || n != p.hosts[h] {
					t.Fatalf("%v: %d, counted %d, at most %d", h, n, p.hosts[h], most)
				}
			}
			if known != proven || here != all || len(hosts) != len(p.hosts) || len(p.byX) != all {
				t.Fatalf("indexes differ: %d and %d proven, %d at addresses, %d and %d hosts, %d of %d by X25519", known, proven, here, len(hosts), len(p.hosts), len(p.byX), all)
			}
		}
	})
}

// The tables are bounded, and a flood of claims pushes out no proof.
func TestPlacesAreBounded(t *testing.T) {
	p := NewPlaces(bob.Public())
	p.prove(alice.Public(), addrs[0], now)
	id := func(n int) (k PublicKey) { k[0], k[1], k[2] = byte(n), byte(n>>8), 77; return k } // claim is past the check
	for n := range 3 * maxClaimed {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), 1)
		p.claim(id(n), id(n), a, now)
	}
	if all, proven := p.Len(); all != maxClaimed+1 || proven != 1 {
		t.Errorf("%d keys, %d proven", all, proven)
	}
	if _, ok := p.Of(alice.Public()); !ok {
		t.Error("the proof was pushed out")
	}
	if _, ok := p.Of(id(3*maxClaimed - 1)); !ok {
		t.Error("the last claim is not there")
	}
}
