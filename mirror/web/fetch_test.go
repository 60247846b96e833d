package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"sharer/mirror"
)

// fetchText reads a stretch of a file into memory.
func fetchText(t *testing.T, p mirror.Plain) (string, error) {
	t.Helper()
	var text strings.Builder
	p.Write = func(b []byte) error { _, err := text.Write(b); return err }
	err := Fetch(t.Context(), p)
	return text.String(), err
}

func TestFetch(t *testing.T) {
	s := serve(t, map[string]string{"d e/a#b": "hello world"}, nil)
	p := mirror.Plain{Base: s.URL + "/mirror/m", File: "d e/a#b", Size: 11, Len: 11}
	for _, c := range []struct{ off, length, down int64 }{{0, 11, 0}, {0, 11, 1 << 20}, {6, 5, 0}, {0, 5, 0}, {10, 1, 0}} {
		p.Off, p.Len, p.Down = c.off, c.length, c.down
		if text, err := fetchText(t, p); err != nil || text != "hello world"[c.off:c.off+c.length] {
			t.Errorf("%+v: %q %v", c, text, err)
		}
	}
	for _, size := range []int64{10, 12} {
		p.Off, p.Len, p.Size = 0, size, size
		if _, err := fetchText(t, p); err == nil {
			t.Errorf("taken for %d bytes", size)
		}
		p.Off, p.Len = 1, size-1
		if _, err := fetchText(t, p); err == nil {
			t.Errorf("a stretch is taken for one of %d bytes", size)
		}
	}
	p.File, p.Size, p.Off, p.Len = "nothing", 11, 0, 11
	if _, err := fetchText(t, p); err == nil {
		t.Error("an error page is taken for a file")
	}
}

// TestFetchFrom is what servers of other people do.
func TestFetchFrom(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }))
	defer elsewhere.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/whole":
			fmt.Fprint(w, "hello")
		case "/other":
			w.Header().Set("Content-Range", "bytes 0-4/5")
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, "hello")
		case "/short":
			w.Header().Set("Content-Length", "5")
			fmt.Fprint(w, "hel")
		case "/long":
			w.(http.Flusher).Flush() // no length is said
			fmt.Fprint(w, "hello and more")
		case "/moved":
			http.Redirect(w, r, "/whole", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/away":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		case "/packed":
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				w.Header().Set("Content-Encoding", "gzip")
			}
			fmt.Fprint(w, "hello")
		}
	}))
	defer s.Close()
	for _, c := range []struct {
		path string
		off  int64
		want string // of the error; "": it is well
	}{
		{"whole", 0, ""}, {"whole", 2, mirror.ErrNoRanges.Error()}, {"other", 2, "not 2 on of 5"}, {"short", 0, "EOF"}, {"long", 0, ""},
		{"moved", 0, ""}, {"round", 0, "redirects"}, {"away", 0, "which is not public"}, {"packed", 0, ""},
	} {
		text, err := fetchText(t, mirror.Plain{Base: s.URL, File: c.path, Size: 5, Off: c.off, Len: 5 - c.off})
		if c.want == "" && (err != nil || text != "hello"[c.off:]) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s from %d: %q %v", c.path, c.off, text, err)
		}
	}
	full := errors.New("disk full")
	err := Fetch(t.Context(), mirror.Plain{Base: s.URL, File: "whole", Size: 5, Len: 5, Write: func([]byte) error { return full }})
	if !errors.Is(err, full) {
		t.Errorf("a writer that fails: %v", err)
	}
}

func TestRedirects(t *testing.T) {
	ask := func(text string) *http.Request {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Request{URL: u, Header: http.Header{}}
	}
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"https://a/", "https://b/", true}, {"http://a/", "https://b/", true}, {"http://a/", "http://b/", true}, {"https://a/", "http://a/", false}, {"https://a/", "ftp://a/", false},
	} {
		if err := checkRedirect(ask(c.to), []*http.Request{ask(c.from)}); (err == nil) != c.ok {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
	}
	for address, ok := range map[string]bool{
		"93.184.216.34:443": true, "[2606:2800:220:1::1]:443": true, "127.0.0.1:80": false, "[::1]:80": false, "10.1.2.3:80": false, "192.168.1.1:80": false,
		"169.254.169.254:80": false, "[fe80::1]:80": false, "[fd00::1]:80": false, "[::ffff:10.0.0.1]:80": false, "0.0.0.0:80": false, "255.255.255.255:80": false, "224.0.0.1:80": false,
	} {
		if err := onlyPublic("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}
