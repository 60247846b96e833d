package link

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestSafeName(t *testing.T) {
	long := strings.Repeat("a", 300)
	cases := []struct{ in, want string }{
		{"ubuntu-24.04.iso", "ubuntu-24.04.iso"},
		{"", ""},
		{".", ""},
		{"..", ""},
		{" . . ", ""},
		{".bashrc", "bashrc"},
		{"../../etc/passwd", "_.._etc_passwd"},
		{`a\b/c`, "a_b_c"},
		{"a:b?.txt", "a_b_.txt"},
		{"x\x00\x1b[31m\u009by", "x[31my"},
		{"two\nlines", "two lines"},
		{"bad\xffbytes\xc3", "bad_bytes_"},
		{"photo\u202egpj.exe", "photogpj.exe"},
		{"trailing. . ", "trailing"},
		{"e\u0301", "\u00e9"},
		{"e\x01\u0301", "\u00e9"},
		{"NUL", "_NUL"},
		{"con.tar.gz", "_con.tar.gz"},
		{"Aux .txt", "_Aux .txt"},
		{"com1", "_com1"},
		{"LPT\u00b2.x", "_LPT\u00b2.x"},
		{"com10", "com10"},
		{"console", "console"},
		{long + ".iso", long[:251] + ".iso"},
		{long, long[:255]},
		{strings.Repeat("\u00fc", 200) + ".iso", strings.Repeat("\u00fc", 125) + ".iso"},
		{long + "." + long, long[:255]},
		{"con" + strings.Repeat(" ", 300) + "x", "_con"},
		{"nul." + strings.Repeat("b", 251), "_nul." + strings.Repeat("b", 250)},
		{"\u4f60\u597d.txt", "\u4f60\u597d.txt"},
	}
	for _, c := range cases {
		if got := SafeName(c.in); got != c.want {
			t.Errorf("SafeName(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzSafeName(f *testing.F) {
	for _, s := range []string{"a/b", "..", "CON" + strings.Repeat(" ", 300) + "x", "e\u0301", "\xff.", strings.Repeat("\u1e9b\u0323", 90) + ".x", "\u212aON", "a\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := SafeName(s)
		switch {
		case len(n) > MaxName, !utf8.ValidString(n), !norm.NFC.IsNormalString(n):
			t.Fatalf("%q -> %q", s, n)
		case strings.ContainsAny(n, `/\:<>"|?*`), strings.ContainsFunc(n, unicode.IsControl):
			t.Fatalf("%q -> %q", s, n)
		case n != strings.TrimSpace(n), strings.HasPrefix(n, "."), strings.HasSuffix(n, "."):
			t.Fatalf("%q -> %q", s, n)
		case Reserved(n):
			t.Fatalf("%q -> %q is reserved", s, n)
		case SafeName(n) != n:
			t.Fatalf("%q -> %q -> %q", s, n, SafeName(n))
		}
	})
}
