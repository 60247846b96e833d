package identity

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"sharer/wire"
)

func sealed(t testing.TB, from, to *Key, n byte, ms ...wire.Message) wire.EncryptedMessages {
	t.Helper()
	m, err := from.Seal(to.Public(), wire.AppendArray(nil, ms...), random(n))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sealedFast(t testing.TB, from, to *Key, n byte, ms ...wire.Message) wire.FastEncryptedMessages {
	t.Helper()
	m, err := from.SealFast(to.Public(), wire.AppendArray(nil, ms...), random(n))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What is sealed here opens there, of every length, and it is the same with the same
// randomness, and another with another.
func TestSealAndOpen(t *testing.T) {
	from := wire.Sender{Addr: addrs[0]}
	for i, text := range []string{"", "hi", string(bytes.Repeat([]byte("é"), 2000)), string(bytes.Repeat([]byte("x"), MaxPlain-100))} {
		at := now.Add(time.Duration(i) * time.Minute)
		hi := wire.ChatMessage{Message: text}
		want := string(wire.AppendArray(nil, hi))
		noise, fast := sealed(t, alice, bob, 1, hi), sealedFast(t, alice, bob, 1, hi)
		if again := sealed(t, alice, bob, 1, hi); !bytes.Equal(noise.Data, again.Data) {
			t.Error("the same ephemeral key gives another message")
		}
		if other := sealed(t, alice, bob, 2, hi); bytes.Equal(noise.Data[:32], other.Data[:32]) || bytes.Equal(noise.Data[80:], other.Data[80:]) {
			t.Error("another ephemeral key changes nothing")
		}
		for _, c := range []struct {
			m    wire.Message
			kind Kind
		}{{noise, Encrypted}, {fast, Fast}} {
			d := wire.AppendArray(nil, c.m)
			if len(d) > wire.MaxDatagram {
				t.Errorf("%d bytes do not fit a datagram", len(d))
			}
			l, err := openerOf(bob, alice).Open(NewWork(), from, elementOf(t, c.m), at)
			if err != nil || string(l.Payload) != want || l.From != alice.Public() || l.Kind != c.kind || len(l.Elements) != 1 {
				t.Errorf("%s: %.100s, %v", c.m.Name(), l.Payload, err)
			}
			if _, err := openerOf(carol, alice).Open(NewWork(), from, elementOf(t, c.m), at); err != ErrSealed {
				t.Errorf("%s: opened by another: %v", c.m.Name(), err)
			}
		}
	}
	if _, err := alice.Seal(bob.Public(), make([]byte, MaxPlain+1), random(1)); err != ErrLong {
		t.Error(err)
	}
	if _, err := alice.SealFast(bob.Public(), make([]byte, MaxPlain+1), random(1)); err != ErrLong {
		t.Error(err)
	}
	if _, err := alice.Seal(bob.Public(), nil, bytes.NewReader(nil)); err == nil {
		t.Error("sealed without randomness")
	}
	if _, err := alice.SealFast(bob.Public(), nil, bytes.NewReader(nil)); err == nil {
		t.Error("sealed without randomness")
	}
}

// Every truncation and every flipped byte is refused, and leaves nothing behind.
func TestDamagedLetters(t *testing.T) {
	noise, fast := sealed(t, alice, bob, 1, wire.PleaseSendPeers{}), sealedFast(t, alice, bob, 1, wire.PleaseSendPeers{})
	signed := alice.Sign(wire.PleaseSendPeers{})
	o := openerOf(bob, alice)
	tick := now
	refuse := func(m wire.Message, what string, n int) {
		t.Helper()
		tick = tick.Add(time.Second) // the budget is another test's
		if l, err := o.Open(NewWork(), wire.Sender{Addr: addrs[0]}, elementOf(t, m), tick); err == nil {
			t.Errorf("%s %s at %d: %s", m.Name(), what, n, l.Payload)
		}
	}
	flip := func(b []byte, n int) []byte { b = bytes.Clone(b); b[n] ^= 0x40; return b }
	for n := range noise.Data {
		refuse(wire.EncryptedMessages{Data: noise.Data[:n], Params: noise.Params}, "cut", n)
		refuse(wire.EncryptedMessages{Data: flip(noise.Data, n), Params: noise.Params}, "flipped", n)
	}
	for n := range fast.Ciphertext {
		m := fast
		m.Ciphertext = fast.Ciphertext[:n]
		refuse(m, "cut", n)
		m.Ciphertext = flip(fast.Ciphertext, n)
		refuse(m, "flipped", n)
	}
	for n := range fast.Nonce {
		m := fast
		m.Nonce[n] ^= 1
		refuse(m, "nonce", n)
	}
	for n := range signed.Signature {
		m := signed
		m.Signature[n] ^= 1
		refuse(m, "signature", n)
	}
	for n := range signed.Ed25519 {
		m := signed
		m.Ed25519[n] ^= 1
		refuse(m, "key", n)
	}
	for n := range signed.Payload {
		m := signed
		m.Payload = signed.Payload[:n]
		refuse(m, "cut", n)
	}
	for _, params := range []string{"", "Noise_IK_25519_ChaChaPoly_SHA256", NoiseParams + " "} {
		refuse(wire.EncryptedMessages{Data: noise.Data, Params: []byte(params)}, params, 0)
	}
	// X25519 keys of small order in the place of the ephemeral one: zero and one.
	for _, first := range []byte{0, 1} {
		d := bytes.Clone(noise.Data)
		clear(d[:32])
		d[0] = first
		refuse(wire.EncryptedMessages{Data: d, Params: noise.Params}, "small order", int(first))
	}
	for _, digits := range smallOrder {
		m := fast
		m.Sender = bytes32(t, digits)
		refuse(m, digits, 0)
	}
	for _, m := range []wire.Message{noise, fast, signed} { // the good ones still open
		if _, err := o.Open(NewWork(), wire.Sender{Addr: addrs[0]}, elementOf(t, m), tick.Add(time.Minute)); err != nil {
			t.Errorf("%s: %v", m.Name(), err)
		}
	}
}

// A payload that is no array is refused, with a signature as good as any.
func TestGarbageInPayload(t *testing.T) {
	for _, payload := range []string{"", "{}", "null", "[", "[}", "\x00", "[[[[[", string(bytes.Repeat([]byte("["), 5000))} {
		m := alice.signBytes([]byte(payload))
		if l, err := Verify(m); !errors.Is(err, wire.ErrNotArray) && !errors.Is(err, wire.ErrTooDeep) || l.Payload != nil {
			t.Errorf("%.20q: %+v, %v", payload, l, err)
		}
		s, err := alice.Seal(bob.Public(), []byte(payload), random(1))
		if err != nil {
			t.Fatal(err)
		}
		if l, err := openerOf(bob, alice).Open(NewWork(), wire.Sender{Addr: addrs[0]}, elementOf(t, s), now); err == nil {
			t.Errorf("%.20q: %+v", payload, l)
		}
	}
	// A bad element within leaves its neighbours alone.
	l, err := Verify(alice.signBytes([]byte(`[7,{"ChatMessage":{"message":"hi"}},{"x"}]`)))
	if err != nil || len(l.Elements) != 1 || l.Bad != 2 {
		t.Errorf("%+v, %v", l, err)
	}
}

// A15: a letter is opened once, for ten minutes, whatever address it comes from; one that
// was reflected to its sender is not opened at all.
func TestReplayAndReflection(t *testing.T) {
	hi := wire.ChatMessage{Message: "hi"}
	for _, m := range []wire.Message{sealed(t, alice, bob, 1, hi), sealedFast(t, alice, bob, 1, hi)} {
		o, e := openerOf(bob, alice), elementOf(t, m)
		done := 0
		for n := range 1000 {
			from := wire.Sender{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 1)}
			if _, err := o.Open(NewWork(), from, e, now.Add(time.Duration(n)*500*time.Millisecond)); err == nil {
				done++
			} else if err != ErrReplay {
				t.Fatal(err)
			}
		}
		if done != 1 {
			t.Errorf("%s was acted on %d times", m.Name(), done)
		}
	}
	// Back to its sender. Noise: sealed for another key. Fast: the secret is the same both ways.
	o := openerOf(alice, bob)
	if _, err := o.Open(NewWork(), wire.Sender{Addr: addrs[0]}, elementOf(t, sealed(t, alice, bob, 1, hi)), now); err != ErrSealed {
		t.Error(err)
	}
	if _, err := o.Open(NewWork(), wire.Sender{Addr: addrs[0]}, elementOf(t, sealed(t, alice, alice, 1, hi)), now); err != ErrOwn {
		t.Errorf("from ourselves to ourselves: %v", err)
	}
	fast := sealedFast(t, alice, bob, 1, hi)
	if _, err := o.Open(NewWork(), wire.Sender{Addr: addrs[0]}, elementOf(t, fast), now); err != ErrOwn {
		t.Error(err)
	}
	o.Sent(bob.Public(), fast, now)
	fast.Sender = bob.Public()
	if _, err := o.Open(NewWork(), wire.Sender{Addr: addrs[0]}, elementOf(t, fast), now); err != ErrReplay {
		t.Errorf("our own words under the receiver's name: %v", err)
	}
	// Our own signature comes back: only what names say is left of it.
	name := wire.Latest{Ed25519: alice.Public(), Path: []byte("a"), Seq: 1}
	if _, err := o.Open(NewWork(), wire.Sender{Addr: addrs[0]}, elementOf(t, alice.Sign(hi)), now); err != ErrOwn {
		t.Error(err)
	}
	if l, err := o.Open(NewWork(), wire.Sender{Addr: addrs[0]}, elementOf(t, alice.Sign(hi, name)), now); err != nil || len(l.Elements) != 1 || l.Elements[0].Name != "Latest" {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestReplaysAreBounded(t *testing.T) {
	r := NewReplays()
	id := func(n int) (b [32]byte) { b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16); return b }
	for n := range replayMost + 100 {
		if !r.Add(id(n), now) {
			t.Fatal(n)
		}
	}
	if len(r.seen) != replayMost || len(r.order) != replayMost || r.Early() != 100 {
		t.Errorf("%d remembered, %d places, %d forgotten early", len(r.seen), len(r.order), r.Early())
	}
	if r.Seen(id(99), now) || !r.Seen(id(100), now) || r.Add(id(100), now) {
		t.Error("not the oldest was forgotten")
	}
	if later := now.Add(replayFor - 1); !r.Seen(id(100), later) || r.Add(id(100), later) {
		t.Error("forgotten within ten minutes")
	}
	if later := now.Add(replayFor); r.Seen(id(100), later) || !r.Add(id(100), later) || len(r.seen) != 1 {
		t.Errorf("%d remembered after ten minutes", len(r.seen))
	}
}

func TestFresh(t *testing.T) {
	for d, ok := range map[time.Duration]bool{0: true, 5 * time.Minute: true, -5 * time.Minute: true, time.Hour: false, -time.Hour: false, 5*time.Minute + 1: false} {
		if err := Fresh(now.Add(d), now); (err == nil) != ok || err != nil && err != ErrStale {
			t.Errorf("%v: %v", d, err)
		}
	}
}

// openAll opens whatever is inside of whatever is inside, as a node does.
func openAll(o *Opener, w Work, from wire.Sender, es []wire.Element, opened *int) (last error) {
	for _, e := range es {
		l, err := o.Open(w, from, e, now)
		if err == ErrKind {
			continue
		}
		if last = err; err != nil {
			continue
		}
		*opened++
		last = openAll(o, w.Inside(), from, l.Elements, opened)
	}
	return last
}

// A16: twenty letters within each other, and sixty beside each other.
func TestNesting(t *testing.T) {
	var m wire.Message = wire.ChatMessage{Message: "hi"}
	for n := range 20 {
		switch n % 3 {
		case 0:
			m = alice.Sign(m)
		case 1:
			m = sealed(t, alice, bob, byte(n+1), m)
		case 2:
			m = sealedFast(t, alice, bob, byte(n+1), m)
		}
		es, _, err := wire.Split(nil, wire.AppendArray(nil, m))
		if err != nil { // it has grown larger than a datagram
			break
		}
		opened := 0
		err = openAll(openerOf(bob, alice), NewWork(), wire.Sender{Addr: addrs[1]}, es, &opened)
		if want := min(n+1, maxNesting); opened != want || (err == nil) != (n < maxNesting) || err != nil && err != ErrNesting {
			t.Fatalf("of %d nested %d were opened: %v", n+1, opened, err)
		}
		if n == 19 {
			t.Log("twenty fit a datagram")
		}
	}
	var beside []wire.Message
	for range 60 {
		beside = append(beside, alice.Sign())
	}
	es, _, err := wire.Split(nil, wire.AppendArray(nil, beside...))
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	if err := openAll(openerOf(bob), NewWork(), wire.Sender{Addr: addrs[1]}, es, &opened); err != ErrNesting || opened != maxOpened {
		t.Errorf("%d opened: %v", opened, err)
	}
}

// A14: 4,000 letters a second from as many addresses may take a fifth of a core, one source
// twenty a second, and neither anything from those who are known.
func TestBudget(t *testing.T) {
	const seconds, rate = 10, 4000
	b := NewBudget()
	spent, known, refusedKnown := 0, 0, 0
	friend := wire.Sender{Addr: addrs[0], Proven: true}
	for n := range seconds * rate {
		at := now.Add(time.Duration(n) * time.Second / rate)
		forged := wire.Sender{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 1)}
		if n%3 == 0 {
			forged.Addr = friend.Addr // in the friend's name
		}
		if b.Allow(forged, false, priceNoise, at) {
			spent += priceNoise
		}
		if n%(rate/15) == 0 { // fifteen a second
			known++
			if !b.Allow(friend, true, priceNoise, at) {
				refusedKnown++
			}
		}
		if len(b.sources) > maxSources {
			t.Fatalf("%d sources", len(b.sources))
		}
	}
	if most := seconds*strangersRate + strangersBurst; spent > most || spent < most*9/10 {
		t.Errorf("%d us were spent of %d", spent, most)
	}
	if refusedKnown > 0 || known < 15*seconds {
		t.Errorf("%d of %d letters of one who is known were refused", refusedKnown, known)
	}
	b = NewBudget()
	one := 0
	for n := range seconds * 1000 { // from any port of one, or any address of its /64
		a := netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 15: byte(n)}), uint16(n+1))
		if b.Allow(wire.Sender{Addr: a}, false, priceKey, now.Add(time.Duration(n)*time.Millisecond)) {
			one++
		}
	}
	if one > seconds*sourceRate+sourceBurst || one < seconds*sourceRate {
		t.Errorf("%d letters of one source in %d s", one, seconds)
	}
	b = NewBudget()
	call := 0
	for n := range seconds * 1000 { // where a key lives there is room for a call, and not for the work of all
		if b.Allow(wire.Sender{Addr: addrs[1], Proven: true}, true, priceNoise, now.Add(time.Duration(n)*time.Millisecond)) {
			call++
		}
	}
	if call > seconds*liveRate+liveBurst || call < seconds*300 {
		t.Errorf("%d letters of one who lives there in %d s", call, seconds)
	}
}

// An opener that has no budget left refuses before it computes, and remembers nothing.
func TestOpenerObeysBudget(t *testing.T) {
	o := openerOf(bob, alice)
	from := wire.Sender{Addr: addrs[2]}
	m := elementOf(t, sealed(t, alice, bob, 1))
	bogus := elementOf(t, wire.EncryptedMessages{Data: make([]byte, 200), Params: []byte(NoiseParams)})
	refused := 0
	for range 1000 {
		if _, err := o.Open(NewWork(), from, bogus, now); err == ErrBudget {
			refused++
		}
	}
	if refused < 1000-sourceBurst {
		t.Errorf("%d of 1000 were refused", refused)
	}
	if _, err := o.Open(NewWork(), from, m, now); err != ErrBudget {
		t.Error(err)
	}
	if _, err := o.Open(NewWork(), from, m, now.Add(time.Second)); err != nil {
		t.Error(err)
	}
	if _, err := o.Open(NewWork(), from, elementOf(t, wire.PleaseSendPeers{}), now); err != ErrKind {
		t.Error(err)
	}
}

func BenchmarkOpen(b *testing.B) {
	hi := wire.ChatMessage{Message: string(bytes.Repeat([]byte("x"), 1000))}
	for name, m := range map[string]wire.Message{
		"noise": sealed(b, alice, bob, 1, hi), "fast": sealedFast(b, alice, bob, 1, hi), "signed": alice.Sign(hi),
		"garbage": wire.EncryptedMessages{Data: bytes.Repeat([]byte{9}, 1100), Params: []byte(NoiseParams)},
	} {
		e := elementOf(b, m)
		o := openerOf(bob, alice)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			at := now
			for b.Loop() {
				at = at.Add(replayFor) // neither budget nor memory stands in the way
				if _, err := o.Open(NewWork(), wire.Sender{Addr: addrs[0]}, e, at); (err != nil) != (name == "garbage") {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	plain := bytes.Repeat([]byte("x"), 1000)
	for b.Loop() {
		if _, err := alice.Seal(bob.Public(), plain, random(1)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckKey(b *testing.B) {
	k := alice.Public()
	for b.Loop() {
		if err := k.Check(); err != nil {
			b.Fatal(err)
		}
	}
}
