package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sharer/chunk"
)

// fakeUploads remembers what was put, up to a quota.
type fakeUploads struct {
	mu    sync.Mutex
	names []string
	err   error
	wait  chan struct{} // if not nil: Put waits for it
}

func (u *fakeUploads) Put(ctx context.Context, name string, r io.Reader) (chunk.Sums, error) {
	if u.wait != nil {
		<-u.wait
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return chunk.Sums{}, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil {
		return chunk.Sums{}, u.err
	}
	u.names = append(u.names, name)
	return chunk.Sum(ctx, bytes.NewReader(data), int64(len(data)), nil, nil)
}

type fakeNames struct{}

func (fakeNames) Resolve(_ context.Context, _ [32]byte, name string, _ time.Duration, held bool) (Named, error) {
	if held {
		return Named{}, ErrNotHeld
	}
	return Named{}, ErrNotFound
}

func (fakeNames) Publish(context.Context, string, chunk.Sums) error { return nil }

// W9 and W14: uploads are bounded, and their names are names.
func TestUploads(t *testing.T) {
	u := &fakeUploads{}
	g, _ := newTest(t, func(c *Config) { everything(c); c.Uploads, c.MaxUpload = u, 100 })
	up := func(path, name, body string) (int, map[string]any, string) {
		w := asking{method: http.MethodPost, path: path, header: map[string]string{"X-Filename": name}, body: body}.do(g)
		var doc map[string]any
		_ = json.Unmarshal(w.Body.Bytes(), &doc)
		return w.Code, doc, w.Body.String()
	}
	code, doc, _ := up("/upload", "a%20%E2%82%AC%0D%0A%1b[31m.txt", "hello")
	if code != 200 || len(doc["sha256"].(string)) != 64 || len(doc["blake3"].(string)) != 64 || u.names[0] != "a €[31m.txt" {
		t.Errorf("%d %v %q", code, doc, u.names)
	}
	if code, doc, _ := up("/publish_origin", "dir/page.html", "x"); code != 200 || doc["filename"] != "dir/page.html" {
		t.Errorf("publish: %d %v", code, doc)
	}
	for _, c := range []struct {
		path, name, body string
		want             int
	}{
		{"/upload", "%zz", "x", 400}, {"/upload", "%ff%fe", "x", 400}, {"/upload", strings.Repeat("n", 2000), "x", 400}, {"/upload", "", "x", 200},
		{"/upload", "big", strings.Repeat("x", 101), 413}, {"/publish_origin", "", "x", 400}, {"/publish_origin", "../x", "x", 400}, {"/publish_origin", "/etc/passwd", "x", 400},
		{"/publish_origin", "a%5Cb", "x", 400},
	} {
		if code, _, text := up(c.path, c.name, c.body); code != c.want {
			t.Errorf("%s %.20q of %d bytes: %d %s, want %d", c.path, c.name, len(c.body), code, text, c.want)
		}
	}
	for err, want := range map[error]int{ErrQuota: 507, ErrDiskFull: 507, ErrTooLarge: 413, errors.New("broken disk"): 500} {
		u.err = err
		if code, _, text := up("/upload", "n", "x"); code != want || strings.Count(text, "\n") != 1 {
			t.Errorf("%v: %d %q", err, code, text)
		}
	}
	// Without a length it is counted as it comes.
	u.err = nil
	r, err := http.NewRequest(http.MethodPost, "/upload", io.LimitReader(neverEnds{}, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.RemoteAddr = testHost, "127.0.0.1:1"
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	if w.Code != 413 {
		t.Errorf("a body without a length and without end: %d", w.Code)
	}
	if w := (asking{path: "/upload"}).do(g); w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d %q", w.Code, w.Header().Get("Allow"))
	}
}

type neverEnds struct{}

func (neverEnds) Read(p []byte) (int, error) { return len(p), nil }

// A fifth upload at a time is told to come back.
func TestUploadsAtATime(t *testing.T) {
	u := &fakeUploads{wait: make(chan struct{})}
	g, _ := newTest(t, func(c *Config) { everything(c); c.Uploads = u })
	codes := make(chan int)
	for range maxUploads {
		go func() { codes <- asking{method: http.MethodPost, path: "/upload", body: "x"}.do(g).Code }()
	}
	for range maxUploads {
		u.wait <- struct{}{} // each of them has got here; it goes on
		if code := <-codes; code != 200 {
			t.Errorf("one of %d: %d", maxUploads, code)
		}
	}
	for range cap(g.uploads) {
		g.uploads <- struct{}{}
	}
	if w := (asking{method: http.MethodPost, path: "/upload", body: "x"}).do(g); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("one more: %d", w.Code)
	}
}

// deadlines remembers the last one.
type deadlines struct {
	*httptest.ResponseRecorder
	read time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.read = t; return nil }

// The deadline of a body must not outlive it: the server would take it for a sender that has gone, and cancel what the
// upload still needs.
func TestUploadedNoDeadline(t *testing.T) {
	g, _ := newTest(t, func(c *Config) { everything(c); c.Uploads = &fakeUploads{} })
	w := &deadlines{ResponseRecorder: httptest.NewRecorder(), read: time.Unix(1, 0)}
	r := httptest.NewRequest(http.MethodPost, "/upload", strings.NewReader("hello"))
	r.Host, r.RemoteAddr = testHost, "127.0.0.1:50000"
	g.ServeHTTP(w, r)
	if w.Code != http.StatusOK || !w.read.IsZero() {
		t.Errorf("%d, and the body is still waited for until %v", w.Code, w.read)
	}
}
