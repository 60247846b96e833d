package folder

import (
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

func TestCheckPath(t *testing.T) {
	for p, want := range map[string]string{
		"a":                             "",
		"a/b.txt":                       "",
		".hidden/x":                     "",
		"..a/...":                       "",
		`back\slash`:                    "",
		"con/aux":                       "",
		"\u05e9\u200e":                  "",
		"\U0001F469\u200d\U0001F52C":    "",
		strings.Repeat("a", 255):        "",
		strings.Repeat("a/", 127) + "a": "",
		"":                              "is empty",
		"/":                             "is absolute",
		"/a":                            "is absolute",
		"a/":                            "has an empty part",
		"a//b":                          "has an empty part",
		".":                             "has the part .",
		"..":                            "has the part ..",
		"a/./b":                         "has the part .",
		"a/..":                          "has the part ..",
		"\xff":                          "is not UTF-8",
		"\xed\xa0\x80":                  "is not UTF-8",
		"a\nb":                          "holds the control character U+000A",
		"a\x7f":                         "holds the control character U+007F",
		"a\u0085":                       "holds the control character U+0085",
		"a\u202egpj.exe":                "holds the control character U+202E",
		"a\u2028":                       "holds the control character U+2028",
		strings.Repeat("a", 256):        "has a part of 256 bytes, at most 255",
		strings.Repeat("a/", 128) + "a": "is deeper than 128",
		strings.Repeat("a", 4096):       "has 4096 bytes, at most 4095",
		".sharer-part":                  "begins with a name that is kept for downloads",
		".Sharer-PART/x":                "begins with a name that is kept for downloads",
		"x/.sharer-part":                "",
	} {
		got := ""
		if err := CheckPath(p); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("CheckPath(%.40q) = %q, want %q", p, got, want)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		paths            string // one a space
		folding, windows string // those that are refused
	}{
		{"a b c/d", "", ""},
		{"A a", "a", "a"},
		{"A/x a/y", "a/y", "a/y"},
		{"A/x A/X", "A/x", "A/x"}, // in order of bytes X comes first
		{"A a/b", "a/b", "a/b"},
		{"e\u0301 \u00e9", "\u00e9", "\u00e9"},
		{"\u1e9e ss", "\u1e9e", "\u1e9e"},
		{"\u212a k", "\u212a", "\u212a"},
		{"con a/NUL.txt b/com1 lpt\u00b9 console", "", "con a/NUL.txt b/com1 lpt\u00b9"},
		{"a: b? c\\d x<y p|q", "", "a: b? c\\d x<y p|q"},
		{"a. b/c./d .e ..f", "", "a. b/c./d"},
	} {
		var files []File
		for p := range strings.SplitSeq(c.paths, " ") {
			files = append(files, of(p, "x"))
		}
		f := must(t, "", files...)
		for target, want := range map[Target]string{Bytes: "", Folding: c.folding, Windows: c.windows} {
			refused := map[string]bool{}
			target.Check(f.Files, func(i int, err error) {
				if err == nil {
					t.Error("no reason")
				}
				refused[f.Files[i].Path] = true
			})
			for p := range strings.SplitSeq(want, " ") {
				if p != "" && !refused[p] {
					t.Errorf("%q on %d: %q is taken", c.paths, target, p)
				}
				delete(refused, p)
			}
			if len(refused) > 0 {
				t.Errorf("%q on %d: also refuses %v", c.paths, target, refused)
			}
		}
	}
	// A path that ends in a space is refused on Windows only.
	for target, want := range map[Target]int{Bytes: 0, Folding: 0, Windows: 1} {
		n := 0
		target.Check([]File{of("a /b", "x")}, func(int, error) { n++ })
		if n != want {
			t.Errorf("target %d refuses %d", target, n)
		}
	}
	if TargetOf("windows") != Windows || TargetOf("darwin") != Folding || TargetOf("linux") != Bytes {
		t.Error("TargetOf")
	}
}

func FuzzCheckPath(f *testing.F) {
	for _, p := range []string{"a/b", "../x", "/x", "a//b", "a\x00", ".sharer-part/x", "\u202e", strings.Repeat("a/", 200), "e\u0301/.x", `C:\x`, "CON"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if CheckPath(p) != nil {
			return
		}
		if !filepath.IsLocal(filepath.FromSlash(p)) && filepath.Separator == '/' || path.Clean(p) != p || strings.ContainsFunc(p, unicode.IsControl) {
			t.Fatalf("%q passed", p)
		}
		// What Windows takes holds none of its reserved characters, nor a drive.
		refused := false
		Windows.Check([]File{{Path: p}}, func(int, error) { refused = true })
		if !refused && (strings.ContainsAny(p, `\:*?"<>|`) || strings.HasSuffix(p, ".") || strings.HasSuffix(p, " ")) {
			t.Fatalf("%q passed for Windows", p)
		}
		// Names are refused beside their other case or form, and never beside themselves.
		both := []File{{Path: p}, {Path: strings.ToUpper(p)}}
		n := 0
		Folding.Check(both, func(int, error) { n++ })
		if p == both[1].Path && n != 0 {
			t.Fatalf("%q is refused beside itself", p)
		}
	})
}

func TestSelection(t *testing.T) {
	f := must(t, "", of(".git/config", "x"), of("README", "x"), of("docs/a.md", "x"), of("docs/img/a.png", "x"), of("docs/.x", "x"),
		of("src/testdata/b.png", "x"), of("src/a.go", "x"), of("src/u\u0308/c", "x"), of("docs2/z", "x"))
	for _, c := range []struct {
		s    Selection
		want string
	}{
		{Selection{}, "README docs/a.md docs/img/a.png docs2/z src/a.go src/testdata/b.png src/u\u0308/c"},
		{Selection{Hidden: true, Exclude: []string{"src", "docs*"}}, ".git/config README"},
		{Selection{Include: []string{"*.png"}}, "docs/img/a.png src/testdata/b.png"},
		{Selection{Include: []string{"*.png"}, Exclude: []string{"testdata"}}, "docs/img/a.png"},
		{Selection{Include: []string{"docs"}}, "docs/a.md docs/img/a.png"},
		{Selection{Include: []string{"docs/"}}, "docs/a.md docs/img/a.png"},
		{Selection{Include: []string{"docs/*"}}, "docs/a.md docs/img/a.png"},
		{Selection{Include: []string{"docs/*.md"}}, "docs/a.md"},
		{Selection{Include: []string{"img/*"}}, ""},
		{Selection{Include: []string{"**/img/*", "/README", "/a.go"}}, "README docs/img/a.png"},
		{Selection{Include: []string{"src/**/c"}}, "src/u\u0308/c"},
		{Selection{Include: []string{"src/**/a.go"}}, "src/a.go"},
		{Selection{Include: []string{"**"}, Exclude: []string{"**/*.*"}}, "README docs2/z src/u\u0308/c"},
		{Selection{Under: "docs"}, "a.md img/a.png"},
		{Selection{Under: "docs/img"}, "a.png"},
		{Selection{Under: "/docs/img/"}, "a.png"},
		{Selection{Under: ".git"}, "config"},
		{Selection{Under: ".git/config"}, "config"},
		{Selection{Under: "src/\u00fc"}, "c"},
		{Selection{Under: "src/\u00fc/c"}, "c"},
		{Selection{Under: "docs", Include: []string{"docs/*.md"}}, "a.md"},
		{Selection{Places: "1,3-4"}, "README docs/a.md docs/img/a.png"},
	} {
		files, alone, err := c.s.Files(f)
		var got []string
		for _, file := range files {
			got = append(got, file.Path)
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %q, %v; want %q", c.s, got, err, c.want)
		}
		if want := strings.HasSuffix(c.s.Under, "config") || strings.HasSuffix(c.s.Under, "/c"); alone != want {
			t.Errorf("%+v: alone %v", c.s, alone)
		}
	}
	for _, s := range []Selection{{Under: "doc"}, {Under: "docs/a.md/x"}, {Include: []string{"["}}, {Exclude: []string{""}}, {Include: []string{"/"}}, {Places: "3-1"}, {Places: "x"}} {
		if files, _, err := s.Files(f); err == nil {
			t.Errorf("%+v: %v", s, files)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	pages := pagesOf(b, many(b, 10_000, nil))
	n := 0
	for _, p := range pages {
		n += len(p.Data)
	}
	b.SetBytes(int64(n))
	for b.Loop() {
		if _, err := Read(b.Context(), pages[0].Sums.BLAKE3, store(pages)); err != nil {
			b.Fatal(err)
		}
	}
}
