package folder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"sharer/chunk"
)

var update = flag.Bool("update", false, "write the golden files anew")

// of is a file with some content of its own.
func of(path, content string) File {
	return File{Path: path, Size: int64(len(content)), BLAKE3: chunk.RootOfBlock([]byte(content)), SHA256: sha256.Sum256([]byte(content))}
}

func must(t testing.TB, name string, files ...File) Folder {
	t.Helper()
	f, err := New(name, files)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func pagesOf(t testing.TB, f Folder) []Page {
	t.Helper()
	pages, err := f.Pages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// store answers for pages by their ids.
func store(pages []Page) func(context.Context, chunk.Hash) ([]byte, error) {
	return func(_ context.Context, h chunk.Hash) ([]byte, error) {
		for _, p := range pages {
			if p.Sums.BLAKE3 == h {
				return p.Data, nil
			}
		}
		return nil, errors.New("nobody has it")
	}
}

// readText reads a folder of one page.
func readText(data string) (Folder, error) {
	p, err := newPage(context.Background(), []byte(data))
	if err != nil {
		return Folder{}, err
	}
	return Read(context.Background(), p.Sums.BLAKE3, store([]Page{p}))
}

// The vector for other programs: these files, in this order, are these bytes.
func TestGolden(t *testing.T) {
	a := of("a.iso", "hello")
	a.Mtime, a.Executable = 1738000000, true
	bare := of("sub/b \"q\" \\ \u00fc\U0001F980.txt", "")
	bare.SHA256 = chunk.Hash{}
	f := must(t, "isos", of("sub/.hidden", "x"), bare, a, of("sub-way", "y"))
	pages := pagesOf(t, f)
	if len(pages) != 1 {
		t.Fatalf("%d pages", len(pages))
	}
	path := filepath.Join("testdata", "isos.json")
	if *update {
		if err := os.WriteFile(path, pages[0].Data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pages[0].Data, want) {
		t.Errorf("got  %s\nwant %s", pages[0].Data, want)
	}
	const id = "blake3/1d7cfafe4a3f76c52fccdb61da660eb745db47c212413a0a9f6abff7e59a6c3d"
	if got := (chunk.ID{Kind: chunk.BLAKE3, Hash: pages[0].Sums.BLAKE3}).String(); got != id {
		t.Errorf("id %s, want %s", got, id)
	}
	again, err := Read(t.Context(), pages[0].Sums.BLAKE3, store(pages))
	if err != nil || fmt.Sprint(again) != fmt.Sprint(f) {
		t.Errorf("read %v, %v", again, err)
	}
}

// TestCanonical: the pages are what a canonicaliser of RFC 8785 makes of them.
func TestCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := draw(t)
		pages, err := f.Pages(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pages {
			v := jsontext.Value(bytes.Clone(p.Data))
			if err := v.Canonicalize(); err != nil || !bytes.Equal(v, p.Data) {
				t.Fatalf("%s\ncanonical: %s, %v", p.Data, v, err)
			}
		}
		got, err := Read(context.Background(), pages[0].Sums.BLAKE3, store(pages))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(f) {
			t.Fatalf("%v\nread %v, %v", f, got, err)
		}
	})
}

// draw makes a folder that New takes.
func draw(t *rapid.T) Folder {
	part := rapid.StringMatching(`[a-c.\- é"\\]{1,3}`).Filter(func(s string) bool { return s != "." && s != ".." })
	paths := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 1, 3).Draw(t, "parts"), "/")
	}), 0, 12, rapid.ID).Draw(t, "paths")
	var files []File
	for _, p := range paths {
		clash := false
		for _, other := range paths {
			clash = clash || strings.HasPrefix(other, p+"/")
		}
		if clash {
			continue
		}
		file := of(p, strings.Repeat("x", rapid.IntRange(0, 3).Draw(t, "size")))
		file.Mtime = rapid.Int64Range(0, MaxMtime).Draw(t, "mtime")
		file.Executable = rapid.Bool().Draw(t, "executable")
		file.Hidden = rapid.Bool().Draw(t, "hidden")
		files = append(files, file)
	}
	f, err := New(rapid.SampledFrom([]string{"", "isos", "ü \"\\"}).Draw(t, "name"), files)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// many is a folder of n files.
func many(t testing.TB, n int, skip func(i int) bool) Folder {
	files := make([]File, 0, n)
	for i := range n {
		if skip == nil || !skip(i) {
			files = append(files, of(fmt.Sprintf("folder %03d/file %05d.txt", i/100, i), fmt.Sprint(i)))
		}
	}
	return must(t, "many", files...)
}

func TestSplit(t *testing.T) {
	f := many(t, 20_000, nil)
	pages := pagesOf(t, f)
	total := 0
	for _, p := range pages {
		if len(p.Data) > MaxPage {
			t.Errorf("a page of %d bytes", len(p.Data))
		}
		total += len(p.Data)
	}
	if least, most := total/MaxPage, total/leastPage+2; len(pages) <= least || len(pages) > most {
		t.Errorf("%d bytes in %d pages", total, len(pages))
	}
	got, err := Read(t.Context(), pages[0].Sums.BLAKE3, store(pages))
	if err != nil || got.Name != f.Name || len(got.Files) != len(f.Files) {
		t.Fatalf("read %d files, %v", len(got.Files), err)
	}
	for i := range f.Files {
		if got.Files[i] != f.Files[i] {
			t.Fatalf("read %v, want %v", got.Files[i], f.Files[i])
		}
	}
	if again := pagesOf(t, f); fmt.Sprint(ids(again)) != fmt.Sprint(ids(pages)) {
		t.Error("the same folder has other pages")
	}

	// One file less near the beginning: its page changes, and hardly any other.
	less := ids(pagesOf(t, many(t, 20_000, func(i int) bool { return i == 50 })))
	same := 0
	for h := range ids(pages) {
		if less[h] {
			same++
		}
	}
	if same < len(pages)-4 {
		t.Errorf("of %d pages only %d are the same without one file", len(pages), same)
	}

	// A page that is not there is an error, and so is another in its place.
	if _, err := Read(t.Context(), pages[0].Sums.BLAKE3, store(pages[:2])); err == nil {
		t.Error("read without all pages")
	}
	lying := func(context.Context, chunk.Hash) ([]byte, error) { return pages[1].Data, nil }
	if _, err := Read(t.Context(), pages[0].Sums.BLAKE3, lying); err == nil || errors.Is(err, ErrFormat) {
		t.Errorf("another content was taken for the page: %v", err)
	}
}

func ids(pages []Page) map[chunk.Hash]bool {
	m := map[chunk.Hash]bool{}
	for _, p := range pages {
		m[p.Sums.BLAKE3] = true
	}
	return m
}

// A folder that just fits one page has one, and a byte more makes two.
func TestSplitAtTheLimit(t *testing.T) {
	var f Folder
	for n := 0; ; n++ {
		entry := appendFile(nil, of(fmt.Sprintf("%08d", n), "x"))
		if len(pageBegin)+(n+1)*(len(entry)+1)-1+len(pageEnd) > MaxPage {
			break
		}
		f.Files = append(f.Files, of(fmt.Sprintf("%08d", n), "x"))
	}
	pages := pagesOf(t, f)
	if len(pages) != 1 {
		t.Fatalf("%d pages", len(pages))
	}
	pad := MaxPage - len(pages[0].Data)
	last := &f.Files[len(f.Files)-1]
	last.Path += strings.Repeat("p", pad)
	if pages = pagesOf(t, f); len(pages) != 1 || len(pages[0].Data) != MaxPage {
		t.Fatalf("%d pages, the first of %d bytes", len(pages), len(pages[0].Data))
	}
	last.Path += "p"
	if pages = pagesOf(t, f); len(pages) < 3 {
		t.Fatalf("%d pages", len(pages))
	}
	if _, err := Read(t.Context(), pages[0].Sums.BLAKE3, store(pages)); err != nil {
		t.Error(err)
	}
}

const hexX = "4c7ed2a04a9eb6a4ebe8d27d7df18a2a06af9a2e4e0e4d0d7b1ec0a6c8f2e3d1"

func TestReadErrors(t *testing.T) {
	file := func(members string) string { return `{"folder":1,"files":[{"blake3":"` + hexX + `",` + members + `}]}` }
	list := func(paths ...string) string {
		s := `{"folder":1,"files":[`
		for i, p := range paths {
			if i > 0 {
				s += ","
			}
			s += `{"size":1,"blake3":"` + hexX + `","path":"` + p + `"}`
		}
		return s + "]}"
	}
	cases := []struct{ text, want string }{
		{``, "bad JSON"},
		{`{"folder":1`, "bad JSON"},
		{`[]`, "it is not an object"},
		{`{"folder":1}{}`, "something follows the page"},
		{`{"files":[]}`, `it does not say "folder":1`},
		{`{"folder":"1"}`, "byte 10: a value of the wrong kind"},
		{`{"folder":0}`, `it does not say "folder":1`},
		{`{"folder":1,"folder":1}`, "byte 12: bad JSON"},
		{`{"folder":2,"files":5}`, "format 2, this is made by a newer version"},
		{`{"folder":1,"files":5}`, "files and more are lists"},
		{`{"folder":1,"more":{}}`, "files and more are lists"},
		{`{"folder":1,"files":[5]}`, "a value of the wrong kind"},
		{`{"folder":1,"files":[{}]}`, `size of "" is missing`},
		{`{"folder":1,"name":"a/b"}`, `name "a/b" holds a slash`},
		{`{"folder":1,"name":".."}`, `name "..": has the part ..`},
		{"{\"folder\":1,\"name\":\"a\xff\"}", "bad JSON"},
		{`{"folder":1,"more":["` + hexX + `","` + hexX + `"]}`, "a further page is there twice"},
		{`{"folder":1,"more":["x"]}`, "a further page is not a hash"},
		{file(`"size":1,"path":""`), `path "": is empty`},
		{file(`"size":1,"path":"/etc/passwd"`), `path "/etc/passwd": is absolute`},
		{file(`"size":1,"path":"a/../b"`), "has the part .."},
		{file(`"size":1,"path":"a//b"`), "has an empty part"},
		{file(`"size":1,"path":"a\u0000b"`), "holds the control character U+0000"},
		{file(`"size":1,"path":"a\u001b[2J"`), "holds the control character U+001B"},
		{file(`"size":1,"path":"` + strings.Repeat("a", 1000) + `"`), "has a part of 1000 bytes, at most 255"},
		{file(`"size":1,"path":"` + strings.Repeat("a/", 200) + `a"`), "is deeper than 128"},
		{file(`"size":-1,"path":"a"`), `size of "a" is -1`},
		{file(`"size":1.5,"path":"a"`), "a value of the wrong kind"},
		{file(`"size":9007199254740992,"path":"a"`), `size of "a" is 9007199254740992`},
		{file(`"size":1e400,"path":"a"`), "a value of the wrong kind"},
		{file(`"size":0,"path":"a"`), `size of "a" is false`},
		{file(`"size":1,"path":"a","sha256":"ab"`), `sha256 of "a" is not a hash`},
		{file(`"size":1,"path":"a","mtime":-1`), `mtime of "a" is -1`},
		{file(`"size":1,"path":"a","path":"b"`), "bad JSON"},
		{`{"folder":1,"files":[{"size":1,"path":"a"}]}`, `blake3 of "a" is not a hash`},
		{list("b", "a"), `path "a" is not in order`},
		{list("a", "a"), `path "a" is there twice`},
		{list("a", "a-b", "a/b"), `"a" is a file and a folder`},
		{list("a/b", "a/b-", "a/b/c/d"), `"a/b" is a file and a folder`},
		{`{"folder":1,"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}", "bad JSON"},
		{`{"folder":1,"files":[` + strings.Repeat("{},", MaxPage/3-100) + "{}]}", `size of "" is missing`},
		{`{"folder":1,"name":"` + strings.Repeat("n", MaxPage) + `"}`, "a page has more than 1048576 bytes"},
	}
	for _, c := range cases {
		_, err := readText(c.text)
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 700 {
			t.Errorf("%.100s\n got %v\nwant %s", c.text, err, c.want)
		}
		if later := strings.Contains(c.want, "newer"); later != errors.Is(err, ErrVersion) {
			t.Errorf("%.100s: %v", c.text, err)
		}
	}
	for _, text := range []string{
		`{"folder":1}`, `{"folder":1,"files":[]}`, ` {"new":[1,{"a":2}], "files" : [ ] ,"folder":1} `,
		list("a", "a-b", "b/c"), file(`"size":1,"path":"a","owner":{"x":1},"mtime":253402300799`),
	} {
		if _, err := readText(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Pages that name pages: a cycle cannot be made of hashes, but a reader that trusts what it is given would go round.
func TestPagesDoNotNest(t *testing.T) {
	leaf, err := newPage(t.Context(), []byte(`{"folder":1,"files":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	inner, err := newPage(t.Context(), closePage(openPage(), []chunk.Hash{leaf.Sums.BLAKE3}, ""))
	if err != nil {
		t.Fatal(err)
	}
	outer, err := newPage(t.Context(), closePage(openPage(), []chunk.Hash{inner.Sums.BLAKE3}, ""))
	if err != nil {
		t.Fatal(err)
	}
	fetched := 0
	_, err = Read(t.Context(), outer.Sums.BLAKE3, func(ctx context.Context, h chunk.Hash) ([]byte, error) {
		fetched++
		return store([]Page{leaf, inner, outer})(ctx, h)
	})
	if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "names further pages") || fetched != 2 {
		t.Errorf("%v after %d pages", err, fetched)
	}

	// Too many pages are refused before the first of them is fetched.
	var ids []chunk.Hash
	for i := range MaxPages {
		ids = append(ids, chunk.RootOfBlock([]byte{byte(i), byte(i >> 8)}))
	}
	wide, err := newPage(t.Context(), closePage(openPage(), ids, ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), wide.Sums.BLAKE3, store([]Page{wide})); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "more than 512 pages") {
		t.Error(err)
	}
}

// The limits over all pages, tried at their edges.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		before checker
		file   File
		want   string
	}{
		{checker{files: MaxFiles - 1, last: "a"}, of("b", "x"), ""},
		{checker{files: MaxFiles, last: "a"}, of("b", "x"), "more than 1000000 files"},
		{checker{dirs: MaxDirs - 2}, of("b/c/d", "x"), ""},
		{checker{dirs: MaxDirs - 1}, of("b/c/d", "x"), "more than 1000000 folders"},
		{checker{size: MaxSize - 1}, of("b", "x"), ""},
		{checker{size: MaxSize}, of("b", "x"), "more than 2^53-1 bytes"},
	} {
		err := c.before.file(c.file)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.before, err, c.want)
		}
	}
	var c checker
	for _, p := range []string{"a/b/c", "a/b/d", "a/bc/d", "b", "c/a/a/a"} {
		if err := c.file(of(p, "x")); err != nil {
			t.Fatal(err)
		}
	}
	if c.dirs != 6 { // a, a/b, a/bc, c, c/a, c/a/a
		t.Errorf("%d folders", c.dirs)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, files := range [][]File{
		{of("a", "x"), of("a", "y")}, {of("a", "x"), of("a/b", "x")}, {of("", "x")}, {{Path: "a", Size: 1}}, {of(Stage+"/x", "x")},
	} {
		if _, err := New("", files); !errors.Is(err, ErrFormat) {
			t.Errorf("%v: %v", files, err)
		}
	}
	if _, err := New("a/b", nil); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	page, err := os.ReadFile("testdata/isos.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page)
	f.Add([]byte(`{"folder":1,"files":[{"path":"../a","size":1,"blake3":"` + hexX + `"}]}`))
	f.Add([]byte(`{"folder":1,"more":["` + hex.EncodeToString(emptyBLAKE3[:]) + `"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		folder, err := readText(string(data))
		if err != nil {
			if s := err.Error(); strings.ContainsAny(s, "\n\r\x00\x1b") || !utf8.ValidString(s) || len(s) > 2000 {
				t.Fatalf("error %q", s)
			}
			return
		}
		for i, file := range folder.Files {
			if CheckPath(file.Path) != nil || !filepath.IsLocal(filepath.FromSlash(file.Path)) || i > 0 && folder.Files[i-1].Path >= file.Path {
				t.Fatalf("%q", file.Path)
			}
		}
		// What was read can be written, and read again.
		pages := pagesOf(t, folder)
		again, err := Read(t.Context(), pages[0].Sums.BLAKE3, store(pages))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(folder) {
			t.Fatalf("%v\n -> %v, %v", folder, again, err)
		}
	})
}
