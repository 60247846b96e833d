package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/identity"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// liar is a peer that speaks in whoever's name it likes.
type liar struct {
	*Evil
	key *identity.Key
}

func (w *World) liar() *liar {
	w.t.Helper()
	k, err := identity.KeyFromSeed(sha256.Sum256([]byte("liar")))
	if err != nil {
		w.t.Fatal(err)
	}
	return &liar{w.Evil(), k}
}

// Show 1: A moves to another address in the middle of a chat with B, while C claims to be A, and shows whatever A has signed that
// it could get. What B says reaches A, each message once, and never C.
func TestWhoMovesIsFoundAndNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond, Loss: 0.05}})
		defer w.Close()
		r := w.person(node.Config{})
		near := []netip.AddrPort{r.At}
		home, away := w.Addr(), w.Addr()
		state := w.Path("state")
		a := w.person(node.Config{Peers: near, StateDir: state}, home)
		b := w.person(node.Config{Peers: near})
		c := w.liar()
		key := a.Key()

		var mu sync.Mutex
		toLiar, signed := 0, [][]byte{} // letters for C; what A has signed and anybody on the way has seen
		w.OnPacket(func(p netsim.Packet) {
			es, _, err := wire.Split(nil, p.Data)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, e := range es {
				switch {
				case e.Name == "EncryptedMessages" && p.To == c.At:
					toLiar++
				case e.Name == "SignedMessage" && (p.From == home || p.From == away) && len(signed) < 1000:
					signed = append(signed, append([]byte(nil), e.Raw...))
				}
			}
		})
		// C claims without pause, with and without its cookie, and shows all that A has signed.
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, 2))
			for {
				select {
				case <-stop:
					return
				case <-time.After(200 * time.Millisecond):
				}
				for _, to := range []netip.AddrPort{b.At, r.At} {
					c.Send(to, wire.PleaseSendPeers{}, wire.MyPublicKey{Ed25519: key})
					mu.Lock()
					if len(signed) > 0 {
						c.Raw(to, []byte(fmt.Sprintf(`[%s,{"MyPublicKey":{"ed25519h":"%s"}}]`, signed[rng.IntN(len(signed))], key)))
					}
					mu.Unlock()
				}
			}
		})
		ctx, end := w.within(10 * time.Minute)
		defer end()
		say := func(p *person, text string) {
			t.Helper()
			if _, err := p.Say(ctx, key, text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		for n := range 5 {
			say(b, fmt.Sprint("at home ", n))
		}
		heard := a.chats()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		a = w.person(node.Config{Peers: near, StateDir: state}, away)
		for n := range 5 {
			say(b, fmt.Sprint("away ", n))
		}
		time.Sleep(time.Minute)
		close(stop)
		wg.Wait()
		heard = append(heard, a.chats()...)
		if len(heard) != 10 {
			t.Errorf("A heard %d messages: %+v", len(heard), heard)
		}
		if place, ok := b.Whois(key); !ok || place.Addr != away || !place.Proven {
			t.Errorf("B has A at %+v", place)
		}
		mu.Lock()
		defer mu.Unlock()
		if toLiar != 0 || len(signed) == 0 {
			t.Errorf("%d letters went to C; %d signatures were shown", toLiar, len(signed))
		}
	})
}

// A17: in 10,000 tries a key never moves to who only claims it, by whatever was recorded.
func TestKeysAreNotStolen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{})
		defer w.Close()
		b := w.person(node.Config{})
		a := w.person(node.Config{Peers: []netip.AddrPort{b.At}})
		var mu sync.Mutex
		var recorded [][]byte
		w.OnPacket(func(p netsim.Packet) {
			mu.Lock()
			defer mu.Unlock()
			if p.From != a.At || len(recorded) == 100 {
				return
			}
			// Without its cookie for B, which tells that it seems to have moved, and is another test's.
			es, _, err := wire.Split(nil, p.Data)
			if err != nil {
				return
			}
			var d []byte
			for _, e := range es {
				if e.Name != "AlwaysReturned" && e.Name != "PleaseAlwaysReturnThisMessage" {
					d = append(append(d, ','), e.Raw...)
				}
			}
			if len(d) > 0 {
				d[0] = '['
				recorded = append(recorded, append(d, ']'))
			}
		})
		ctx, end := w.within(10 * time.Minute)
		defer end()
		if _, err := a.Say(ctx, b.Key(), "hi"); err != nil {
			t.Fatal(err)
		}
		c := w.acquainted(b.At)
		cookie := c.Cookie(b.At)
		thief, err := identity.KeyFromSeed([32]byte{7})
		if err != nil {
			t.Fatal(err)
		}
		tries := 1_000
		if *long {
			tries = 10_000
		}
		for n := range tries {
			claim := wire.MyPublicKey{Ed25519: a.Key()}
			forged := thief.Sign(wire.AlwaysReturned{Value: cookie})
			forged.Ed25519 = a.Key()
			var d []byte
			switch n % 5 {
			case 0:
				d = wire.AppendArray(nil, claim, wire.AlwaysReturned{Value: cookie})
			case 1:
				d = wire.AppendArray(nil, forged, claim, wire.AlwaysReturned{Value: cookie})
			case 2:
				d = wire.AppendArray(nil, thief.Sign(claim, wire.AlwaysReturned{Value: cookie}), wire.AlwaysReturned{Value: cookie})
			case 3:
				mu.Lock()
				d = recorded[n/5%len(recorded)]
				mu.Unlock()
			case 4:
				d = wire.AppendArray(nil, thief.Sign(wire.AlwaysReturned{Value: cookie}), claim)
			}
			w.Inject(c.At, b.At, d)
			time.Sleep(60 * time.Millisecond) // within what one host may have opened a second
			if place, ok := b.Whois(a.Key()); !ok || place.Addr != a.At || !place.Proven {
				t.Fatalf("after %d tries A is said to be at %+v: %s", n+1, place, d)
			}
		}
		s := b.Stats().Letters
		t.Logf("%d tries: %+v", tries, s)
		if s.Opened < int64(tries)/4 || s.Bad == 0 || s.Replays == 0 {
			t.Errorf("they were not looked at: %+v", s)
		}
	})
}

// A15: what was recorded is acted on once, wherever it comes from and however often; and never comes back to who wrote it as
// another's.
func TestLettersAreOpenedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{})
		defer w.Close()
		b := w.person(node.Config{})
		a := w.person(node.Config{Peers: []netip.AddrPort{b.At}})
		var mu sync.Mutex
		var letters [][]byte
		said := false // from then on they are ours, injected
		w.OnPacket(func(p netsim.Packet) {
			es, _, err := wire.Split(nil, p.Data)
			mu.Lock()
			defer mu.Unlock()
			for _, e := range es {
				if err == nil && !said && p.From == a.At && p.To == b.At && e.Name == "EncryptedMessages" {
					letters = append(letters, append([]byte(nil), p.Data...))
				}
			}
		})
		ctx, end := w.within(10 * time.Hour)
		defer end()
		if _, err := a.Say(ctx, b.Key(), "once"); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		said = true
		mu.Unlock()
		c := w.acquainted(b.At)
		for n := range 1000 {
			for _, d := range letters {
				from := []netip.AddrPort{a.At, c.At}[n%2]
				w.Inject(from, b.At, d)
				w.Inject(b.At, a.At, d) // reflected
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Hour) // what the memory of letters does not reach, the time inside does
		for range 10 {
			for _, d := range letters {
				w.Inject(c.At, b.At, d)
			}
			time.Sleep(time.Second)
		}
		w.Rest()
		if got := b.chats(); len(got) != 1 || got[0].Text != "once" {
			t.Errorf("B heard %+v", got)
		}
		if got := a.chats(); len(got) != 0 {
			t.Errorf("A heard its own words: %+v", got)
		}
		t.Logf("%d letters, 1000 times each, and after an hour: B %+v, A %+v", len(letters), b.Stats().Letters, a.Stats().Letters)
		if b.Stats().Letters.Replays < 900 {
			t.Errorf("%+v", b.Stats().Letters)
		}
	})
}

// A clock that is an hour off: what it says is not shown, and counted; nothing else happens.
func TestClockThatIsOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{})
		defer w.Close()
		b := w.person(node.Config{})
		a := w.person(node.Config{Peers: []netip.AddrPort{b.At}})
		ctx, end := w.within(10 * time.Minute)
		defer end()
		if _, err := a.Find(ctx, b.Key()); err != nil {
			t.Fatal(err)
		}
		for _, off := range []time.Duration{-time.Hour, time.Hour} {
			at := time.Now().Add(off).UnixMilli()
			if err := a.Send(ctx, b.Key(), wire.ChatMessage{Message: "late", Timestamp: at}, wire.GroupChatMessage{Group: "main", Text: "late", Timestamp: at}); err != nil {
				t.Fatal(err)
			}
		}
		if got := b.chats(); len(got) != 0 {
			t.Errorf("B heard %+v", got)
		}
		if err := a.Send(ctx, b.Key(), wire.ChatMessage{Message: "in time", Timestamp: time.Now().UnixMilli()}); err != nil {
			t.Fatal(err)
		}
		w.Rest()
		if got := b.chats(); len(got) != 1 {
			t.Errorf("B heard %+v", got)
		}
	})
}

// A16 and the bad input: whatever is sealed, signed or nested, by a stranger or by one who is known, a node lives, keeps its
// bounds, and answers who behaves.
func TestBadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{})
		defer w.Close()
		b := w.person(node.Config{})
		c := w.acquainted(b.At)
		cookie := wire.AlwaysReturned{Value: c.Cookie(b.At)}
		thief, err := identity.KeyFromSeed([32]byte{7})
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.NewChaCha8([32]byte{9})
		seal := func(to identity.PublicKey, ms ...wire.Message) wire.Message {
			m, err := thief.Seal(to, wire.AppendArray(nil, ms...), rng)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		send := func(ms ...wire.Message) {
			w.Inject(c.At, b.At, wire.AppendArray(nil, append(ms, cookie)...))
			time.Sleep(300 * time.Millisecond)
		}
		send(wire.MyPublicKey{Ed25519: thief.Public()})
		for _, small := range []byte{0, 1} { // all zero, and the identity
			bad := [32]byte{small}
			send(wire.MyPublicKey{Ed25519: bad}, wire.WhereAreThey{Ed25519: bad}, wire.GetLatest{Ed25519: bad, Path: []byte("a")},
				wire.SignedMessage{Ed25519: bad, Payload: []byte("[]")}, wire.FastEncryptedMessages{Sender: bad, Ciphertext: make([]byte, 16)})
		}
		nested := wire.Message(wire.ChatMessage{Message: "deep"})
		for n := range 20 {
			if n%2 == 0 {
				nested = seal(b.Key(), nested)
			} else {
				nested = thief.Sign(nested)
			}
			send(nested)
		}
		var many []wire.Message
		for range 60 {
			many = append(many, seal(b.Key(), wire.ChatMessage{Message: "many"}))
		}
		send(many...)
		other, err := identity.KeyFromSeed([32]byte{8})
		if err != nil {
			t.Fatal(err)
		}
		send(seal(other.Public(), wire.ChatMessage{Message: "for another"}))
		whole := seal(b.Key(), wire.ChatMessage{Message: "cut"}).(wire.EncryptedMessages)
		for n := 0; n < len(whole.Data); n += 7 {
			send(wire.EncryptedMessages{Data: whole.Data[:n], Params: whole.Params})
		}
		for _, payload := range []string{"", "[", "{}", "null", "[1,2]", `[{"Latest":1}]`, `[{"ChatMessage":{"message":"x"}}`, "\x00"} {
			w.Inject(c.At, b.At, []byte(fmt.Sprintf(`[{"SignedMessage":{"ed25519":"%s","signature":"AAAA","payload_json":%q}}]`, thief.Public(), payload)))
			signed := thief.Sign()
			signed.Payload = []byte(payload)
			send(signed)
		}
		for _, name := range []string{"..", "a/../b", "/a", "a\x00", string(make([]byte, 10<<10)), "a\\b"} {
			send(wire.GetLatest{Ed25519: thief.Public(), Path: []byte(name)},
				thief.Sign(wire.Latest{Ed25519: thief.Public(), Path: []byte(name), Seq: 1}))
			if _, err := b.Publish(t.Context(), name, sumsOf(contentOf(t, []byte("x")))); !errors.Is(err, identity.ErrName) {
				t.Errorf("%.20q is published: %v", name, err)
			}
			if _, err := b.Resolve(t.Context(), thief.Public(), name); !errors.Is(err, identity.ErrName) {
				t.Errorf("%.20q is asked for: %v", name, err)
			}
		}
		w.Rest()
		for _, m := range b.chats() {
			if m.Text == "for another" || m.Text == "cut" {
				t.Errorf("heard %+v", m)
			}
		}
		s := b.Stats()
		t.Logf("%+v, %+v", s.Letters, s.Names)
		if l := s.Letters; l.Nested == 0 || l.Sealed == 0 || l.Bad == 0 || l.Budget > 1000 || s.Names.Known != 0 || s.Keys > 2 {
			t.Errorf("%+v, %+v, %d keys", l, s.Names, s.Keys)
		}
		a := w.person(node.Config{Peers: []netip.AddrPort{b.At}})
		ctx, end := w.within(time.Minute)
		defer end()
		if _, err := a.Say(ctx, b.Key(), "are you well?"); err != nil {
			t.Errorf("it does not answer any more: %v", err)
		}
	})
}

// A14, as far as virtual time can show it: 4,000 sealed letters a second that mean nothing, from one host, from many, with proof
// and without; who is known is heard in time.
func TestBogusLettersHoldUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 5 * time.Millisecond}})
		defer w.Close()
		b := w.person(node.Config{})
		a := w.person(node.Config{Peers: []netip.AddrPort{b.At}})
		ctx, end := w.within(10 * time.Minute)
		defer end()
		if _, err := a.Say(ctx, b.Key(), "first"); err != nil {
			t.Fatal(err)
		}
		bogus := make([]byte, 300)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for n := uint64(0); ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				for i := range uint64(40) {
					binary.BigEndian.PutUint64(bogus, n*40+i)
					from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{40, byte(i), byte(n), 1}), 4000)
					w.Inject(from, b.At, wire.AppendArray(nil, wire.EncryptedMessages{Data: bogus, Params: []byte(identity.NoiseParams)}))
				}
			}
		})
		var worst time.Duration
		for range 20 {
			begun := time.Now()
			if _, err := a.Say(ctx, b.Key(), "are you there?"); err != nil {
				t.Error(err)
			}
			worst = max(worst, time.Since(begun))
			time.Sleep(200 * time.Millisecond)
		}
		close(stop)
		wg.Wait()
		s := b.Stats().Letters
		t.Logf("worst round trip of a letter %v; %+v", worst, s)
		if worst > 50*time.Millisecond || s.Budget == 0 {
			t.Errorf("a letter took %v: %+v", worst, s)
		}
		// 20,000 us at once and 200,000 a second, at 200 us each: 1,000 a second and 100 more.
		if most := int64(1100 * 6); s.Sealed > most {
			t.Errorf("%d bogus letters were opened within 5 s", s.Sealed)
		}
	})
}
