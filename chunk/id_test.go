package chunk

import (
	"strings"
	"testing"
)

const hexA = "0123456789abcdef0123456789ABCDEFfedcba9876543210FEDCBA9876543210"

func TestParseID(t *testing.T) {
	lower := strings.ToLower(hexA)
	for _, c := range []struct {
		text, want string
		kind       Kind
	}{
		{hexA, lower, SHA256},
		{"blake3/" + hexA, "blake3/" + lower, BLAKE3},
		{"b3/" + hexA, "blake3/" + lower, BLAKE3},
		{"blake3_tree_v2/" + hexA, "blake3_tree_v2/" + lower, BLAKE3Tree},
	} {
		id, err := ParseID(c.text)
		if err != nil || id.Kind != c.kind || id.String() != c.want || !id.Valid() {
			t.Errorf("ParseID(%q) = %v kind %d, %v", c.text, id, id.Kind, err)
		}
		again, err := ParseID([]byte(id.String()))
		if err != nil || again != id {
			t.Errorf("ParseID of its own text %q: %v, %v", id, again, err)
		}
	}
	for _, text := range []string{
		"", "/", "b3/", "blake3/", "stream/" + hexA, hexA[1:], hexA + "0", hexA + "\x00", hexA[1:] + "\x00", " " + hexA[1:],
		"blake3/" + hexA + "0", "blake3/" + hexA[1:], "blake3/" + hexA[1:] + "/", "BLAKE3/" + hexA, "blake3\\" + hexA,
		"blake3_tree_v1/" + hexA, "blake3//" + hexA[1:], "b3\x00" + hexA, "../" + hexA[3:], "../" + hexA, "%2e%2e/" + hexA,
		hexA[:63] + "g", hexA[:63] + "/", hexA[:63] + ":", hexA[:63] + "@", hexA[:63] + "`", hexA[:62] + "０"[:2], hexA[:61] + "０",
		"blake3/../" + hexA[3:], "0x" + hexA[2:], "+" + hexA[1:], "-" + hexA[1:],
	} {
		if id, err := ParseID(text); err != ErrBadID || id != (ID{}) {
			t.Errorf("ParseID(%q) = %v, %v", text, id, err)
		}
	}
	if s := (ID{Kind: 9}).String() + (ID{}).String(); s != "" {
		t.Errorf("an invalid id prints as %q", s)
	}
}

func TestParseHash(t *testing.T) {
	h, err := ParseHash(hexA)
	if err != nil || h.String() != strings.ToLower(hexA) {
		t.Errorf("%v, %v", h, err)
	}
	for _, bad := range []string{"", hexA[1:], hexA + "0", "g" + hexA[1:]} {
		if _, err := ParseHash(bad); err != ErrBadID {
			t.Errorf("ParseHash(%q): %v", bad, err)
		}
	}
}

func TestParseIDAllocates(t *testing.T) {
	text := []byte("blake3/" + hexA)
	buf := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		id, err := ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		if buf, err = id.AppendText(buf[:0]); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add([]byte(hexA))
	f.Add([]byte("b3/" + hexA))
	f.Add([]byte("blake3/" + hexA))
	f.Add([]byte("blake3_tree_v2/" + hexA))
	f.Add([]byte("blake3/../../etc/passwd"))
	f.Fuzz(func(t *testing.T, text []byte) {
		id, err := ParseID(text)
		if fromString, stringErr := ParseID(string(text)); fromString != id || stringErr != err {
			t.Fatal("string and bytes differ")
		}
		if err != nil {
			if err != ErrBadID || id != (ID{}) {
				t.Fatalf("%v, %v", id, err)
			}
			return
		}
		// What is accepted is what is printed, but for case and the short prefix.
		want := strings.ToLower(string(text))
		if rest, short := strings.CutPrefix(want, "b3/"); short {
			want = "blake3/" + rest
		}
		if id.String() != want {
			t.Fatalf("%q was read as %q", text, id)
		}
	})
}
