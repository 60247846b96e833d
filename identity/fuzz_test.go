package identity

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"sharer/wire"
)

// FuzzOpen gives a node any datagram: whatever it is, opening it ends, within its bounds, and
// what comes out is of a known or a verified key.
func FuzzOpen(f *testing.F) {
	lines(f, "encrypted.jsonl", func(v struct{ Datagram string }) { f.Add([]byte(v.Datagram)) })
	lines(f, "captured.jsonl", func(v struct{ Datagram string }) { f.Add([]byte(v.Datagram)) })
	f.Add(wire.AppendArray(nil, alice.Sign(sealed(f, alice, bob, 1, alice.Sign(wire.AlwaysReturned{Value: cookieFor(addrs[1])})))))
	f.Add(wire.AppendArray(nil, sealedFast(f, alice, bob, 1, wire.ChatMessage{}), *publish(f, alice, "a", 1, 1).signed))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		before := bytes.Clone(datagram)
		es, _, err := wire.Split(nil, datagram)
		if err != nil {
			return
		}
		o := openerOf(bob, alice)
		opened := 0
		var walk func(w Work, es []wire.Element)
		walk = func(w Work, es []wire.Element) {
			for _, e := range es {
				l, err := o.Open(w, wire.Sender{Addr: addrs[1]}, e, now)
				if err != nil {
					continue
				}
				if opened++; l.From.Check() != nil || l.Kind < Signed || l.Kind > Fast {
					t.Fatalf("%+v", l)
				}
				o.Places.Prove(l, addrs[1], oursFor(addrs[1]), now)
				_, _ = ReadLatest(l) // whatever it says
				walk(w.Inside(), l.Elements)
			}
		}
		walk(NewWork(), es)
		if opened > maxOpened || !bytes.Equal(before, datagram) {
			t.Fatalf("%d opened, or the datagram was changed", opened)
		}
	})
}

// FuzzNoise and FuzzFast: no message but a sealed one opens.
func FuzzNoise(f *testing.F) {
	good := sealed(f, alice, bob, 1, wire.ChatMessage{Message: "hi"})
	f.Add(good.Data)
	f.Add(good.Data[:noiseOverhead])
	f.Fuzz(func(t *testing.T, data []byte) {
		plain, _, err := bob.openNoise(wire.EncryptedMessages{Data: data, Params: []byte(NoiseParams)})
		if err == nil && !bytes.Equal(data, good.Data) && len(data) != len(plain)+noiseOverhead {
			t.Fatalf("%q from %x", plain, data)
		}
	})
}

func FuzzFast(f *testing.F) {
	good := sealedFast(f, alice, bob, 1, wire.ChatMessage{Message: "hi"})
	f.Add(good.Nonce[:], good.Sender[:], good.Ciphertext)
	for _, digits := range smallOrder {
		k, _ := hex.DecodeString(digits)
		f.Add(good.Nonce[:], k, good.Ciphertext)
	}
	f.Fuzz(func(t *testing.T, nonce, sender, ciphertext []byte) {
		m := wire.FastEncryptedMessages{Ciphertext: ciphertext}
		copy(m.Nonce[:], nonce)
		copy(m.Sender[:], sender)
		plain, err := bob.openFast(m)
		if err == nil && (m.Nonce != good.Nonce || !bytes.Equal(ciphertext, good.Ciphertext)) {
			t.Fatalf("%q", plain)
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	f.Add([]byte(`{"public":"` + alice.Public().String() + `","private":"` + "01" + strings.Repeat("0", 62) + `"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ParseKey(text)
		if (err == nil) != (k != nil) || err != nil && !errors.Is(err, ErrKeyFile) {
			t.Fatalf("%v, %v", k != nil, err)
		}
		if k != nil && !strings.Contains(strings.ToLower(string(text)), k.Public().String()) && !bytes.Contains(text, []byte(`\`)) {
			t.Fatalf("%q is %v", text, k.Public())
		}
	})
}

func FuzzPublicKey(f *testing.F) {
	for _, digits := range smallOrder {
		f.Add(digits)
	}
	f.Add("0x" + alice.Public().String())
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParsePublicKey(text)
		if err != nil {
			if k != (PublicKey{}) || !errors.Is(err, ErrKey) {
				t.Fatalf("%v, %v", k, err)
			}
			return
		}
		if again, err := ParsePublicKey(k.String()); err != nil || again != k || !strings.EqualFold(strings.TrimPrefix(text, "0x"), k.String()) {
			t.Fatalf("%q is %v is %v, %v", text, k, again, err)
		}
		if _, err := alice.SealFast(k, nil, random(1)); err != nil {
			t.Fatalf("%v cannot be sealed for: %v", k, err)
		}
	})
}

func FuzzName(f *testing.F) {
	for _, name := range append([]string{"path/file.html"}, badNames...) {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if CheckName(name) != nil {
			return
		}
		if len(name) > maxName || strings.ContainsAny(name, "\\\x00\n\x1b") || strings.Contains("/"+name+"/", "/../") || strings.Contains("/"+name+"/", "//") {
			t.Fatalf("%q is taken", name)
		}
		l, err := alice.Publish(name, [32]byte{}, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := ReadLatest(l); err != nil || r.Path != name {
			t.Fatalf("%q became %q, %v", name, r.Path, err)
		}
	})
}

func FuzzHint(f *testing.F) {
	f.Add([]byte(`[{"MyPublicKey":{"ed25519h":"` + alice.Public().String() + `"}}]`))
	f.Fuzz(func(t *testing.T, messages []byte) {
		k, at, err := Hint(wire.Forwarded{Src: addrs[0], Messages: messages})
		if err != nil && k != (PublicKey{}) || err == nil && at != addrs[0] || err != nil && at != (netip.AddrPort{}) && at != addrs[0] {
			t.Fatalf("%v at %v, %v", k, at, err)
		}
	})
}
