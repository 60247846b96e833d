package identity

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharer/wire"
)

const vectors = "../testdata/vectors"

var (
	now   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	alice = seeded(1)
	bob   = seeded(2)
	carol = seeded(3)
	addrs = []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.1:24254"), netip.MustParseAddrPort("198.51.100.2:24254"), netip.MustParseAddrPort("203.0.113.3:24254"),
	}
)

func seeded(n byte) *Key {
	k, err := KeyFromSeed([32]byte{n})
	if err != nil {
		panic(err)
	}
	return k
}

// random is a source that repeats n.
func random(n byte) *bytes.Reader { return bytes.NewReader(bytes.Repeat([]byte{n}, 1000)) }

func bytes32(t testing.TB, digits string) [32]byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 32 {
		t.Fatalf("%s: %v", digits, err)
	}
	return [32]byte(b)
}

// identities are the key pairs of the recorded nodes.
func identities(t testing.TB) map[string]*Key {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(vectors, "identities.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vs map[string]struct {
		Seed    string `json:"ed25519_seed"`
		Public  string `json:"ed25519_public"`
		Secret  string `json:"x25519_secret"`
		XPublic string `json:"x25519_public"`
	}
	if err := json.Unmarshal(text, &vs); err != nil {
		t.Fatal(err)
	}
	keys := map[string]*Key{}
	for name, v := range vs {
		k, err := KeyFromSeed(bytes32(t, v.Seed))
		if err != nil {
			t.Fatal(err)
		}
		u, err := k.Public().x25519()
		if err != nil {
			t.Fatal(err)
		}
		for what, got := range map[string]string{
			v.Public: k.Public().String(), v.Secret: hex.EncodeToString(k.static.Private), v.XPublic: hex.EncodeToString(u[:]),
		} {
			if got != what {
				t.Errorf("%s: %s, want %s", name, got, what)
			}
		}
		if hex.EncodeToString(k.static.Public) != v.XPublic || k.Seed() != bytes32(t, v.Seed) {
			t.Errorf("%s: the two ways to the X25519 key differ", name)
		}
		keys[name] = k
	}
	if len(keys) < 2 {
		t.Fatal("two identities are needed")
	}
	return keys
}

// lines calls f with each line of a file of vectors, decoded.
func lines[V any](t testing.TB, name string, f func(v V)) {
	t.Helper()
	file, err := os.Open(filepath.Join(vectors, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var v V
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		f(v)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
}

// openerOf returns an opener that knows the keys of others by claim.
func openerOf(k *Key, others ...*Key) *Opener {
	o := &Opener{Key: k, Places: NewPlaces(k.Public()), Replays: NewReplays(), Budget: NewBudget()}
	for i, other := range others {
		m := wire.MyPublicKey{Ed25519: other.Public()}
		if err := o.Claim(NewWork(), wire.Sender{Addr: addrs[i]}, m, now); err != nil {
			panic(err)
		}
	}
	return o
}

func elementOf(t testing.TB, ms ...wire.Message) wire.Element {
	t.Helper()
	es, bad, err := wire.Split(nil, wire.AppendArray(nil, ms...))
	if err != nil || bad > 0 {
		t.Fatal(bad, err)
	}
	return es[0]
}

// What the best-known node sealed opens to what it said; twice it does not.
func TestRecordedEncrypted(t *testing.T) {
	keys := identities(t)
	n := 0
	openers := map[string]*Opener{"a": openerOf(keys["a"], keys["b"]), "b": openerOf(keys["b"], keys["a"])}
	lines(t, "encrypted.jsonl", func(v struct{ From, To, Datagram, Plaintext string }) {
		es, _, err := wire.Split(nil, []byte(v.Datagram))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			if e.Name != "EncryptedMessages" {
				continue
			}
			n++
			from := wire.Sender{Addr: addrs[0]}
			l, err := openers[v.To].Open(NewWork(), from, e, now)
			if err != nil || string(l.Payload) != v.Plaintext || l.From != keys[v.From].Public() || l.Kind != Encrypted {
				t.Errorf("%v, %s from %s, want %s", err, l.Payload, l.From, v.Plaintext)
			}
			if _, err := openers[v.To].Open(NewWork(), from, e, now); err != ErrReplay {
				t.Errorf("a replay: %v", err)
			}
			if _, err := openers[v.From].Open(NewWork(), from, e, now); err != ErrSealed {
				t.Errorf("opened by its sender: %v", err)
			}
			if _, err := openerOf(keys[v.To]).Open(NewWork(), from, e, now); err != ErrUnknown {
				t.Errorf("from a key that was never announced: %v", err)
			}
		}
	})
	if n < 7 {
		t.Errorf("%d messages", n)
	}
}

// What the best-known node signed is verified, and with any byte changed it is not.
func TestRecordedSigned(t *testing.T) {
	keys := identities(t)
	n, names := 0, 0
	lines(t, "captured.jsonl", func(v struct{ From, Datagram string }) {
		es, _, _ := wire.Split(nil, []byte(v.Datagram))
		for _, e := range es {
			if e.Name != "SignedMessage" {
				continue
			}
			n++
			m, err := wire.ParseSignedMessage(e.Payload)
			if err != nil {
				t.Fatal(err)
			}
			l, err := Verify(m)
			if err != nil || l.From != keys[v.From].Public() {
				t.Errorf("%s: %v", e.Raw, err)
			}
			for i := range m.Payload {
				m := m
				m.Payload = append([]byte{}, m.Payload...)
				m.Payload[i] ^= 1
				if _, err := Verify(m); err != ErrSignature {
					t.Fatalf("%s: %v", m.Payload, err)
				}
			}
			if r, err := ReadLatest(l); err == nil {
				names++
				if r.Path != "page.html" || r.Seq != 1795438731 || hex.EncodeToString(r.SHA256[:4]) != "2cf24dba" {
					t.Errorf("%+v", r)
				}
				// Ed25519 is deterministic: what we sign of the same is the same, byte for byte.
				again, err := keys["a"].Publish(r.Path, r.SHA256, nil, r.Seq)
				if err != nil || again.signed.Signature != m.Signature || !bytes.Equal(again.Payload, m.Payload) {
					t.Errorf("%s, want %s (%v)", again.Payload, m.Payload, err)
				}
			}
		}
	})
	if n < 8 || names < 2 {
		t.Errorf("%d messages, %d names", n, names)
	}
}

// An older form of the same: the payload in base64.
func TestOldSignedPayload(t *testing.T) {
	m := alice.Sign(wire.ChatMessage{Message: "hi"})
	m.Old = true
	e := elementOf(t, m)
	if !strings.Contains(string(e.Raw), `"payload":"`) {
		t.Fatalf("%s", e.Raw)
	}
	l, err := openerOf(bob).Open(NewWork(), wire.Sender{Addr: addrs[0]}, e, now)
	if err != nil || string(l.Payload) != `[{"ChatMessage":{"message":"hi"}}]` || l.Kind != Signed || l.From != alice.Public() {
		t.Errorf("%+v, %v", l, err)
	}
}
