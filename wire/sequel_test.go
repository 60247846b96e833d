package wire

import (
	"bytes"
	"fmt"
	"math"
	"testing"
)

// answer is a raw answer as a datagram, with its cookie and spaces.
func answer(offset int64, n int, hints, more string) []byte {
	head := fmt.Sprintf(`[{"Content":{"raw":%d,"for":77,"offset":%d%s}}%s]`, n, offset, hints, more)
	return append([]byte(head), bytes.Repeat([]byte{'x'}, n)...)
}

const cookie = `,{"AlwaysReturned":"0123456789abcdef"}  `

// What differs from the datagram before it in its offset alone, and follows it, is a sequel; anything else is not.
func TestSequel(t *testing.T) {
	const n = 1205
	first := answer(8192, n, "", cookie)
	for _, tc := range []struct {
		name        string
		first, then []byte
		want        bool
	}{
		{"the next", first, answer(8192+n, n, "", cookie), true},
		{"with hints", answer(8192, n, `,"eof":99999,"have":[[0,9000]]`, cookie), answer(8192+n, n, `,"eof":99999,"have":[[0,9000]]`, cookie), true},
		{"without a cookie", answer(8192, n, "", ""), answer(8192+n, n, "", ""), true},
		{"other hints", first, answer(8192+n, n, `,"eof":99999`, cookie), false},
		{"another cookie", first, answer(8192+n, n, "", `,{"AlwaysReturned":"0123456789abcdee"}  `), false},
		{"a gap", first, answer(8192+2*n, n, "", cookie), false},
		{"the same again", first, first, false},
		{"more digits", answer(9000, n, "", cookie), answer(9000+n, n, "", cookie[:len(cookie)-1]), false},
		{"shorter", first, answer(8192+n, n-1, "", cookie), false},
		{"cut", first, answer(8192+n, n, "", cookie)[:1000], false},
		{"another handle", first, bytes.Replace(answer(8192+n, n, "", cookie), []byte("77"), []byte("78"), 1), false},
		{"in base64", []byte(`[{"Content":{"id":"a","offset":0,"base64":"QUJD"}}]`), []byte(`[{"Content":{"id":"a","offset":3,"base64":"QUJD"}}]`), false},
		{"a word more", answer(8192, n, "", `,{"PleaseSendPeers":{}}`), answer(8192+n, n, "", `,{"PleaseSendPeers":{}}`), false},
		{"spelled otherwise", append([]byte(" "), first...), append([]byte(" "), answer(8192+n, n, "", cookie)...), false},
		{"two offsets", answer(8192, n, `,"offset":8192`, cookie), answer(8192+n, n, `,"offset":8192`, cookie), false},
		{"an offset that is refused", answer(math.MaxInt64-MaxDatagram, n, "", cookie), answer(math.MaxInt64-MaxDatagram+n, n, "", cookie), false},
		{"nothing behind it", answer(8192, 0, "", ""), answer(8192, 0, "", ""), false},
	} {
		es, _, err := Split(nil, tc.first)
		if err != nil {
			t.Fatal(tc.name, err)
		}
		var s Sequel
		part, ok := []byte(nil), s.Begin(tc.first, es)
		if ok {
			part, ok = s.Next(tc.then)
		}
		if ok != tc.want || ok && !bytes.Equal(part, bytes.Repeat([]byte{'x'}, n)) {
			t.Errorf("%s: %v, want %v", tc.name, ok, tc.want)
		}
	}
}

// Whatever is taken for a sequel is what Split and ParseContent take it for: the same elements, and the same Content at the next offset.
func FuzzSequel(f *testing.F) {
	for _, hints := range []string{"", `,"eof":99999,"have":[[0,9000]]`, `,"offset":16`, `,"x":{"offset":16}`, `,"blake3":"x"`} {
		f.Add(answer(16, 5, hints, cookie), answer(21, 5, hints, cookie))
		f.Add(answer(0, 1, hints, ""), answer(1, 1, hints, ""))
	}
	f.Fuzz(func(t *testing.T, first, then []byte) {
		es, bad, err := Split(nil, first)
		if err != nil {
			return
		}
		var s Sequel
		if !s.Begin(first, es) {
			return
		}
		part, ok := s.Next(then)
		if !ok {
			return
		}
		es2, bad2, err := Split(nil, then)
		if err != nil || bad2 != bad || len(es2) != len(es) {
			t.Fatalf("%q after %q: %v, %d elements of %d", then, first, err, len(es2), len(es))
		}
		m, err := ParseContent(es2[0].Payload)
		want := s.Content
		want.Offset += int64(want.Raw)
		if err != nil || fmt.Sprint(m) != fmt.Sprint(want) || !bytes.Equal(es2[0].Rest, part) {
			t.Fatalf("%q after %q: %v %+v, want %+v", then, first, err, m, want)
		}
		for i := 1; i < len(es); i++ {
			if es[i].Name != es2[i].Name || !bytes.Equal(es[i].Payload, es2[i].Payload) {
				t.Fatalf("%q after %q: another element", then, first)
			}
		}
	})
}
