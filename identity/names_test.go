package identity

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharer/wire"
)

var badNames = []string{
	"", ".", "..", "/", "/a", "a/", "a//b", "a/../b", "../a", "a/..", "./a", "a/./b", `a\b`, `..\a`, "a\x00", "\x00", "a\nb", "\x1b[2J", "a\u202Eb", "a\u2028b", "\xff", "a\uFFFDb",
	strings.Repeat("x", 256), strings.Repeat("x", 10<<10), strings.Repeat("a/", 200) + "a",
}

func TestCheckName(t *testing.T) {
	for _, name := range badNames {
		if err := CheckName(name); !errors.Is(err, ErrName) || len(err.Error()) > 2000 {
			t.Errorf("%.20q: %.100v", name, err)
		}
		if _, err := alice.Publish(name, [32]byte{}, nil, 1); !errors.Is(err, ErrName) {
			t.Errorf("%.20q is published: %v", name, err)
		}
		if err := NewNames(carol.Public()).Want(alice.Public(), name); !errors.Is(err, ErrName) {
			t.Errorf("%.20q is wanted: %v", name, err)
		}
		// Signed by somebody who does not care.
		m := alice.Sign(wire.Latest{Ed25519: alice.Public(), Path: []byte(name), Seq: 1})
		if r, err := ReadLatest(letter(t, m)); err == nil {
			t.Errorf("%.20q is read: %v", name, r.Seq)
		}
	}
	for _, name := range []string{"a", "a.html", "path/file.html", "...", "..a", "a..b/c", "Straße/日本/😀", " ", "a b", "-", "~", "C:", strings.Repeat("x", 255)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func publish(t testing.TB, k *Key, name string, content byte, seq int64) Letter {
	t.Helper()
	l, err := k.Publish(name, [32]byte{content}, &[32]byte{content, 3}, seq)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestNames(t *testing.T) {
	n := NewNames(carol.Public())
	offer := func(l Letter, news bool, want error) {
		t.Helper()
		if _, got, err := n.Offer(l); got != news || !errors.Is(err, want) {
			t.Errorf("%s: %v, %v; want %v, %v", l.Payload, got, err, news, want)
		}
	}
	is := func(content byte, seq int64) {
		t.Helper()
		r, ok := n.Of(alice.Public(), "a")
		if !ok || r.SHA256 != [32]byte{content} || r.Seq != seq || *r.BLAKE3 != [32]byte{content, 3} {
			t.Errorf("%+v, want %d under %d", r, content, seq)
		}
		m, ok := n.Answer(wire.GetLatest{Ed25519: alice.Public(), Path: []byte("a")})
		if !ok {
			t.Fatal("no answer")
		}
		if passed, err := ReadLatest(letter(t, m)); err != nil || passed.Seq != seq {
			t.Errorf("what is passed on: %+v, %v", passed, err)
		}
	}
	offer(publish(t, alice, "a", 1, 10), false, ErrUnwanted)
	if err := n.Want(alice.Public(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, ok := n.Answer(wire.GetLatest{Ed25519: alice.Public(), Path: []byte("a")}); ok {
		t.Error("an answer from nothing")
	}
	offer(publish(t, alice, "a", 1, 10), true, nil)
	offer(publish(t, alice, "a", 1, 10), false, nil)
	is(1, 10)
	offer(publish(t, alice, "a", 2, 11), true, nil)
	offer(publish(t, alice, "a", 1, 10), false, ErrRollback)
	offer(publish(t, alice, "a", 3, 0), false, ErrRollback)
	is(2, 11)
	other := publish(t, alice, "a", 3, 11)
	_, news, err := n.Offer(other)
	var conflict *ConflictError
	if news || !errors.As(err, &conflict) || conflict.Held.SHA256 != [32]byte{2} || conflict.Other.SHA256 != [32]byte{3} {
		t.Fatalf("%v", err)
	}
	for _, r := range []Record{conflict.Held, conflict.Other} { // each is a proof by itself
		if again, err := ReadLatest(letter(t, r.Signed)); err != nil || again.SHA256 != r.SHA256 || again.Seq != 11 {
			t.Errorf("%+v, %v", again, err)
		}
	}
	is(2, 11)
	offer(publish(t, alice, "a", 3, 12), true, nil)
	is(3, 12)
	// Others can say nothing of alice's name.
	offer(publish(t, carol, "a", 9, 99), false, ErrUnwanted)
	for _, m := range []wire.SignedMessage{
		carol.Sign(wire.Latest{Ed25519: alice.Public(), Path: []byte("a"), Seq: 99}),
		alice.Sign(), alice.Sign(wire.ChatMessage{}), alice.Sign(wire.Latest{Ed25519: alice.Public(), Path: []byte("a"), Seq: maxSeq + 1}),
		alice.Sign(wire.Latest{Ed25519: alice.Public(), Path: []byte("a"), Seq: 98}, wire.Latest{Ed25519: alice.Public(), Path: []byte("a"), Seq: 99}),
		alice.Sign(wire.Latest{Ed25519: alice.Public(), Path: []byte("a"), Seq: 99}, wire.ChatMessage{Message: strings.Repeat("x", maxLatest)}),
	} {
		offer(letter(t, m), false, ErrLatest)
	}
	offer(Letter{From: alice.Public(), Elements: letter(t, alice.Sign(wire.Latest{Ed25519: alice.Public(), Path: []byte("a"), Seq: 99})).Elements}, false, ErrLatest)
	is(3, 12)
	if _, ok := n.Answer(wire.GetLatest{Ed25519: alice.Public(), Path: []byte(strings.Repeat("a", 10<<10))}); ok {
		t.Error("an answer to a long name")
	}
	if err := n.Want(PublicKey{}, "a"); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}

// A record outlives the buffer that it was read from.
func TestRecordIsACopy(t *testing.T) {
	n := NewNames(carol.Public())
	if err := n.Want(alice.Public(), "a"); err != nil {
		t.Fatal(err)
	}
	datagram := wire.AppendArray(nil, *publish(t, alice, "a", 1, 1).signed)
	datagram = []byte(strings.ReplaceAll(string(datagram), `\"`, `"`)) // not JSON any more, but the bytes of the payload
	l := letter(t, wire.SignedMessage{Ed25519: alice.Public(), Signature: publish(t, alice, "a", 1, 1).signed.Signature, Payload: datagram[strings.Index(string(datagram), `[{"Latest`) : len(datagram)-4]})
	if _, news, err := n.Offer(l); !news || err != nil {
		t.Fatal(err)
	}
	clear(datagram)
	m, ok := n.Answer(wire.GetLatest{Ed25519: alice.Public(), Path: []byte("a")})
	if _, err := Verify(m); !ok || err != nil {
		t.Error(err)
	}
}

func TestNextSeq(t *testing.T) {
	unix := now.Unix()
	for _, c := range []struct {
		last int64
		now  time.Time
		want int64
	}{
		{-1, now, unix}, {5, now, unix}, {unix - 1, now, unix}, {unix, now, unix + 1}, {unix, now.Add(-time.Hour), unix + 1},
		{unix + 3600, now, unix + 3601}, {-1, time.Unix(-5, 0), 0}, {maxSeq - 1, now, maxSeq}, {-1, time.Unix(math.MaxInt64/2, 0), maxSeq},
	} {
		if got, err := NextSeq(c.last, c.now); err != nil || got != c.want {
			t.Errorf("after %d at %v: %d, %v; want %d", c.last, c.now, got, err, c.want)
		}
	}
	for _, last := range []int64{maxSeq, math.MaxInt64} {
		if got, err := NextSeq(last, now); err != ErrSeq {
			t.Errorf("after %d: %d, %v", last, got, err)
		}
	}
	for _, seq := range []int64{-1, maxSeq + 1} {
		if _, err := alice.Publish("a", [32]byte{}, nil, seq); err != ErrSeq {
			t.Errorf("%d: %v", seq, err)
		}
	}
}

// In whatever order the signed answers come, the highest stands, and never steps back.
func TestNamesModel(t *testing.T) {
	var letters []Letter
	for seq := range int64(8) {
		for content := range byte(2) {
			letters = append(letters, publish(t, alice, "a", content, seq))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := NewNames(carol.Public())
		if err := n.Want(alice.Public(), "a"); err != nil {
			t.Fatal(err)
		}
		highest, held := int64(-1), [32]byte{}
		for range rapid.IntRange(1, 30).Draw(t, "offers") {
			r, err := ReadLatest(letters[rapid.IntRange(0, len(letters)-1).Draw(t, "letter")])
			if err != nil {
				t.Fatal(err)
			}
			got, news, err := n.Offer(Letter{Kind: Signed, From: r.Key, Payload: r.Signed.Payload, Elements: elements(r.Signed.Payload), signed: &r.Signed})
			var conflict *ConflictError
			switch {
			case r.Seq > highest:
				if !news || err != nil {
					t.Fatalf("%d after %d: %v, %v", r.Seq, highest, news, err)
				}
				highest, held = r.Seq, r.SHA256
			case news || r.Seq < highest && err != ErrRollback || r.Seq == highest && r.SHA256 != held != errors.As(err, &conflict):
				t.Fatalf("%d after %d: %+v, %v, %v", r.Seq, highest, got, news, err)
			}
			if now, ok := n.Of(alice.Public(), "a"); !ok || now.Seq != highest || now.SHA256 != held {
				t.Fatalf("%+v, want %d", now, highest)
			}
		}
	})
}

func elements(payload []byte) []wire.Element {
	es, _, _ := wire.Split(nil, payload)
	return es
}

func TestNamesAreBounded(t *testing.T) {
	n := NewNames(carol.Public())
	name := func(i int) string { return strings.Repeat("x", 1+i%200) + "/" + strings.Repeat("y", 1+i/200) }
	for i := range maxNames + 2 {
		if err := n.Want(alice.Public(), name(i)); err != nil {
			t.Fatal(err)
		}
		if err := n.Want(alice.Public(), name(0)); err != nil { // again and again
			t.Fatal(err)
		}
	}
	if len(n.held) != maxNames || n.queue.Len() != maxNames {
		t.Errorf("%d and %d names", len(n.held), n.queue.Len())
	}
	if n.held[nameID{alice.Public(), name(0)}] == nil || n.held[nameID{alice.Public(), name(1)}] != nil {
		t.Error("not the one asked for the longest ago was forgotten")
	}
}

// Names of ours that were only asked for are forgotten as others': whoever asks for many, as a page does by the gateway,
// leaves room for what we publish, and for what others do.
func TestOwnNamesThatNobodyPublished(t *testing.T) {
	n := NewNames(carol.Public())
	if err := n.Want(carol.Public(), "published"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.Offer(publish(t, carol, "published", 1, 1)); err != nil {
		t.Fatal(err)
	}
	for i := range maxNames - 1 { // as Want does, which takes its time over each key
		id := nameID{carol.Public(), fmt.Sprint("asked/", i)}
		n.held[id] = n.queue.PushFront(&entry{id: id})
	}
	if err := n.Want(carol.Public(), "another"); err != nil {
		t.Error(err)
	}
	if err := n.Want(alice.Public(), "a"); err != nil {
		t.Error(err)
	}
	if _, ok := n.Of(carol.Public(), "published"); !ok || n.queue.Len() != maxNames {
		t.Errorf("what was published is held: %v, of %d", ok, n.queue.Len())
	}
}

// Beside the newest record the last one is kept whose content is here, else the newest of the others.
func TestOlder(t *testing.T) {
	n := NewNames(carol.Public())
	here := byte(0)
	n.Here = func(r Record) bool { return r.SHA256 == [32]byte{here} }
	if err := n.Want(alice.Public(), "a"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		content byte
		seq     int64
		here    byte
		older   int64 // 0: none
	}{{1, 10, 0, 0}, {2, 20, 0, 10}, {1, 10, 0, 10}, {3, 15, 0, 15}, {4, 30, 2, 20}, {5, 40, 2, 20}, {6, 35, 2, 20}, {7, 50, 5, 40}} {
		here = c.here
		l, err := alice.Publish("a", [32]byte{c.content}, nil, c.seq)
		if err != nil {
			t.Fatal(err)
		}
		_, _, _ = n.Offer(l) // some are refused
		if r, ok := n.Older(alice.Public(), "a"); ok != (c.older > 0) || ok && r.Seq != c.older {
			t.Errorf("after %d: %d, %v; want %d", c.seq, r.Seq, ok, c.older)
		}
	}
}
