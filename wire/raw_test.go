package wire

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// rawVector is a line of raw.jsonl: a datagram, and what it is taken for.
type rawVector struct {
	What     string
	Datagram string // base64
	Refused  bool   // the whole datagram
	Names    []string
	For      Handle // 0: no raw answer
	Offset   int64
	EOF      int64
	Data     string // base64
}

func rawVectors(t testing.TB) (vs []rawVector) {
	t.Helper()
	f, err := os.Open(filepath.Join(vectors, "raw.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var v rawVector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		vs = append(vs, v)
	}
	if len(vs) < 10 {
		t.Fatalf("only %d vectors", len(vs))
	}
	return vs
}

func decoded(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRawVectors(t *testing.T) {
	for _, v := range rawVectors(t) {
		es, _, err := Split(nil, decoded(t, v.Datagram))
		if (err != nil) != v.Refused {
			t.Errorf("%s: %v", v.What, err)
			continue
		}
		var names []string
		for _, e := range es {
			names = append(names, e.Name)
		}
		if !slices.Equal(names, v.Names) {
			t.Errorf("%s: %q, want %q", v.What, names, v.Names)
		}
		if v.For == 0 {
			for _, e := range es {
				if len(e.Rest) > 0 {
					t.Errorf("%s: %q follows", v.What, e.Rest)
				}
			}
			continue
		}
		m, err := ParseContent(es[0].Payload)
		if want := decoded(t, v.Data); err != nil || m.For != v.For || m.Offset != v.Offset || m.EOF != v.EOF || m.Raw != len(want) || !bytes.Equal(es[0].Rest, want) {
			t.Errorf("%s: %+v, %d bytes, %v", v.What, m, len(es[0].Rest), err)
		}
	}
}

// What is sent is read as what it was, and one byte more or less behind it is refused.
func TestRawRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 4096, 40960, MaxDatagram - 200} {
		data := bytes.Repeat([]byte("]}\"[\x00\xff "), n/7+1)[:n]
		m := Content{For: 9, Offset: 1 << 40, Data: data, EOF: 1 << 41}
		array := AppendArray(nil, m, AlwaysReturned{CookieValue("x")})
		whole := append(array[:len(array):len(array)], data...)
		es, bad, err := Split(nil, whole)
		if err != nil || bad != 0 || len(es) != 2 {
			t.Fatalf("%d: %v, %d bad, %v", n, es, bad, err)
		}
		got, err := ParseContent(es[0].Payload)
		if err != nil || got.Raw != n || got.For != 9 || got.Offset != m.Offset || got.EOF != m.EOF || !bytes.Equal(es[0].Rest, data) || es[1].Rest != nil {
			t.Errorf("%d: %+v, %v", n, got, err)
		}
		if _, _, err := Split(nil, append(whole[:len(whole):len(whole)], 'x')); !errors.Is(err, ErrNotArray) {
			t.Errorf("%d and one more: %v", n, err)
		}
		if n > 0 {
			es, _, err := Split(nil, whole[:len(whole)-1])
			if n > 1 && !errors.Is(err, ErrNotArray) || n == 1 && (err != nil || es[0].Rest != nil) {
				t.Errorf("%d and one less: %v", n, err)
			}
		}
	}
}

// FuzzRaw: what follows an array is taken for content only where a first element says so, and nothing that is no raw
// answer is taken, or refused, otherwise than without them.
func FuzzRaw(f *testing.F) {
	for _, v := range rawVectors(f) {
		f.Add(decoded(f, v.Datagram))
	}
	sent, _ := recorded(f)
	for _, d := range sent {
		f.Add([]byte(d))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		es, bad, err := Split(nil, data)
		if !bytes.Equal(before, data) {
			t.Fatal("the datagram was changed")
		}
		if err != nil {
			return
		}
		for i, e := range es {
			if i > 0 && e.Rest != nil {
				t.Fatalf("element %d is followed by %q", i, e.Rest)
			}
		}
		if len(es) == 0 || es[0].Rest == nil {
			return
		}
		first, rest := es[0], es[0].Rest
		if !bytes.HasSuffix(data, rest) || first.Name != "Content" {
			t.Fatalf("%q is followed by %q", data, rest)
		}
		// The same without what follows.
		again, badAgain, err := Split(nil, data[:len(data)-len(rest)])
		if err != nil || badAgain != bad || len(again) != len(es) || !bytes.Equal(again[0].Raw, first.Raw) || again[0].Rest != nil {
			t.Fatalf("%q alone: %v, %v", data[:len(data)-len(rest)], again, err)
		}
		m, err := ParseContent(first.Payload)
		if err != nil || m.For == 0 {
			return
		}
		if m.Raw != len(rest) {
			t.Fatalf("%d bytes follow, %d are announced", len(rest), m.Raw)
		}
		m.Data = rest
		es, bad, err = Split(nil, append(AppendArray(nil, m), rest...))
		if err != nil || bad != 0 || len(es) != 1 || !bytes.Equal(es[0].Rest, rest) {
			t.Fatalf("%+v is sent as %v, %v", m, es, err)
		}
	})
}
