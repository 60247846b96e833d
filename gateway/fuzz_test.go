package gateway

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// D10: whatever a path is, what comes out of it is an id, and a path that leads nowhere else.
func FuzzPath(f *testing.F) {
	b := strings.Repeat("ab", 32)
	for _, s := range []string{"/" + b, "/blake3/" + b + "/x?p=1.2.3.4:5", "/folder/" + b + "/a/../b", "/latest/0x" + b + "/n/m", "/b3/" + b + "//", "/blake3/%2e%2e/", "/latest/" + b + "/%2e%2e/x", "/sha256/" + b + "?h=blake3:" + b} {
		path, query, _ := strings.Cut(s, "?")
		f.Add(path, query)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		got, err := parseTarget(path, query)
		if err != nil {
			if strings.ContainsAny(oneLine(err), "\r\n") {
				t.Errorf("%q: an error of more than one line: %q", path, err)
			}
			return
		}
		if !got.latest && !got.id.Valid() || !got.page().Valid() && got.id.Kind <= 2 {
			t.Fatalf("%q: %+v", path, got)
		}
		for part := range strings.SplitSeq(got.path, "/") {
			if part == ".." || part == "." || part == "" && got.path != "" {
				t.Errorf("%q leads to %q", path, got.path)
			}
		}
		if strings.ContainsAny(disposition(got.name), "\r\n\x00") {
			t.Errorf("%q breaks a header", got.name)
		}
		u, err := url.Parse(got.url())
		if err != nil {
			t.Fatalf("%q leads to %q: %v", path, got.url(), err)
		}
		again, err := parseTarget(u.EscapedPath(), u.RawQuery)
		if err != nil || again.id != got.id || again.path != got.path || again.latest != got.latest || again.key != got.key {
			t.Errorf("%q is read at %q, which is %+v, %v; want %+v", path, got.url(), again, err, got)
		}
	})
}

// What is left of a range is one that the standard library reads, inside any content.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes=1-2,3-4", "BYTES = 1-2", "bytes=99999999999999999999-", "bytes=0-0\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		clean, ok := cleanRange(header)
		if !ok {
			return
		}
		first, last, found := strings.Cut(strings.TrimPrefix(clean, "bytes="), "-")
		if !found || !strings.HasPrefix(clean, "bytes=") || first+last == "" {
			t.Fatalf("%q became %q", header, clean)
		}
		a, errA := strconv.ParseInt("0"+first, 10, 64)
		b, errB := strconv.ParseInt("0"+last, 10, 64)
		if errA != nil || errB != nil || first != "" && last != "" && a > b {
			t.Errorf("%q became %q", header, clean)
		}
	})
}

// Names of uploads are text of one line.
func FuzzUploadName(f *testing.F) {
	for _, s := range []string{"a.txt", "%0d%0a", "%E2%80%AE.exe", "%", "../..", "%00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		name, err := uploadName(header)
		if err != nil {
			return
		}
		if !utf8.ValidString(name) || len(name) > maxUploadName || strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(unicode.C, r) }) {
			t.Errorf("%q became %q", header, name)
		}
	})
}

// Whatever Host, Origin and the like are, who is not known is let nowhere.
func FuzzCaller(f *testing.F) {
	f.Add("127.0.0.1:24255", "http://evil.com", "cross-site", "")
	f.Add(testHost, "null", "", "http://x/")
	f.Add(strings.Repeat("a", 53)+".localhost:24255", "", "same-origin", "")
	g, _ := newTest(f, everything)
	f.Fuzz(func(t *testing.T, host, origin, site, referer string) {
		r := &http.Request{Method: http.MethodGet, Host: host, RemoteAddr: "127.0.0.1:1", URL: &url.URL{Path: "/"}, Header: http.Header{}}
		for k, v := range map[string]string{"Origin": origin, "Sec-Fetch-Site": site, "Referer": referer} {
			if v != "" {
				r.Header.Set(k, v)
			}
		}
		c, ok := g.identify(r)
		own := g.hosts.own(strings.ToLower(host))
		if _, page := g.hosts.page(strings.ToLower(host)); ok && !own && !page {
			t.Errorf("Host %q is let in as %+v", host, c)
		}
		if origin != "" && c.Kind == Own && !g.hosts.own(strings.TrimPrefix(strings.ToLower(origin), "http://")) {
			t.Errorf("Origin %q is taken for our own", origin)
		}
		if c.Kind == App {
			t.Errorf("nobody was allowed, and Host %q, Origin %q, Referer %q is", host, origin, referer)
		}
	})
}
