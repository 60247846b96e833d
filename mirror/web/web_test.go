package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/identity"
	"sharer/mirror"
)

// library has a folder that does not change.
type library struct {
	pages    map[chunk.Hash][]byte
	contents map[chunk.Hash]string
}

func (l library) Page(_ context.Context, blake3, _ chunk.Hash) ([]byte, error) {
	if data, ok := l.pages[blake3]; ok {
		return data, nil
	}
	return nil, errors.New("nobody has it")
}

func (l library) Contents(_ context.Context, o mirror.Order, done func(folder.File, error)) error {
	for _, f := range o.Files {
		done(f, os.WriteFile(filepath.Join(o.Dir, f.Path), []byte(l.contents[f.BLAKE3]), 0o600))
	}
	return nil
}

func (l library) Offer([]mirror.Kept) error { return nil }
func (l library) Withdraw([]string) error   { return nil }
func (l library) Resolve(context.Context, identity.PublicKey, string) (identity.Record, error) {
	return identity.Record{}, errors.New("nobody knows it")
}

// serve mirrors texts, and serves them.
func serve(t *testing.T, texts map[string]string, deny Deny) *httptest.Server {
	t.Helper()
	l := library{map[chunk.Hash][]byte{}, map[chunk.Hash]string{}}
	var files []folder.File
	for path, text := range texts {
		sums, err := chunk.Sum(t.Context(), strings.NewReader(text), int64(len(text)), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		l.contents[sums.BLAKE3] = text
		files = append(files, folder.File{Path: path, Size: sums.Size, BLAKE3: sums.BLAKE3, SHA256: sums.SHA256, Mtime: 1700000000})
	}
	f, err := folder.New("x", files)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := f.Pages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.pages[pages[0].Sums.BLAKE3] = pages[0].Data
	dir := t.TempDir()
	blobs, err := mirror.OpenBlobs(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	set, _, err := mirror.OpenSet(mirror.Config{
		Dir: filepath.Join(dir, "mirrors"), Blobs: blobs, Fetcher: l, Names: l, Shelf: l,
		Disk: func(string) (mirror.Disk, error) { return mirror.Disk{Free: 1 << 40, Total: 1 << 40, Inodes: -1}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	rules := mirror.DefaultRules()
	rules.MaxFile = 100
	if err := set.Add(mirror.Spec{Name: "m", ID: pages[0].Sums.BLAKE3, Dir: filepath.Join(dir, "tree"), Rules: rules}); err != nil {
		t.Fatal(err)
	}
	m, err := set.Find("m")
	if err == nil {
		_, err = m.Sync(t.Context(), false)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(Handler{Set: set, Deny: deny})
	t.Cleanup(s.Close)
	return s
}

// get returns status, body and headers; no redirect is followed.
func get(t *testing.T, url string, headers ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func TestTree(t *testing.T) {
	denied := chunk.RootOfBlock([]byte("denied"))
	legal := chunk.RootOfBlock([]byte("legally denied"))
	s := serve(t, map[string]string{
		"a.txt": "hello", "pool/b c.deb": "a package", "pool/deep/x": "x", "page.html": "<script>alert(1)</script>", "no": "denied", "law": "legally denied", "long": strings.Repeat("l", 200),
	}, func(ids ...chunk.ID) (bool, string, bool) {
		return ids[0].Hash == legal, "reason", ids[0].Hash == denied || ids[0].Hash == legal
	})
	sum := chunk.RootOfBlock([]byte("hello")).String()
	cases := []struct {
		path   string
		status int
		body   string
	}{
		{"/mirror/m/a.txt", 200, "hello"}, {"/mirror/m/./pool/././deep/x", 200, "x"}, {"/mirror/m/pool/b%20c.deb", 200, "a package"}, {"/mirror/m/no", 410, "not carried here: reason\n"}, {"/mirror/m/law", 451, "not carried here: reason\n"},
		{"/mirror/m/" + strings.Repeat("./", 200_000) + "a.txt", 200, "hello"}, {"/mirror/m/.", 404, "404 page not found\n"},
		{"/mirror/m", 301, ""}, {"/mirror/m/pool", 301, ""}, {"/mirror/other/", 404, "404 page not found\n"}, {"/mirror/m/nothing", 404, "404 page not found\n"},
		{"/mirror/m/../../../etc/passwd", 404, "404 page not found\n"}, {"/mirror/m/%2e%2e/%2e%2e/etc/passwd", 404, "404 page not found\n"}, {"/mirror/m//etc/passwd", 404, "404 page not found\n"},
		{"/mirror/m/long", 404, "this mirror carries a part of the folder, and this file is not in it\n"}, {"/elsewhere", 404, "404 page not found\n"},
	}
	for _, c := range cases {
		if status, body, _ := get(t, s.URL+c.path); status != c.status || body != c.body {
			t.Errorf("%s: %d %q, want %d %q", c.path, status, body, c.status, c.body)
		}
	}
	_, _, h := get(t, s.URL+"/mirror/m/a.txt")
	if h.Get("ETag") != `"`+sum+`"` || h.Get("Last-Modified") != time.Unix(1700000000, 0).UTC().Format(http.TimeFormat) {
		t.Errorf("headers %v", h)
	}
	if status, body, _ := get(t, s.URL+"/mirror/m/a.txt", "Range", "bytes=2-"); status != 206 || body != "llo" {
		t.Errorf("a range: %d %q", status, body)
	}
	if status, _, _ := get(t, s.URL+"/mirror/m/a.txt", "If-None-Match", `"`+sum+`"`); status != 304 {
		t.Errorf("what is there already: %d", status)
	}
	if _, _, h := get(t, s.URL+"/mirror/m/page.html"); !strings.HasPrefix(h.Get("Content-Security-Policy"), "sandbox;") || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a stranger's page: %v", h)
	}
	if _, body, _ := get(t, s.URL+"/mirror/m/B3SUMS"); !strings.Contains(body, sum+"  a.txt\n") || strings.Contains(body, "long") {
		t.Errorf("B3SUMS: %s", body)
	}
	if _, body, _ := get(t, s.URL+"/mirror/m/"); !strings.Contains(body, `href="./pool/"`) || strings.Count(body, "pool") != 2 {
		t.Errorf("a listing: %s", body)
	}
	if _, body, _ := get(t, s.URL+"/mirror/m/pool/"); !strings.Contains(body, `href="./b%20c.deb"`) || !strings.Contains(body, `href="../"`) {
		t.Errorf("a listing: %s", body)
	}
	_, body, _ := get(t, s.URL+"/mirror.json")
	var status mirror.Status
	if err := json.Unmarshal([]byte(body), &status); err != nil || len(status.Mirrors) != 1 || status.Mirrors[0].Files != 6 || strings.Contains(body, t.TempDir()) {
		t.Errorf("%s: %v", body, err)
	}
	for _, path := range []string{"/mirror/http:elsewhere.example", "/mirror/m/pool"} {
		if _, _, h := get(t, s.URL+path); !strings.HasPrefix(h.Get("Location"), "./") {
			t.Errorf("%s leads to %q", path, h.Get("Location"))
		}
	}
	r, err := http.Post(s.URL+"/mirror/m/a.txt", "text/plain", nil)
	if err != nil || r.StatusCode != 405 {
		t.Errorf("a POST: %v %v", r, err)
	}
}

// TestDeniedFolder: of a folder that is denied as a whole nothing is served, not even its list.
func TestDeniedFolder(t *testing.T) {
	files := map[string]string{"a.txt": "hello"}
	var manifest chunk.Hash
	s := serve(t, files, func(ids ...chunk.ID) (bool, string, bool) { return true, "law", ids[0].Hash == manifest })
	_, body, _ := get(t, s.URL+"/mirror.json")
	var status mirror.Status
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		t.Fatal(err)
	}
	if err := manifest.UnmarshalText([]byte(strings.TrimPrefix(status.Mirrors[0].ID, "folder/"))); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "a.txt", "SHA256SUMS"} {
		if status, body, _ := get(t, s.URL+"/mirror/m/"+path); status != 451 || body != "not carried here: law\n" {
			t.Errorf("%q: %d %q", path, status, body)
		}
	}
}

// TestSums: a name with a backslash is written as sha256sum and b3sum read it; what is denied is not listed.
func TestSums(t *testing.T) {
	denied := chunk.RootOfBlock([]byte("denied"))
	s := serve(t, map[string]string{`b\c`: "hello", "no": "denied"}, func(ids ...chunk.ID) (legal bool, reason string, is bool) {
		return false, "", ids[0].Hash == denied
	})
	if _, body, _ := get(t, s.URL+"/mirror/m/"); !strings.Contains(body, "c</a>") || strings.Contains(body, "no</a>") {
		t.Errorf("the listing: %q", body)
	}
	want := `\` + chunk.RootOfBlock([]byte("hello")).String() + `  b\\c` + "\n"
	if _, body, _ := get(t, s.URL+"/mirror/m/B3SUMS"); body != want {
		t.Errorf("%q, want %q", body, want)
	}
}
