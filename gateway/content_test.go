package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sharer/chunk"
	"sharer/folder"
)

func idOf(s chunk.Sums) string { return "blake3/" + s.BLAKE3.String() }

// W7: ranges as RFC 9110 has them, of every malformed kind too.
func TestRanges(t *testing.T) {
	g, s := newTest(t, nil)
	data := make([]byte, 1000)
	for i := range data {
		data[i] = byte(i % 251)
	}
	sums := s.put(t, data)
	etag := `"` + idOf(sums) + `"`
	whole := "0-999"
	for _, c := range []struct {
		header, ifRange string
		want            string // first-last; empty: 416
		status          int
	}{
		{"", "", whole, 200},
		{"bytes=0-0", "", "0-0", 206},
		{"bytes=0-", "", whole, 206},
		{"bytes=990-", "", "990-999", 206},
		{"bytes=990-5000", "", "990-999", 206},
		{"bytes=-10", "", "990-999", 206},
		{"bytes=-5000", "", whole, 206},
		{"BYTES=1-2", "", "1-2", 206},
		{"bytes= 1-2 ", "", "1-2", 206},
		{"bytes=0001-0002", "", "1-2", 206},
		{"bytes=5-99999999999999999999999999", "", "5-999", 206},
		{"bytes=-99999999999999999999999999", "", whole, 206},
		{"bytes=1000-", "", "", 416},
		{"bytes=99999999999999999999999999-", "", "", 416},
		{"bytes=-0", "", "", 416},
		{"bytes=5-2", "", whole, 200},
		{"bytes=-", "", whole, 200},
		{"bytes=", "", whole, 200},
		{"bytes", "", whole, 200},
		{"=1-2", "", whole, 200},
		{"items=0-1", "", whole, 200},
		{"bytes=a-b", "", whole, 200},
		{"bytes=0x1-2", "", whole, 200},
		{"bytes=+1-2", "", whole, 200},
		{"bytes=1--2", "", whole, 200},
		{"bytes=1-2-3", "", whole, 200},
		{"bytes=1.5-2", "", whole, 200},
		{"bytes=1-2,5-6", "", whole, 200},
		{"bytes=" + strings.Repeat("0-9,", 200) + "0-9", "", whole, 200},
		{"bytes=" + strings.Repeat("1-1,", 10_000) + "1-1", "", whole, 200},
		{"bytes=0-9", etag, "0-9", 206},
		{"bytes=0-9", `"another"`, whole, 200},
		{"bytes=0-9", "W/" + etag, whole, 200},
		{"bytes=0-9", "Wed, 21 Oct 2015 07:28:00 GMT", whole, 200},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			header := map[string]string{}
			if c.header != "" {
				header["Range"] = c.header
			}
			if c.ifRange != "" {
				header["If-Range"] = c.ifRange
			}
			w := asking{method: method, path: "/" + idOf(sums) + "/x.bin", header: header}.do(g)
			name := fmt.Sprintf("%s Range %.40q If-Range %q", method, c.header, c.ifRange)
			if w.Code != c.status {
				t.Errorf("%s: %d, want %d", name, w.Code, c.status)
				continue
			}
			if c.status == 416 {
				if got := w.Header().Get("Content-Range"); got != "bytes */1000" {
					t.Errorf("%s: Content-Range %q", name, got)
				}
				continue
			}
			var first, last int
			if _, err := fmt.Sscanf(c.want, "%d-%d", &first, &last); err != nil {
				t.Fatal(err)
			}
			if got := w.Header().Get("Content-Length"); got != fmt.Sprint(last-first+1) {
				t.Errorf("%s: Content-Length %q, want %d", name, got, last-first+1)
			}
			if got, want := w.Header().Get("Content-Range"), fmt.Sprintf("bytes %s/1000", c.want); c.status == 206 && got != want {
				t.Errorf("%s: Content-Range %q, want %q", name, got, want)
			}
			if method == http.MethodGet && !bytes.Equal(w.Body.Bytes(), data[first:last+1]) {
				t.Errorf("%s: %d bytes, other than those from %d to %d", name, w.Body.Len(), first, last)
			}
			if method == http.MethodHead && w.Body.Len() > 0 {
				t.Errorf("%s has a body", name)
			}
			if w.Header().Get("Accept-Ranges") != "bytes" || w.Header().Get("ETag") != etag {
				t.Errorf("%s: Accept-Ranges %q, ETag %q", name, w.Header().Get("Accept-Ranges"), w.Header().Get("ETag"))
			}
		}
	}
	if s.closed != s.asked() {
		t.Errorf("%d contents were opened, %d closed", s.asked(), s.closed)
	}
}

// Contents by every form of id, with and without a file name.
func TestPathsOfContents(t *testing.T) {
	g, s := newTest(t, nil)
	sums := s.put(t, []byte("hello, swarm\n"))
	b, a := sums.BLAKE3.String(), sums.SHA256.String()
	for _, path := range []string{
		"/" + a, "/" + strings.ToUpper(a), "/" + a + "/", "/" + a + "/x.txt", "/sha256/" + a, "/blake3/" + b, "/b3/" + b, "/blake3/" + b + "/a/b/c.txt",
		"/blake3/" + b + "/%E2%82%AC%20%0D%0A.txt", "/blake3/" + b + "?p=192.0.2.1:1&s=13", "/blake3/" + b + "?h=nonsense", "/" + a + "?h=blake3:" + b,
	} {
		w := asking{path: path}.do(g)
		if w.Code != 200 || w.Body.String() != "hello, swarm\n" {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
		if kind := w.Header().Get("Content-Type"); kind != "text/plain; charset=utf-8" {
			t.Errorf("%s: %s", path, kind)
		}
		if cache := w.Header().Get("Cache-Control"); !strings.Contains(cache, "immutable") {
			t.Errorf("%s: Cache-Control %q", path, cache)
		}
	}
	for path, want := range map[string]int{
		"/blake3/": 400, "/blake3/" + b[1:]: 400, "/blake3/" + b + "0": 400, "/blake3/" + strings.Repeat("g", 64): 400, "/" + a[1:]: 404, "/blake3/../" + b: 400,
		"/blake3/%2e%2e/" + b: 400, "/folder/" + b + "/%2e%2e/x": 400, "/latest/" + b: 400, "/latest/xyz/name": 400, "/latest/" + b + "/%00": 400, "/nothing": 404,
		"/blake3/" + strings.Repeat("٣", 32): 400, "/" + strings.Repeat("ab", 32) + ".html": 404, "/blake3/" + strings.Repeat("0", 64): 504,
	} {
		w := asking{path: path}.do(g)
		if w.Code != want || strings.Count(w.Body.String(), "\n") != 1 {
			t.Errorf("%s: %d %q, want %d and one line", path, w.Code, w.Body, want)
		}
	}
	for _, o := range s.opened {
		if len(o.Peers) > 1 || o.Held {
			t.Errorf("opened %+v", o)
		}
	}
	if w := (asking{path: "/" + strings.Repeat("0", 64)}).do(g); w.Header().Get("Retry-After") == "" {
		t.Error("504 without Retry-After")
	}
}

// A page may not aim the node at addresses of its choice; what the user pastes may name peers.
func TestHintsOfPagesAreIgnored(t *testing.T) {
	g, s := newTest(t, nil)
	sums := s.put(t, []byte("x"))
	path := "/" + idOf(sums) + "?p=192.0.2.1:7"
	asking{path: path}.do(g)
	g.grants.Allow("https://app.example", "")
	asking{path: path, header: map[string]string{"Origin": "https://app.example"}}.do(g)
	if n := len(s.opened); n != 2 || len(s.opened[0].Peers) != 1 || len(s.opened[1].Peers) != 0 {
		t.Errorf("opened: %+v", s.opened)
	}
}

// manifest makes a folder's pages and puts them on a shelf.
func manifest(t *testing.T, s *shelf, files map[string]string) chunk.Sums {
	t.Helper()
	var list []folder.File
	for path, text := range files {
		sums := s.put(t, []byte(text))
		list = append(list, folder.File{Path: path, Size: sums.Size, BLAKE3: sums.BLAKE3, SHA256: sums.SHA256})
	}
	f, err := folder.New("a <folder>", list)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := f.Pages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		s.put(t, p.Data)
	}
	return pages[0].Sums
}

func TestFolders(t *testing.T) {
	g, s := newTest(t, nil)
	sums := manifest(t, s, map[string]string{
		"a.txt": "A", "site/index.html": "<h1>site", "site/style.css": "h1{}", "deep/er/x.bin": "X", "<b>.txt": "B", "per%cent": "P",
	})
	base := "/folder/" + sums.BLAKE3.String()
	for path, want := range map[string]string{
		base + "/a.txt": "A", base + "/site/": "<h1>site", base + "/site/style.css": "h1{}", base + "/deep/er/x.bin": "X", base + "/%3Cb%3E.txt": "B", base + "/per%25cent": "P",
	} {
		if w := (asking{path: path}).do(g); w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: %d %q, want %q", path, w.Code, w.Body, want)
		}
	}
	for path, want := range map[string]string{base: base + "/", base + "/site": base + "/site/", base + "/deep/er?x=1": base + "/deep/er/?x=1"} {
		if w := (asking{path: path}).do(g); w.Code != 302 || w.Header().Get("Location") != want {
			t.Errorf("%s: %d to %q, want %q", path, w.Code, w.Header().Get("Location"), want)
		}
	}
	list := asking{path: base + "/"}.do(g)
	for _, want := range []string{"a &lt;folder&gt;", `href="./%3Cb%3E.txt"`, "&lt;b&gt;.txt", `href="./deep/"`, `href="./per%25cent"`} {
		if !strings.Contains(list.Body.String(), want) {
			t.Errorf("the listing lacks %s:\n%s", want, list.Body)
		}
	}
	if strings.Contains(list.Body.String(), "<b>") || list.Header().Get("Content-Security-Policy") != ownPolicy {
		t.Error("the listing lets names be markup")
	}
	for path, want := range map[string]int{base + "/none": 404, base + "/a.txt/": 200, "/folder/" + strings.Repeat("1", 64) + "/": 504} {
		if w := (asking{path: path}).do(g); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	other := s.put(t, []byte("no manifest"))
	if w := (asking{path: "/folder/" + other.BLAKE3.String() + "/"}).do(g); w.Code != 502 {
		t.Errorf("what is no manifest: %d", w.Code)
	}
}

// W14: a name can be anything, and stays a name.
func TestNamesBreakNoHeader(t *testing.T) {
	g, s := newTest(t, nil)
	sums := s.put(t, []byte("x"))
	for name, want := range map[string]string{
		"plain.bin":                 `inline; filename=plain.bin`,
		"two words.bin":             `inline; filename="two words.bin"`,
		"a\r\nSet-Cookie: x=1":      `inline; filename="a__Set-Cookie: x=1"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x%3D1`,
		`quote".bin`:                `inline; filename=quote_.bin; filename*=UTF-8''quote%22.bin`,
		"<script>alert(1)</script>": `inline; filename="script>"`,
		"ünïcode.bin":               `inline; filename=_n_code.bin; filename*=UTF-8''%C3%BCn%C3%AFcode.bin`,
		"..\\..\\x":                 `inline; filename=x`,
		"/etc/passwd":               `inline; filename=passwd`,
	} {
		if got := disposition(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
		escaped := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", `"`, "%22", " ", "%20", "<", "%3C", ">", "%3E", "/", "%2F", "\\", "%5C").Replace(name)
		w := asking{path: "/" + idOf(sums) + "/" + escaped}.do(g)
		if w.Code != 200 || len(w.Header()["Set-Cookie"]) > 0 || strings.ContainsAny(w.Header().Get("Content-Disposition"), "\r\n") {
			t.Errorf("%q: %d %v", name, w.Code, w.Header())
		}
	}
}

// What is refused is refused by every way to name it.
func TestDenied(t *testing.T) {
	var sums chunk.Sums
	g, s := newTest(t, func(c *Config) { c.Deny = denying{&sums} })
	m := manifest(t, s, map[string]string{"a": "A", "b": "bad"})
	sums = s.put(t, []byte("bad"))
	for path, want := range map[string]int{
		"/" + idOf(sums): 410, "/b3/" + sums.BLAKE3.String() + "/x.mp4": 410, "/" + sums.SHA256.String(): 451,
		"/folder/" + m.BLAKE3.String() + "/b": 410, "/folder/" + m.BLAKE3.String() + "/a": 200,
	} {
		if w := (asking{path: path}).do(g); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

// What is denied is in no listing, nor a folder that has nothing else.
func TestDeniedIsNotListed(t *testing.T) {
	var sums chunk.Sums
	g, s := newTest(t, func(c *Config) { c.Deny = denying{&sums} })
	m := manifest(t, s, map[string]string{"a": "A", "b": "bad", "deep/er/c": "bad"})
	sums = s.put(t, []byte("bad"))
	list := asking{path: "/folder/" + m.BLAKE3.String() + "/"}.do(g).Body.String()
	if !strings.Contains(list, `"./a"`) || strings.Contains(list, `"./b"`) || strings.Contains(list, "deep") || !strings.Contains(list, "1 B") || strings.Contains(list, "7 B") {
		t.Errorf("the listing: %s", list)
	}
}

type denying struct{ sums *chunk.Sums }

func (d denying) Denied(id chunk.ID) (Denied, bool) {
	if id.Kind == chunk.SHA256 {
		return Denied{Legal: true}, id.Hash == d.sums.SHA256
	}
	return Denied{}, id.Hash == d.sums.BLAKE3
}

// Content that is not verified waits for the whole, unless it is sound or pictures that move.
func TestUnverified(t *testing.T) {
	g, s := newTest(t, nil)
	doubt := &doubtful{shelf: s, whole: make(chan struct{})}
	g.cfg.Contents = doubt
	sums := s.put(t, []byte("<html><script>x</script>"))
	w := asking{path: "/" + sums.SHA256.String() + "/film.webm"}.do(g)
	if w.Code != 200 || w.Header().Get("X-Unverified") == "" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("a film: %d %v", w.Code, w.Header())
	}
	done := make(chan int)
	go func() { done <- asking{path: "/" + sums.SHA256.String()}.do(g).Code }()
	select {
	case <-done:
		t.Error("a page was served before it was verified")
	case doubt.whole <- struct{}{}:
	}
	if code := <-done; code != 200 {
		t.Errorf("when it was there: %d", code)
	}
}

type doubtful struct {
	*shelf
	whole chan struct{}
}

func (d *doubtful) Open(ctx context.Context, w Want) (Content, error) {
	c, err := d.shelf.Open(ctx, w)
	if err != nil {
		return nil, err
	}
	return &doubted{c.(*opened), d}, nil
}

type doubted struct {
	*opened
	d *doubtful
}

func (d *doubted) Verified() bool { return false }
func (d *doubted) Whole(ctx context.Context) error {
	select {
	case <-d.d.whole:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// filed is a content that lies in a file, which the kernel can send.
type filed struct {
	io.ReadSeekCloser
	file *os.File
	size int64
}

func (f filed) Size() int64                 { return f.size }
func (f filed) Verified() bool              { return true }
func (f filed) Whole(context.Context) error { return nil }
func (f filed) File() *os.File              { return f.file }

type filing struct {
	path string
	size int64
}

func (f filing) Open(context.Context, Want) (Content, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	return filed{file, file, f.size}, nil
}

// A file is sent as it is, whole and in part, by the kernel where there is one that can.
func TestFilesOverTheSocket(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 300_000)
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	base := live(t, func(c *Config) { c.Contents = filing{path, int64(len(data))} })
	for header, want := range map[string][]byte{"": data, "bytes=1000000-3000000": data[1_000_000:3_000_001], "bytes=-5": data[len(data)-5:]} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/"+strings.Repeat("ab", 32), nil)
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			r.Header.Set("Range", header)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("Range %q: %d bytes, %v, want %d", header, len(got), err, len(want))
		}
	}
}

// live serves a gateway on a socket and returns its address as a URL.
func live(t *testing.T, change func(*Config)) string {
	t.Helper()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, _ := newTest(t, func(c *Config) {
		c.Addr = addrOf(t, l)
		change(c)
	})
	s := Serve(l, g)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// Who stops reading is gone for the content at once: its demand is withdrawn.
func TestReaderThatLeaves(t *testing.T) {
	slow := &endless{closed: make(chan struct{})}
	base := live(t, func(c *Config) { c.Contents = slow })
	resp, err := http.Get(base + "/" + strings.Repeat("ab", 32) + "/x.webm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	<-slow.closed
}

// endless is a content whose first bytes are there, and no others.
type endless struct{ closed chan struct{} }

func (e *endless) Open(ctx context.Context, _ Want) (Content, error) {
	return &waiting{ctx: ctx, e: e}, nil
}

type waiting struct {
	ctx context.Context
	e   *endless
	at  int64
}

func (w *waiting) Size() int64                 { return 1 << 30 }
func (w *waiting) Verified() bool              { return true }
func (w *waiting) Whole(context.Context) error { return nil }
func (w *waiting) File() *os.File              { return nil }
func (w *waiting) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekEnd:
		off += w.Size()
	case io.SeekCurrent:
		off += w.at
	}
	w.at = off
	return off, nil
}

func (w *waiting) Read(p []byte) (int, error) {
	if w.at < 100 {
		n := min(len(p), 100)
		w.at += int64(n)
		return n, nil
	}
	<-w.ctx.Done()
	return 0, w.ctx.Err()
}

func (w *waiting) Close() error { close(w.e.closed); return nil }
