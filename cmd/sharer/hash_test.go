package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sharer/chunk"
)

func TestHash(t *testing.T) {
	c := newConsole(t)
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("d/e", 0o777); err != nil {
		t.Fatal(err)
	}
	writeFile(t, "a", "hello")
	writeFile(t, "d/e/empty", "")
	writeFile(t, "d/two\nlines", "x")
	if err := os.Symlink("a", "link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../a", "d/link"); err != nil {
		t.Fatal(err)
	}
	a, empty, two := sumOf(t, []byte("hello")), sumOf(t, nil), sumOf(t, []byte("x"))
	both := func(prefix string, s chunk.Sums, path string) string {
		return prefix + "blake3/" + s.BLAKE3.String() + "  " + path + "\n" + prefix + s.SHA256.String() + "  " + path + "\n"
	}
	c.run(t.Context(), "hash", "a", "d", "link").want(t, exitDone, both("", a, "a")+both("", empty, filepath.Join("d", "e", "empty"))+both(`\`, two, `d/two\nlines`)+both("", a, "link"), "")
	c.run(t.Context(), "hash", "--sha256", "a").want(t, exitDone, a.SHA256.String()+"  a\n", "")
	c.run(t.Context(), "hash", "--blake3", "a").want(t, exitDone, a.BLAKE3.String()+"  a\n", "")
	r := c.run(t.Context(), "hash", "--json", "--progress", "none", "a")
	want := `{"v":1,"type":"file","path":"a","size":5,"blake3":"` + a.BLAKE3.String() + `","sha256":"` + a.SHA256.String() + `"}` + "\n" +
		`{"v":1,"type":"summary","files":1,"failed":0,"bytes":5,"seconds":0,"verified":true,"code":"done","exit":0}` + "\n"
	r.out = timeless(r.out)
	r.want(t, exitDone, want, "")

	r = c.run(t.Context(), "hash", "a", "gone")
	r.want(t, exitSome, both("", a, "a"), "gone: no such file", "1 of 2 files failed")
	r = c.run(t.Context(), "hash", "gone")
	r.want(t, exitFailed, "", "gone: no such file")
	if strings.Count(r.err, "gone") != 1 {
		t.Errorf("named twice: %q", r.err)
	}
}

func TestHashCheck(t *testing.T) {
	c := newConsole(t)
	t.Chdir(t.TempDir())
	writeFile(t, "a", "hello")
	writeFile(t, "two\nlines", "x")
	a, two := sumOf(t, []byte("hello")), sumOf(t, []byte("x"))

	// What hash prints, its own --check takes.
	c.stdin = c.run(t.Context(), "hash", "a", "two\nlines").out
	ok := "a: OK\n"
	c.run(t.Context(), "hash", "--check", "-").want(t, exitDone, ok+ok+"two\\nlines: OK\ntwo\\nlines: OK\n", "")
	c.stdin = c.run(t.Context(), "hash", "--blake3", "a").out + c.run(t.Context(), "hash", "--sha256", "a").out
	c.run(t.Context(), "hash", "--check", "-").want(t, exitDone, ok+ok, "")
	c.run(t.Context(), "hash", "-q", "--check", "-").want(t, exitDone, "", "")

	for _, tc := range []struct {
		list string
		code exit
		want string // stdout, or part of the error
	}{
		{"SHA256 (a) = " + a.SHA256.String(), exitDone, ok},
		{"BLAKE3 (a) = " + a.BLAKE3.String() + "\r\n\n# remark\n", exitDone, ok},
		{strings.ToUpper(a.SHA256.String()) + " *a", exitDone, ok},
		{"b3/" + a.BLAKE3.String() + "  a", exitDone, ok},
		{"sha256/" + a.SHA256.String() + "  a", exitDone, ok},
		{"sha256/" + a.BLAKE3.String() + "  a", exitIntegrity, "a: FAILED (differs)\n"},
		{"blake3/" + a.SHA256.String() + "  a", exitIntegrity, "a: FAILED (differs)\n"},
		{"BLAKE3 (a) = " + a.SHA256.String(), exitIntegrity, "a: FAILED (differs)\n"},
		{two.SHA256.String() + "  a\n" + a.SHA256.String() + "  gone", exitIntegrity, "a: FAILED (differs)\ngone: FAILED (no such file or directory)\n"},
		{a.SHA256.String() + "  a\n" + a.SHA256.String() + "  gone", exitSome, "a: OK\ngone: FAILED (no such file or directory)\n"},
		{a.SHA256.String() + "  gone", exitFailed, "gone: FAILED (no such file or directory)\n"},
		{"", exitUsage, "holds no line"},
		{"rubbish", exitUsage, "line 1: want an id, two spaces and a path"},
		{"\nabc  a", exitUsage, `line 2: "abc" is not an id`},
		{a.SHA256.String() + " a", exitUsage, "two spaces"},
		{a.SHA256.String() + "  ", exitUsage, "two spaces"},
		{`\` + a.SHA256.String() + `  a\x`, exitUsage, `unknown escape \x`},
		{`\` + a.SHA256.String() + `  a\`, exitUsage, "ends in a backslash"},
		{"SHA256 (a) = 12", exitUsage, "64 hex digits"},
		{"SHA256 (a)", exitUsage, ") = HEX"},
	} {
		writeFile(t, "list", tc.list)
		r := c.run(t.Context(), "hash", "--check", "list")
		if tc.code == exitUsage {
			r.want(t, tc.code, "", tc.want)
		} else {
			r.want(t, tc.code, tc.want, "")
		}
	}
	c.run(t.Context(), "hash", "--check", "gone").want(t, exitFailed, "", "gone: no such file")
}

func FuzzCheckLine(f *testing.F) {
	f.Add(checkLine(someHex, "a b"))
	f.Add(checkLine("blake3/"+someHex, "a\\\n\r"))
	f.Add("SHA256 (a) = " + someHex)
	f.Fuzz(func(t *testing.T, line string) {
		l, err := parseCheckLine(line)
		if err != nil {
			return
		}
		again, err := parseCheckLine(checkLine(l.id.String(), l.path))
		if err != nil || again.path != l.path || again.id != l.id {
			t.Fatalf("%q: %+v, then %+v, %v", line, l, again, err)
		}
	})
}
