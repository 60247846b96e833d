package link

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"sharer/chunk"
)

const (
	hexA = "3f2a0000000000000000000000000000000000000000000000000000000000aa"
	hexB = "77ab0000000000000000000000000000000000000000000000000000000000bb"
)

func id(k chunk.Kind, text string) chunk.ID {
	h, err := parseHash(text)
	if err != nil {
		panic(err)
	}
	return chunk.ID{Kind: k, Hash: h}
}

// base is a link with nothing but an id.
func base(k chunk.Kind) Link { return Link{ID: id(k, hexA), Size: -1} }

func with(l Link, f func(*Link)) Link { f(&l); return l }

func TestParse(t *testing.T) {
	named := func(k chunk.Kind, name string) Link { return with(base(k), func(l *Link) { l.Name = name }) }
	folder := func(path string, f func(*Link)) Link {
		return with(base(chunk.BLAKE3), func(l *Link) { l.Folder, l.Path = true, path; f(l) })
	}
	plain := func(*Link) {}
	cases := []struct {
		text string
		want Link
	}{
		{"lcdp://folder/" + hexA, folder("", plain)},
		{"LCDP://Folder/" + strings.ToUpper(hexA) + "//", folder("", plain)},
		{"folder/" + hexA + "/sub/a%20b/c+d.iso", folder("sub/a b/c+d.iso", plain)},
		{"folder/" + hexA + "/sub/", folder("sub", plain)},
		{"folder/" + hexA + "/e%CC%81/%ff", folder("\u00e9/\uFFFD", plain)},
		{"http://127.0.0.1:24255/folder/" + hexA + "/x?n=isos&s=12&so=0,2", folder("x", func(l *Link) { l.Name, l.Size, l.Select = "isos", 12, "0,2" })},
		{"lcdp://folder/" + hexA + "?n=a/b&h=sha256:" + hexB, folder("", func(l *Link) { l.Name, l.Also = "a/b", id(chunk.SHA256, hexB) })},
		{hexA, base(chunk.SHA256)},
		{"  " + strings.ToUpper(hexA) + "\n", base(chunk.SHA256)},
		{"/" + hexA, base(chunk.SHA256)},
		{"sha256/" + hexA, base(chunk.SHA256)},
		{"blake3/" + hexA, base(chunk.BLAKE3)},
		{"b3/" + hexA, base(chunk.BLAKE3)},
		{"B3/" + strings.ToUpper(hexA), base(chunk.BLAKE3)},
		{"blake3_tree_v2/" + hexA, base(chunk.BLAKE3Tree)},
		{"blake3/" + hexA + "/", base(chunk.BLAKE3)},
		{"lcdp://blake3/" + hexA, base(chunk.BLAKE3)},
		{"LCDP://BLAKE3/" + strings.ToUpper(hexA), base(chunk.BLAKE3)},
		{"lcdp://sha256/" + hexA, base(chunk.SHA256)},
		{"web+lcdp://blake3/" + hexA, base(chunk.BLAKE3)},
		{"lcdp://blake3/" + hexA + "/a%20b.iso", named(chunk.BLAKE3, "a b.iso")},
		{"lcdp://blake3/" + hexA + "/a b+c.iso", named(chunk.BLAKE3, "a b+c.iso")},
		{"blake3/" + hexA + "?n=a+b.iso", named(chunk.BLAKE3, "a b.iso")},
		{"blake3/" + hexA + "/path.iso?n=other", named(chunk.BLAKE3, "path.iso")},
		{"blake3/" + hexA + "/e%CC%81", named(chunk.BLAKE3, "\u00e9")},
		{"blake3/" + hexA + "/%ff%0a%2fx", named(chunk.BLAKE3, "\uFFFD\n/x")},
		{"blake3/" + hexA + "/..", base(chunk.BLAKE3)},
		{"blake3/" + hexA + "/%2e%2E", base(chunk.BLAKE3)},
		{"blake3/" + hexA + "/sub/file.iso", named(chunk.BLAKE3, "file.iso")},
		{"http://127.0.0.1:24255/blake3/" + hexA, base(chunk.BLAKE3)},
		{"http://127.0.0.1:24255/b3/" + hexA, base(chunk.BLAKE3)},
		{"http://127.0.0.1:24255/" + hexA, base(chunk.SHA256)},
		{"https://example.org/" + hexA + "/x.iso", named(chunk.SHA256, "x.iso")},
		{"HTTP://[::1]:80/blake3_tree_v2/" + hexA, base(chunk.BLAKE3Tree)},
		{"blake3/" + hexA + "#secret?p=1.2.3.4:5", base(chunk.BLAKE3)},
		{"blake3/" + hexA + "?zzz=%zz&so=0,2,5-9&seq=12&S=5", with(base(chunk.BLAKE3), func(l *Link) { l.Select, l.Seq, l.Size = "0,2,5-9", 12, 5 })},
		{"blake3/" + hexA + "?h=sha256:" + strings.ToUpper(hexB), with(base(chunk.BLAKE3), func(l *Link) { l.Also = id(chunk.SHA256, hexB) })},
		{"blake3/" + hexA + "?h=md6:77&h=blake3:" + hexA, base(chunk.BLAKE3)},
		{"blake3_tree_v2/" + hexA + "?h=blake3:" + hexA + "&h=sha256:" + hexB, with(base(chunk.BLAKE3Tree), func(l *Link) { l.Also = id(chunk.SHA256, hexB) })},
		{hexA + "?k=0x" + hexB + "&w=https://example.org/x&k=" + hexB, with(base(chunk.SHA256), func(l *Link) {
			l.Keys, l.Mirrors = []Key{Key(id(chunk.SHA256, hexB).Hash)}, []string{"https://example.org/x"}
		})},
		{"blake3/" + hexA + "?p=1.2.3.4:24254&p=[2001:db8::1]:5&p=%5B%3A%3Affff%3A1.2.3.4%5D:24254&p=[fe80::1%257]:9", with(base(chunk.BLAKE3), func(l *Link) {
			l.Peers = []netip.AddrPort{netip.MustParseAddrPort("1.2.3.4:24254"), netip.MustParseAddrPort("[2001:db8::1]:5"), netip.MustParseAddrPort("[fe80::1%7]:9")}
		})},
	}
	for _, c := range cases {
		got, err := Parse(c.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.text, err)
			continue
		}
		if !got.Equal(c.want) || len(got.Ignored) > 0 {
			t.Errorf("Parse(%q)\n got %+v\nwant %+v", c.text, got, c.want)
		}
		for _, text := range []string{got.String(), got.Web()} {
			if text == got.Web() && !got.Folder {
				continue // the Web form of one block has another id: TestPrint
			}
			if again, err := Parse(text); err != nil || !again.Equal(got) {
				t.Errorf("Parse(%q) = %+v, %v; want %+v", text, again, err, got)
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	cases := []struct{ text, want string }{
		{"", "link: is empty"},
		{"folder/", "link: hash is missing after folder/"},
		{"lcdp://folder/" + hexA + "/a/../b", `link: path in the folder has the part ".."`},
		{"lcdp://folder/" + hexA + "/%2e%2e/b", `link: path in the folder has the part ".."`},
		{"lcdp://folder/" + hexA + "/a//b", `link: path in the folder has the part ""`},
		{"lcdp://folder/" + hexA + "/a%2fb", `link: path in the folder has the part "a/b"`},
		{"lcdp://folder/" + hexA + "/%4", `link: path in the folder has a broken escape "%4"`},
		{"lcdp://folder/" + hexA + strings.Repeat("/aaa", 1025), "link: path in the folder has 4099 bytes, at most 4095"},
		{" \n", "link: is empty"},
		{hexA[1:], "link: hash has 63 hex digits, want 64"},
		{"blake3/" + hexA + "0", "link: hash has 65 hex digits, want 64"},
		{"blake3/" + hexA[:10] + "g" + hexA[11:], `link: hash has "g" at digit 11, want 64 hex digits`},
		{"blake3/" + hexA[:62] + "\u0660", `link: hash has "\u0660" at digit 63, want 64 hex digits`},
		{"blake3/", "link: hash is missing after blake3/"},
		{"b3", "link: hash is missing after b3/"},
		{"lcdp://md5/" + hexA, `link: unknown kind of id "md5", want blake3, sha256, folder or blake3_tree_v2`},
		{"lcdp://" + hexA[1:] + "/x", "link: hash has 63 hex digits, want 64"},
		{"../../etc/passwd", `link: unknown kind of id "..", want blake3, sha256, folder or blake3_tree_v2`},
		{"ftp://host/" + hexA, `link: unknown scheme "ftp", want lcdp, http or https`},
		{"http://127.0.0.1:24255/", "link: URL has no path, want /blake3/<hex> or /<hex>"},
		{"http://127.0.0.1:24255", "link: URL has no path, want /blake3/<hex> or /<hex>"},
		{"http://127.0.0.1:24255/status.json", `link: unknown kind of id "status.json", want blake3, sha256, folder or blake3_tree_v2`},
		{"blake3/" + hexA + "/%zz.iso", `link: file name has a broken escape "%zz"`},
		{"blake3/" + hexA + "/100%", `link: file name has a broken escape "%"`},
		{"blake3/" + hexA + "/" + strings.Repeat("a", 1025), "link: file name has 1025 bytes, at most 1024"},
		{"blake3/" + hexA + "?s=12x", `link: size s="12x" is not a number of bytes`},
		{"blake3/" + hexA + "?s=-1", `link: size s="-1" is not a number of bytes`},
		{"blake3/" + hexA + "?s=9223372036854775808", `link: size s="9223372036854775808" is not a number of bytes`},
		{"blake3/" + hexA + "?s=1&s=2", "link: says two sizes, 1 and 2"},
		{"blake3/" + hexA + "?h=" + hexB, `link: hint h="77ab000000000000000000000000000000000000"… is not sha256:<hex> or blake3:<hex>`},
		{"blake3/" + hexA + "?h=sha256:77", "link: hint h: hash has 2 hex digits, want 64"},
		{"blake3/" + hexA + "?h=blake3:" + hexB, "link: hint h names another blake3 than the link does"},
		{"blake3/" + hexA + "?p=%4", `link: hint p has a broken escape "%4"`},
		{"blake3/" + hexA + "\x00", "link: holds a control character"},
		{"blake3/" + hexA + "\n" + hexB, "link: holds a control character"},
		{"latest/", "link: publisher's key is missing after latest/"},
		{"0x77/name", "link: publisher's key has 2 hex digits, want 64"},
		{strings.Repeat("a", MaxText+1), "link: is longer than 32768 bytes"},
	}
	for _, c := range cases {
		l, err := Parse(c.text)
		if err == nil || err.Error() != c.want {
			t.Errorf("Parse(%.60q)\n got %v\nwant %s", c.text, err, c.want)
		}
		if l.ID.Kind != 0 || l.Published != "" {
			t.Errorf("Parse(%.60q): %v", c.text, l)
		}
	}
}

// A publisher's name, in each form, and what is wrong with others.
func TestPublishedNames(t *testing.T) {
	key := Key(bytes.Repeat([]byte{0xAA}, 32))
	hexKey := strings.Repeat("aa", 32)
	for text, want := range map[string]string{
		"lcdp://" + hexKey + "/isos":                      "isos",
		"LCDP://0X" + strings.ToUpper(hexKey) + "/isos/a": "isos/a",
		"0x" + hexKey + "/a%20b/c.html?seq=7":             "a b/c.html",
		"latest/" + hexKey + "/isos/":                     "isos",
		"http://h/latest/0x" + hexKey + "/index.html#x":   "index.html",
	} {
		l, err := Parse(text)
		if err != nil || l.Published != want || l.Publisher != key || l.ID.Valid() {
			t.Errorf("Parse(%q) = %+v, %v", text, l, err)
		}
		for _, again := range []string{l.String(), l.Web()} {
			if got, err := Parse(again); err != nil || !got.Equal(l) {
				t.Errorf("%q: Parse(%q) = %+v, %v", text, again, got, err)
			}
		}
	}
	l := Link{Publisher: key, Published: "isos/x y", Size: -1, Seq: 9}
	if l.String() != "lcdp://0x"+hexKey+"/isos/x%20y?seq=9" || l.Web() != "http://127.0.0.1:24255/latest/"+hexKey+"/isos/x%20y?seq=9" {
		t.Errorf("%s, %s", l, l.Web())
	}
	for text, want := range map[string]string{
		"0x" + hexKey:                                          "link: published name is missing after the publisher's key",
		"lcdp://" + hexKey + "/":                               "link: published name is missing after the publisher's key",
		"0x" + hexKey + "/a/../b":                              `link: published name has the part ".."`,
		"0x" + hexKey + "/a//b":                                `link: published name has the part ""`,
		"0x" + hexKey + "/a%2Fb":                               `link: published name has the part "a/b"`,
		"0x" + strings.Repeat("0", 64) + "/a":                  "link: publisher's key is all zeros, which is none",
		"latest/0x12/a":                                        "link: publisher's key has 2 hex digits, want 64",
		"0x" + hexKey + "/" + strings.Repeat("x/", 3000) + "x": "link: published name has 6001 bytes, at most 4095",
	} {
		if l, err := Parse(text); err == nil || err.Error() != want {
			t.Errorf("Parse(%.80q) = %+v\n got %v\nwant %s", text, l, err, want)
		}
	}
}

func TestIgnoredHints(t *testing.T) {
	l, err := Parse("blake3/" + hexA + "?p=example.org:1&p=1.2.3.4:0&p=224.0.0.1:5&p=0.0.0.0:5&k=12&w=http://x/&so=a&seq=-1&p=9.9.9.9:9")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`hint p="example.org:1": is not ip:port`,
		`hint p="1.2.3.4:0": is not the address of a peer`,
		`hint p="224.0.0.1:5": is not the address of a peer`,
		`hint p="0.0.0.0:5": is not the address of a peer`,
		`hint k="12": is not a public key of 64 hex digits`,
		`hint w="http://x/": is not an https URL`,
		`hint so="a": is not a selection such as 0,2,5-9`,
		`hint seq="-1": is not a number`,
	}
	if got := strings.Join(l.Ignored, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("ignored:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	if len(l.Peers) != 1 {
		t.Errorf("peers %v", l.Peers)
	}

	// No more than eight peers, however many are named.
	text := "blake3/" + hexA + "?x=1"
	for i := range 200 {
		text += "&p=10.0.0." + string(rune('1'+i%9)) + ":24254"
	}
	l, err = Parse(text)
	if err != nil || len(l.Peers) != MaxPeers || len(l.Ignored) == 0 || len(l.Ignored) > 100 {
		t.Errorf("%d peers, %d ignored, %v", len(l.Peers), len(l.Ignored), err)
	}
}

func TestPrint(t *testing.T) {
	sums := chunk.Sums{SHA256: id(chunk.SHA256, hexB).Hash, BLAKE3: id(chunk.BLAKE3, hexA).Hash}
	cases := []struct {
		size      int64
		name      string
		text, web string
	}{
		{0, "empty", "lcdp://blake3/" + hexA + "/empty?s=0", "http://127.0.0.1:24255/blake3/" + hexA + "/empty?s=0"},
		{1, "", "lcdp://blake3/" + hexA + "?s=1&h=sha256:" + hexB, "http://127.0.0.1:24255/" + hexB + "?s=1&h=blake3:" + hexA},
		{4096, "a b", "lcdp://blake3/" + hexA + "/a%20b?s=4096&h=sha256:" + hexB, "http://127.0.0.1:24255/" + hexB + "/a%20b?s=4096&h=blake3:" + hexA},
		{4097, "\u00fc\xff?#/\n.iso", "lcdp://blake3/" + hexA + "/%C3%BC%EF%BF%BD%3F%23%2F%0A.iso?s=4097", "http://127.0.0.1:24255/blake3/" + hexA + "/%C3%BC%EF%BF%BD%3F%23%2F%0A.iso?s=4097"},
	}
	for _, c := range cases {
		sums.Size = c.size
		l := For(sums, c.name)
		if l.String() != c.text || l.Web() != c.web {
			t.Errorf("size %d:\n got %s\n     %s\nwant %s\n     %s", c.size, l.String(), l.Web(), c.text, c.web)
		}
		if got, err := Parse(l.String()); err != nil || !got.Equal(l) {
			t.Errorf("size %d: Parse(String()) = %+v, %v", c.size, got, err)
		}
		if got, err := Parse(l.Web()); err != nil || got.Size != l.Size || got.Name != l.Name {
			t.Errorf("size %d: Parse(Web()) = %+v, %v", c.size, got, err)
		}
	}
	for _, c := range []struct {
		size int64 // of the manifest
		name string
		path string
		text string
	}{
		{9000, "isos", "", "folder/" + hexA + "?n=isos&s=7"},
		{300, "a/b", "", "folder/" + hexA + "?n=a%2Fb&s=7&h=sha256:" + hexB},
		{9000, "", "sub/a b", "folder/" + hexA + "/sub/a%20b?s=7"},
	} {
		sums.Size = c.size
		l := ForFolder(sums, c.name, 7)
		l.Path = c.path
		if l.String() != "lcdp://"+c.text || l.Web() != "http://127.0.0.1:24255/"+c.text {
			t.Errorf("got %s and %s, want %s", l.String(), l.Web(), c.text)
		}
		if got, err := Parse(l.String()); err != nil || !got.Equal(l) {
			t.Errorf("Parse(String()) = %+v, %v", got, err)
		}
	}
	const all = "lcdp://sha256/" + hexA + "/x?s=9000&h=blake3:" + hexB + "&p=1.2.3.4:5&p=%5B::1%5D:6&k=" + hexB + "&so=0,2-3&w=https://h/%3Fq&seq=7"
	if l, err := Parse(all); err != nil || l.String() != all {
		t.Errorf("got %s, %v\nwant %s", l, err, all)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		hexA, "lcdp://blake3/" + hexA + "/a%20b.iso?s=5&p=1.2.3.4:5", "http://h/b3/" + hexA + "?h=sha256:" + hexB + "&n=x",
		"lcdp://folder/" + hexA + "/sub/e%CC%81?n=x&s=3&so=0,2", "FOLDER/" + hexA + "/%2e./x", "0x" + hexA + "/n", "blake3_tree_v2/" + hexA + "?p=[fe80::1%25x]:1&w=https://a/b&so=1-2&seq=3&k=" + hexB,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse(text)
		if err != nil {
			if s := err.Error(); strings.ContainsAny(s, "\n\r\x00\x1b") || !strings.HasPrefix(s, "link: ") || len(s) > 400 {
				t.Fatalf("error %q", s)
			}
			return
		}
		if len(l.Peers) > MaxPeers {
			t.Fatalf("%d peers", len(l.Peers))
		}
		s := l.String()
		again, err := Parse(s)
		if err != nil || !again.Equal(l) || again.String() != s || len(again.Ignored) != 0 {
			t.Fatalf("%q\n -> %+v\n -> %q\n -> %+v, %v", text, l, s, again, err)
		}
		for i := range len(s) {
			if s[i] <= ' ' || s[i] >= 0x7f {
				t.Fatalf("prints %q", s)
			}
		}
		if w, err := Parse(l.Web()); err != nil || w.Name != l.Name || w.Size != l.Size {
			t.Fatalf("%q -> %+v, %v", l.Web(), w, err)
		}
	})
}
