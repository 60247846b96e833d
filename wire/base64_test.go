package wire

import (
	"bytes"
	"encoding/base64"
	"math/rand"
	"strings"
	"testing"
)

func TestBase64(t *testing.T) {
	long := strings.Repeat("QUJD", 40) // long enough for the vector code
	for _, c := range []struct {
		text, want string
		bad        bool
	}{
		{text: ""},
		{text: "QQ==", want: "A"},
		{text: "QUI=", want: "AB"},
		{text: "QUJD", want: "ABC"},
		{text: "+/+/", want: "\xfb\xff\xbf"},
		{text: long, want: strings.Repeat("ABC", 40)},
		{text: "QQ", bad: true},
		{text: "QQ=", bad: true},
		{text: "QUI", bad: true},
		{text: "QR==", bad: true}, // unused bits
		{text: "QUJ=", bad: true},
		{text: "-_-_", bad: true}, // the alphabet of URLs
		{text: "Q===", bad: true},
		{text: "====", bad: true},
		{text: "QQ==QQ==", bad: true},
		{text: "QUJD\n\n\n\n", bad: true},
		{text: "QU\r\nJD\r\n", bad: true},
		{text: "QQ=\n=\n\n\n", bad: true},
		{text: "QQ\n\n\n\n==", bad: true},
		{text: "\n\n\n\n", bad: true},
		{text: " QUJ", bad: true},
		{text: long + "\n\n\n\n", bad: true},
		{text: "\n\r\n\r" + long, bad: true},
		{text: long[:80] + "\n\n\n\n" + long[80:], bad: true},
		{text: long[:80] + "QQ==" + long[80:], bad: true},
		{text: long + "QR==", bad: true},
		{text: long[:81] + "\x80" + long[82:], bad: true},
	} {
		got, err := appendDecoded([]byte("x"), []byte(c.text))
		if c.bad {
			if err != ErrBase64 || string(got) != "x" {
				t.Errorf("%q: %q, %v; want an error", c.text, got, err)
			}
			continue
		}
		if err != nil || string(got) != "x"+c.want || decodedLen([]byte(c.text)) != len(c.want) {
			t.Errorf("%q: %q, %v, length %d", c.text, got, err, decodedLen([]byte(c.text)))
		}
		if back := appendBase64([]byte("x"), []byte(c.want)); string(back) != "x"+c.text {
			t.Errorf("%q became %q", c.text, back)
		}
	}
}

// The vector code must not write past the room that is its own.
func TestBase64KeepsNeighbours(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for n := range 300 {
		data := make([]byte, n)
		rnd.Read(data)
		buf := bytes.Repeat([]byte{0xEE}, 1000)
		text := appendBase64(buf[:5], data)
		if tail := buf[len(text):]; bytes.Count(tail, []byte{0xEE}) != len(tail) {
			t.Fatalf("encoding %d bytes wrote past the end", n)
		}
		if want := base64.StdEncoding.EncodeToString(data); string(text[5:]) != want {
			t.Fatalf("%d bytes: %q, want %q", n, text[5:], want)
		}
		buf = bytes.Repeat([]byte{0xEE}, 1000)
		got, err := appendDecoded(buf[:5], text[5:])
		if err != nil || !bytes.Equal(got[5:], data) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if tail := buf[5+(n+2)/3*3:]; bytes.Count(tail, []byte{0xEE}) != len(tail) {
			t.Fatalf("decoding %d bytes wrote past the end", n)
		}
	}
}

// FuzzBase64 holds both directions against encoding/base64.
func FuzzBase64(f *testing.F) {
	sent, _ := recorded(f)
	for _, d := range sent {
		es, _, _ := Split(nil, []byte(d))
		for _, e := range es {
			if m, err := ParseContent(e.Payload); err == nil && e.Name == "Content" {
				f.Add(m.Base64)
			}
		}
	}
	for _, s := range []string{"", "QQ==", "QUI=", "QR==", "QUJD\n\n\n\n", "-_-_", strings.Repeat("QUJD", 40) + "\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text := appendBase64(nil, data)
		if want := base64.StdEncoding.EncodeToString(data); string(text) != want {
			t.Fatalf("%q encoded as %q, want %q", data, text, want)
		}
		if back, err := appendDecoded(nil, text); err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%q came back as %q, %v", data, back, err)
		}
		// Taken as text, it is accepted where the reference accepts it, line
		// breaks aside.
		want, wantErr := base64.StdEncoding.Strict().DecodeString(string(data))
		accept := wantErr == nil && !bytes.ContainsAny(data, "\r\n")
		got, err := appendDecoded(nil, data)
		if (err == nil) != accept {
			t.Fatalf("%q: %v; the reference: %v", data, err, wantErr)
		}
		if accept && (!bytes.Equal(got, want) || decodedLen(data) != len(want)) {
			t.Fatalf("%q: %q, want %q", data, got, want)
		}
	})
}
