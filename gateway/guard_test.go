package gateway

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// example is a path that a route answers to.
func example(rt route) string {
	hash := strings.Repeat("ab", 32)
	switch {
	case rt.path == contentPath:
		return "/" + hash
	case rt.path == "/latest/":
		return "/latest/" + hash + "/name"
	case strings.HasSuffix(rt.path, "/") && rt.path != "/":
		return rt.path + hash
	}
	return rt.path
}

// W2: a name that merely resolves to this machine reaches no route, by any method.
func TestHostIsCheckedOnEveryRoute(t *testing.T) {
	g, s := newTest(t, everything)
	hosts := []string{
		"evil.com", "evil.com:24255", "127.0.0.1", "127.0.0.1:80", "127.0.0.1.:24255", "localhost", "localhost.:24255", "localhost.evil.com:24255",
		"[::1]", "[::1%25lo]:24255", "::1:24255", "0.0.0.0:24255", "127.1:24255", "2130706433:24255", "", "127.0.0.1:24255@evil.com",
		"192.168.1.7:24255", "a.localhost:24255", strings.Repeat("a", 53) + ".localhost:24255", "[::ffff:127.0.0.1]:24255",
	}
	for _, rt := range g.routes {
		for _, host := range hosts {
			for _, method := range append([]string{http.MethodOptions, http.MethodPut}, rt.methods...) {
				r := asking{method: method, path: example(rt)}
				r.host = host
				if host == "" {
					r.host = " "
				}
				r.header = map[string]string{"Origin": "http://" + host}
				if w := r.do(g); w.Code != http.StatusMisdirectedRequest {
					t.Errorf("%s %s under Host %q: %d, want 421", method, rt.path, host, w.Code)
				}
			}
		}
		if w := (asking{path: example(rt), header: map[string]string{"X-Forwarded-Host": "evil.com"}}).do(g); w.Code != http.StatusMisdirectedRequest {
			t.Errorf("%s by a proxy that was not named: %d, want 421", rt.path, w.Code)
		}
	}
	if s.asked() != 0 {
		t.Errorf("%d contents were asked for", s.asked())
	}
}

// Browsers leave port 80 out of Host and Origin: a node that listens there is found with it and without, and by no other name.
func TestPort80(t *testing.T) {
	g, _ := newTest(t, everything)
	g.hosts = newHosts(netip.MustParseAddrPort("127.0.0.1:80"), nil)
	page := strings.Repeat("a", 53) // no label of a page has that many
	for host, want := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:80": 200, "localhost": 200, "[::1]": 200, "LOCALHOST:80": 200,
		"127.0.0.1:24255": 421, "evil.com": 421, "evil.com:80": 421, "127.0.0.1.evil.com": 421, "localhost.": 421, page + ".localhost": 421, ":80": 421, "127.0.0.1:": 421,
	} {
		own := asking{host: host, path: "/", header: browser(map[string]string{"Origin": "http://" + host})}
		if w := own.do(g); w.Code != want {
			t.Errorf("under Host %q: %d, want %d", host, w.Code, want)
		}
	}
	if w := (asking{host: "127.0.0.1", path: "/", header: browser(map[string]string{"Origin": "http://127.0.0.1:8080"})}).do(g); w.Code != 403 {
		t.Errorf("from another port: %d, want 403", w.Code)
	}
	elsewhere, _ := newTest(t, everything)
	if w := (asking{host: "127.0.0.1", path: "/"}).do(elsewhere); w.Code != 421 {
		t.Errorf("a node elsewhere under a Host without a port: %d, want 421", w.Code)
	}
}

// Somebody who clicked a link to the node's page is told how to get there, not to allow the site.
func TestLinkToThePage(t *testing.T) {
	g, _ := newTest(t, everything)
	w := asking{path: "/", header: browser(map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"})}.do(g)
	if text := w.Body.String(); w.Code != 403 || !strings.Contains(text, "type http://"+testHost+"/ yourself") || strings.Contains(text, "allow") {
		t.Errorf("%d %q", w.Code, text)
	}
}

// W1 and W3: no page of another site uses what changes something, or tells of the node.
func TestOriginIsCheckedOnEveryRoute(t *testing.T) {
	g, s := newTest(t, everything)
	from := map[string]map[string]string{
		"another site":     {"Origin": "https://evil.com", "Sec-Fetch-Site": "cross-site"},
		"null":             {"Origin": "null"},
		"a file":           {"Origin": "file://"},
		"a look-alike":     {"Origin": "http://localhost.evil.com"},
		"another port":     {"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-site"},
		"https":            {"Origin": "https://localhost:24255"},
		"two":              {"Origin": "http://localhost:24255 https://evil.com"},
		"a form":           {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
		"an image":         {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
		"an old browser":   browser(map[string]string{"Referer": "https://evil.com/x"}),
		"a silent browser": browser(map[string]string{"Accept": "image/*"}),
	}
	for _, rt := range g.routes {
		for name, header := range from {
			for _, method := range append([]string{http.MethodOptions}, rt.methods...) {
				w := asking{method: method, path: example(rt), header: header}.do(g)
				if w.Code != http.StatusForbidden {
					t.Errorf("%s %s from %s: %d, want 403", method, rt.path, name, w.Code)
				}
				if w.Header().Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s %s from %s: the answer may be read", method, rt.path, name)
				}
			}
		}
	}
	if s.asked() != 0 {
		t.Errorf("%d contents were asked for", s.asked())
	}
}
