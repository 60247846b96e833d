package gateway

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sharer/chunk"
)

// navigate is a browser that goes to an address which was typed, or followed from one of the node's own pages.
func navigate(site string) map[string]string {
	return browser(map[string]string{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"})
}

// within is a page that asks its own origin.
func within(mode, dest string) map[string]string {
	return browser(map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest})
}

// W4: a page that is a content has an origin of its own, and can do nothing until the user has allowed it.
func TestPageIsAllowedOnce(t *testing.T) {
	g, s := newTest(t, everything)
	page, other := s.put(t, []byte("<!doctype html><title>app</title>")), s.put(t, []byte("<html>another"))
	path := "/" + idOf(page) + "/app.html"
	w := asking{path: path + "?x=1", header: navigate("none")}.do(g)
	host := pageOf(chunk.ID{Kind: chunk.BLAKE3, Hash: page.BLAKE3}).label() + ".localhost:24255"
	if w.Code != 307 || w.Header().Get("Location") != "http://"+host+path+"?x=1" {
		t.Fatalf("%d to %q, want the page's own origin", w.Code, w.Header().Get("Location"))
	}
	// A browser calls the rest of a redirect by its first cause.
	for _, site := range []string{"none", "same-origin", "cross-site"} {
		w = asking{host: host, path: path, header: navigate(site)}.do(g)
		if csp := w.Header().Get("Content-Security-Policy"); w.Code != 200 || strings.Contains(csp, "sandbox") {
			t.Fatalf("the page at its own origin, %s: %d, %q", site, w.Code, csp)
		}
	}
	origin := map[string]string{"Origin": "http://" + host}
	uses := []asking{
		{path: "/wt", header: origin}, {host: host, path: "/wt", header: origin}, {path: "/status.json", header: origin},
		{method: http.MethodPost, path: "/upload", header: origin, body: "x"}, {method: http.MethodPost, path: "/publish_origin", header: origin, body: "x"},
		{path: "/" + idOf(other), header: origin}, {host: host, path: "/" + idOf(other), header: within("cors", "empty")},
	}
	for _, u := range uses {
		if w := u.do(g); w.Code != 403 || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s before it is allowed: %d", u.method, u.path, w.Code)
		}
	}
	_, requests := g.grants.List()
	if len(requests) != 1 || requests[0].Key != "blake3/"+page.BLAKE3.String() || requests[0].Name != "app.html" || !requests[0].Asked {
		t.Fatalf("the user is asked: %+v", requests)
	}
	own := map[string]string{"Origin": "http://" + testHost, "Sec-Fetch-Site": "same-origin"}
	allow := func(yes string) {
		t.Helper()
		a := asking{method: http.MethodPost, path: "/api/access", header: own, body: `{"key":"` + requests[0].Key + `","name":"app","allow":` + yes + `}`}
		if w := a.do(g); w.Code != 200 {
			t.Fatalf("allow %s: %d %s", yes, w.Code, w.Body)
		}
	}
	allow("true")
	for _, u := range uses {
		if u.path == "/publish_origin" {
			u.header = map[string]string{"Origin": "http://" + host, "X-Filename": "n"}
		}
		w := u.do(g)
		if w.Code != 200 && w.Code != 204 {
			t.Errorf("%s %s allowed: %d %s", u.method, u.path, w.Code, w.Body)
		}
		if u.host == "" && w.Header().Get("Access-Control-Allow-Origin") != "http://"+host {
			t.Errorf("%s: the page cannot read the answer", u.path)
		}
	}
	// What is the owner's alone stays so, and another page's is another's.
	for _, path := range []string{"/", "/api/state", "/api/qr?text=x", "/metrics"} {
		if w := (asking{path: path, header: origin}).do(g); w.Code != 403 {
			t.Errorf("%s by an allowed page: %d", path, w.Code)
		}
		if w := (asking{host: host, path: path, header: within("cors", "empty")}).do(g); w.Code != 404 {
			t.Errorf("%s at the origin of an allowed page: %d", path, w.Code)
		}
	}
	w = asking{host: host, path: "/" + idOf(other), header: navigate("same-origin")}.do(g)
	if csp := w.Header().Get("Content-Security-Policy"); w.Code != 200 || !strings.HasPrefix(csp, "sandbox") || strings.Contains(csp, "allow-same-origin") {
		t.Errorf("another page at the origin of an allowed one: %d %q", w.Code, csp)
	}
	worker := within("same-origin", "serviceworker")
	worker["Service-Worker"] = "script"
	if w := (asking{host: host, path: path, header: worker}).do(g); w.Code != 403 {
		t.Errorf("a service worker: %d", w.Code)
	}
	allow("false")
	if w := uses[0].do(g); w.Code != 403 {
		t.Errorf("after it was taken back: %d", w.Code)
	}
}

// W4: where there is no own origin the sandbox does: for subresources, frames, and browsers that do not know such names.
func TestPageWithoutAnOrigin(t *testing.T) {
	g, s := newTest(t, nil)
	page := s.put(t, []byte("<!doctype html>"))
	svg := s.put(t, []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>`))
	safari := navigate("none")
	safari["User-Agent"] = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15"
	for _, h := range []map[string]string{safari, within("no-cors", "image"), within("navigate", "iframe"), nil} {
		for _, path := range []string{"/" + idOf(page), "/" + idOf(svg) + "/x.svg", "/" + idOf(svg) + "/x.xhtml", "/" + idOf(svg) + "/x.txt"} {
			w := asking{path: path, header: h}.do(g)
			csp := w.Header().Get("Content-Security-Policy")
			if w.Code != 200 || !strings.HasPrefix(csp, "sandbox") || strings.Contains(csp, "allow-same-origin") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %v: %d %q", path, h, w.Code, csp)
			}
		}
	}
}

// A folder is one page: its files see each other, and nothing else before it is allowed.
func TestFolderIsOnePage(t *testing.T) {
	g, s := newTest(t, nil)
	sums := manifest(t, s, map[string]string{"index.html": "<html>", "style.css": "h1{}"})
	other := s.put(t, []byte("other"))
	base := "/folder/" + sums.BLAKE3.String() + "/"
	host := Page{'f', sums.BLAKE3}.label() + ".localhost:24255"
	if w := (asking{path: base, header: navigate("none")}).do(g); w.Code != 307 || w.Header().Get("Location") != "http://"+host+base {
		t.Fatalf("%d to %s", w.Code, w.Header().Get("Location"))
	}
	if w := (asking{host: host, path: base + "style.css", header: within("no-cors", "style")}).do(g); w.Code != 200 || w.Header().Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("its own style: %d %v", w.Code, w.Header())
	}
	if w := (asking{host: host, path: "/" + idOf(other), header: within("no-cors", "image")}).do(g); w.Code != 403 {
		t.Errorf("another content: %d", w.Code)
	}
}

// W5: another site learns nothing of what is here, and starts nothing.
func TestOtherSitesLearnNothing(t *testing.T) {
	g, s := newTest(t, everything)
	here := s.put(t, []byte("<html>here"))
	there := strings.Repeat("ab", 32)
	for name, h := range map[string]map[string]string{
		"an image":          {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
		"a script":          {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
		"fetch":             {"Origin": "https://evil.com", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
		"a frame":           {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
		"a click":           navigate("cross-site"),
		"a sandboxed page":  {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
		"an older browser":  browser(map[string]string{"Referer": "https://evil.com/"}),
		"without a referer": browser(nil),
	} {
		for _, host := range []string{testHost, Page{'b', here.BLAKE3}.label() + ".localhost:24255"} {
			hit := asking{host: host, path: "/" + idOf(here), header: h}.do(g)
			miss := asking{host: host, path: "/blake3/" + there, header: h}.do(g)
			same := strings.ReplaceAll(hit.Header().Get("Location"), here.BLAKE3.String(), there) == miss.Header().Get("Location")
			if hit.Code != miss.Code || hit.Code == 200 || !same || hit.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s at %s: %d %q for what is here, %d %q for what is not", name, host, hit.Code, hit.Header(), miss.Code, miss.Header())
			}
		}
	}
	if s.asked() != 0 {
		t.Errorf("%d contents were opened", s.asked())
	}
	ask := asking{path: "/open?u=" + "%2Fblake3%2F" + there + "%2F%3Cscript%3E", header: navigate("cross-site")}.do(g)
	if ask.Code != 200 || strings.Contains(ask.Body.String(), "<script>") || !strings.Contains(ask.Body.String(), `href="/blake3/`+there) || ask.Header().Get("X-Frame-Options") != "DENY" {
		t.Errorf("the question: %d %v %s", ask.Code, ask.Header(), ask.Body)
	}
	for _, u := range []string{"javascript:alert(1)", "https://evil.com", "//evil.com/x", ""} {
		if w := (asking{path: "/open?u=" + u, header: navigate("cross-site")}).do(g); w.Code != 400 {
			t.Errorf("/open of %q: %d", u, w.Code)
		}
	}
}

// W3: a page of another site that was allowed may, with a preflight; nobody else gets one.
func TestAllowedSite(t *testing.T) {
	g, _ := newTest(t, everything)
	if err := g.grants.Allow("https://azai.net", "azai"); err != nil {
		t.Fatal(err)
	}
	pre := func(origin, path string) (int, http.Header) {
		w := asking{method: http.MethodOptions, path: path, header: map[string]string{
			"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true",
		}}.do(g)
		return w.Code, w.Header()
	}
	if code, h := pre("https://azai.net", "/upload"); code != 204 || h.Get("Access-Control-Allow-Private-Network") != "true" || h.Get("Access-Control-Allow-Origin") != "https://azai.net" {
		t.Errorf("allowed: %d %v", code, h)
	}
	for origin, path := range map[string]string{
		"https://azai.net.evil.com": "/upload", "http://azai.net": "/upload", "https://azai.net:444": "/upload", "https://azai.net": "/api/access", "null": "/upload", "*": "/upload",
	} {
		if code, h := pre(origin, path); code != 403 || h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Private-Network") != "" {
			t.Errorf("%s %s: %d %v", origin, path, code, h)
		}
	}
	if w := (asking{path: "/wt", header: map[string]string{"Origin": "https://azai.net", "Sec-Fetch-Site": "cross-site"}}).do(g); w.Code != 204 {
		t.Errorf("its bridge: %d", w.Code)
	}
}

// W12: other machines see what is held, and nothing else. What a proxy passes on counts as theirs.
func TestRemote(t *testing.T) {
	g, s := newTest(t, func(c *Config) { everything(c); c.Hosts = []string{"mirror.example"} })
	here := s.put(t, []byte("<html>here"))
	there := "/blake3/" + strings.Repeat("ab", 32)
	for name, a := range map[string]asking{
		"a proxy":          {host: "mirror.example"},
		"its header":       {host: "mirror.example", header: map[string]string{"X-Forwarded-For": "198.51.100.7"}},
		"another machine":  {host: "mirror.example", from: "198.51.100.7:4000"},
		"a browser":        {host: "mirror.example", from: "198.51.100.7:4000", header: navigate("cross-site")},
		"an image of one":  {host: "mirror.example", from: "198.51.100.7:4000", header: map[string]string{"Sec-Fetch-Site": "cross-site"}},
		"with our Origin":  {host: "mirror.example", from: "198.51.100.7:4000", header: map[string]string{"Origin": "http://" + testHost}},
		"that names peers": {host: "mirror.example", from: "198.51.100.7:4000"},
	} {
		a.path = "/" + idOf(here)
		w := a.do(g)
		if csp := w.Header().Get("Content-Security-Policy"); w.Code != 200 || !strings.HasPrefix(csp, "sandbox") {
			t.Errorf("%s: what is held: %d %q", name, w.Code, csp)
		}
		a.path = there + "?p=192.0.2.1:1"
		if w := a.do(g); w.Code != 404 {
			t.Errorf("%s: what is not: %d", name, w.Code)
		}
		for _, rt := range g.routes {
			a.path = example(rt)
			for _, a.method = range rt.methods {
				if w := a.do(g); !rt.remote && w.Code != 404 {
					t.Errorf("%s: %s %s: %d", name, a.method, rt.path, w.Code)
				}
			}
		}
		a.method = ""
	}
	for _, o := range s.opened {
		if !o.Held || len(o.Peers) > 0 {
			t.Errorf("for another machine: %+v", o)
		}
	}
	for _, a := range []asking{{from: "198.51.100.7:4000"}, {host: "localhost:24255", from: "192.168.1.7:4000"}, {host: "198.51.100.9:24255", from: "198.51.100.7:4000"}} {
		a.path = "/" + idOf(here)
		if w := a.do(g); w.Code != 421 {
			t.Errorf("%s from %s: %d", a.host, a.from, w.Code)
		}
	}
}

// everything is a configuration in which every route exists.
func everything(c *Config) {
	c.View, c.Uploads, c.Names = &fakeView{}, &fakeUploads{}, fakeNames{}
	c.Ops = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	c.Mirrors = c.Ops
}

type fakeView struct{ status Status }

func (v *fakeView) Status(context.Context) Status          { return v.status }
func (v *fakeView) Fetch(context.Context, Want) error      { return nil }
func (v *fakeView) Remove(context.Context, chunk.ID) error { return nil }
func (v *fakeView) Say(context.Context, string) error      { return nil }

// Permissions outlive the process, and a damaged list allows nothing.
func TestGrantsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pages.json")
	g, err := LoadGrants(path)
	if err != nil {
		t.Fatal(err)
	}
	key := "blake3/" + strings.Repeat("ab", 32)
	for _, bad := range []string{"", "x", "blake3/xyz", "BLAKE3/" + strings.Repeat("ab", 32), "blake3/" + strings.Repeat("AB", 32), "file://", "null", "https://", "https://a.example/path", "https://u@a.example", "javascript:x", "https://A.example"} {
		if err := g.Allow(bad, ""); err == nil {
			t.Errorf("%q was allowed", bad)
		}
	}
	for _, k := range []string{key, "https://a.example:8443"} {
		if err := g.Allow(k, "<b>"); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Revoke("https://a.example:8443"); err != nil {
		t.Fatal(err)
	}
	if g, err = LoadGrants(path); err != nil || !g.Allows(key) || g.Allows("https://a.example:8443") || g.Allows("") {
		t.Errorf("after a restart: %+v, %v", g, err)
	}
	if err := os.WriteFile(path, []byte(`[{"key":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadGrants(path); err == nil {
		t.Error("a damaged list is no error")
	}
	for i := range 3 * maxRequests {
		g.opened(Page{'b', chunk.Hash{byte(i)}}, "")
	}
	if _, requests := g.List(); len(requests) != maxRequests {
		t.Errorf("%d pages are remembered", len(requests))
	}
}

func TestLabels(t *testing.T) {
	for _, p := range []Page{{'b', chunk.Hash{1, 2, 3}}, {'s', chunk.Hash{255}}, {'f', chunk.Hash{}}, {'k', chunk.Hash{31: 255}}} {
		l := p.label()
		if got, ok := parseLabel(l); !ok || got != p || len(l) > 63 {
			t.Errorf("%v: %s, %v", p, l, got)
		}
		if got, err := parsePage(p.Key()); err != nil || got != p {
			t.Errorf("%v: %s, %v %v", p, p.Key(), got, err)
		}
		last := l[:52] + string(l[52]+1) // the bit to spare
		if _, ok := parseLabel(last); ok && p.hash[31]&1 == 0 {
			t.Errorf("%s is another name of %s", last, l)
		}
	}
	for _, bad := range []string{"", "b", strings.Repeat("a", 53), "b" + strings.Repeat("A", 52), "b" + strings.Repeat("1", 52), "x" + strings.Repeat("a", 52)} {
		if p, ok := parseLabel(bad); ok && bad != "" && bad[0] != 'a' || ok && !p.Valid() {
			t.Errorf("%q is %v", bad, p)
		}
	}
}

// What the node was started with is allowed as long as it runs, and is not kept.
func TestTrustedSites(t *testing.T) {
	for text, want := range map[string]string{
		"https://azai.net": "https://azai.net", "https://AZAI.net/": "https://azai.net", "https://azai.net:443": "https://azai.net", "http://a.example:80/": "http://a.example",
		"http://a.example:443": "http://a.example:443", "https://a.example:8443": "https://a.example:8443",
		"": "", "azai.net": "", "https://": "", "https://a.example/path": "", "https://a.example/?x": "", "https://u@a.example": "", "file:///": "", "null": "", "https://a.example/#x": "",
	} {
		if got, err := Site(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "pages.json")
	g, err := LoadGrants(path)
	if err != nil {
		t.Fatal(err)
	}
	g.Trust("https://azai.net")
	if err := g.Allow("https://a.example", ""); err != nil {
		t.Fatal(err)
	}
	if list, _ := g.List(); len(list) != 2 || !g.Allows("https://azai.net") || g.Allows("https://b.example") {
		t.Errorf("%+v", list)
	}
	if err := g.Revoke("https://azai.net"); err == nil || !strings.Contains(err.Error(), "--http-origin") || !g.Allows("https://azai.net") {
		t.Errorf("taken back: %v", err)
	}
	if g, err = LoadGrants(path); err != nil || g.Allows("https://azai.net") || !g.Allows("https://a.example") {
		t.Errorf("after a restart without it: %v", err)
	}
}
