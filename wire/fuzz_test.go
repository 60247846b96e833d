package wire

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"
)

// fuzz feeds a decoder. What it takes must be JSON, must encode to something
// that decodes to the same message, and that once more to the same bytes.
func fuzz(f *testing.F, name string) {
	parse := decoders[name]
	sent, requests := recorded(f)
	for _, d := range slices.Concat(sent, requests) {
		es, _, _ := Split(nil, []byte(d))
		for _, e := range es {
			if e.Name == name {
				f.Add(e.Payload)
			}
		}
	}
	for _, c := range messages {
		if c.m.Name() == name {
			f.Add([]byte(c.payload))
		}
	}
	for _, payload := range odd {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := bytes.Clone(payload)
		m, err := parse(payload)
		if !bytes.Equal(before, payload) {
			t.Fatal("the payload was changed")
		}
		if reference := references[name]; reference != nil {
			againstReference(t, reference, payload, m, err)
		}
		if err != nil {
			if !reflect.ValueOf(m).IsZero() {
				t.Fatalf("%+v with %v", m, err)
			}
			return
		}
		if !wellFormed(payload) {
			t.Fatalf("%q is no JSON", payload)
		}
		once := m.AppendPayload(nil)
		if !wellFormed(once) {
			t.Fatalf("%q became %q", payload, once)
		}
		again, err := parse(once)
		if err != nil || !same(m, again) {
			t.Fatalf("%q is %+v, which is sent as %q, which is %+v, %v", payload, m, once, again, err)
		}
		if twice := again.AppendPayload(nil); !bytes.Equal(once, twice) {
			t.Fatalf("%q, then %q", once, twice)
		}
		if c, ok := m.(Content); ok {
			if data, err := c.AppendData(nil); err == nil && len(data) != c.DecodedLen() {
				t.Fatalf("%d bytes, %d were promised", len(data), c.DecodedLen())
			}
		}
	})
}

// same compares messages; an empty list is as good as none, but for Have.
func same(a, b Message) bool {
	if p, ok := a.(Peers); ok {
		return slices.Equal(p.Peers, b.(Peers).Peers)
	}
	return reflect.DeepEqual(a, b)
}

func FuzzPleaseSendContent(f *testing.F)       { fuzz(f, "PleaseSendContent") }
func FuzzContent(f *testing.F)                 { fuzz(f, "Content") }
func FuzzMaybeTheyHaveSome(f *testing.F)       { fuzz(f, "MaybeTheyHaveSome") }
func FuzzPleaseSendPeers(f *testing.F)         { fuzz(f, "PleaseSendPeers") }
func FuzzPeers(f *testing.F)                   { fuzz(f, "Peers") }
func FuzzPleaseReturnThisMessage(f *testing.F) { fuzz(f, "PleaseReturnThisMessage") }
func FuzzReturnedMessage(f *testing.F)         { fuzz(f, "ReturnedMessage") }
func FuzzPleaseAlwaysReturnThisMessage(f *testing.F) {
	fuzz(f, "PleaseAlwaysReturnThisMessage")
}
func FuzzAlwaysReturned(f *testing.F)        { fuzz(f, "AlwaysReturned") }
func FuzzPleaseListContent(f *testing.F)     { fuzz(f, "PleaseListContent") }
func FuzzContentList(f *testing.F)           { fuzz(f, "ContentList") }
func FuzzIJustSawThis(f *testing.F)          { fuzz(f, "IJustSawThis") }
func FuzzYouShouldSeeThis(f *testing.F)      { fuzz(f, "YouShouldSeeThis") }
func FuzzChatMessage(f *testing.F)           { fuzz(f, "ChatMessage") }
func FuzzGroupChatMessage(f *testing.F)      { fuzz(f, "GroupChatMessage") }
func FuzzMyPublicKey(f *testing.F)           { fuzz(f, "MyPublicKey") }
func FuzzSignedMessage(f *testing.F)         { fuzz(f, "SignedMessage") }
func FuzzEncryptedMessages(f *testing.F)     { fuzz(f, "EncryptedMessages") }
func FuzzFastEncryptedMessages(f *testing.F) { fuzz(f, "FastEncryptedMessages") }
func FuzzWhereAreThey(f *testing.F)          { fuzz(f, "WhereAreThey") }
func FuzzForwarded(f *testing.F)             { fuzz(f, "Forwarded") }
func FuzzForward(f *testing.F)               { fuzz(f, "Forward") }
func FuzzYourEd25519(f *testing.F)           { fuzz(f, "YourEd25519") }
func FuzzGetLatest(f *testing.F)             { fuzz(f, "GetLatest") }
func FuzzLatest(f *testing.F)                { fuzz(f, "Latest") }

// FuzzCookie checks that every text survives as a cookie, as far as it is UTF-8.
func FuzzCookie(f *testing.F) {
	f.Add("3de59ecd", []byte(`{"cookie":"x"}`))
	f.Add("\"\\\x00\xff😀", []byte(`{"c\u006fokie":"\ud83d\ude00"}`))
	f.Fuzz(func(t *testing.T, text string, value []byte) {
		got, ok := CookieText(CookieValue(text))
		if !ok || utf8.ValidString(text) && got != text {
			t.Fatalf("%q came back as %q, %v", text, got, ok)
		}
		if text, ok := CookieText(value); ok {
			if again, ok := CookieText(CookieValue(text)); !ok || again != text {
				t.Fatalf("%q came back as %q, %v", text, again, ok)
			}
		}
	})
}
