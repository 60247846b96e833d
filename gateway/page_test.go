package gateway

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"sharer/chunk"
)

// The node's pages load nothing from elsewhere, run no code but their own files, and are all there.
func TestPageIsSelfContained(t *testing.T) {
	g, _ := newTest(t, everything)
	home := asking{path: "/"}.do(g)
	if home.Code != 200 || home.Header().Get("Content-Security-Policy") != ownPolicy || home.Header().Get("X-Frame-Options") != "DENY" {
		t.Fatalf("%d %v", home.Code, home.Header())
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"#]+)"`).FindAllStringSubmatch(home.Body.String(), -1) {
		if w := (asking{path: m[1]}).do(g); w.Code != 200 {
			t.Errorf("%s: %d", m[1], w.Code)
		}
	}
	err := fs.WalkDir(pageFiles, "page", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(pageFiles, path)
		if m := regexp.MustCompile(`https?://[a-z0-9.]+`).FindString(string(text)); m != "" && !strings.Contains(m, "www.w3.org") && !strings.Contains(m, "127.0.0.1") {
			t.Errorf("%s names %s", path, m)
		}
		if m := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(| on[a-z]+="|<script>|<style|style="`).FindString(string(text)); m != "" {
			t.Errorf("%s has %s", path, m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if w := (asking{path: "/ui/../page.go"}).do(g); w.Code != 404 {
		t.Errorf("a file that is not the page's: %d", w.Code)
	}
}

// The words that pages of the swarm read (wire.md section 10).
func TestStatus(t *testing.T) {
	v := &fakeView{status: Status{
		Version: "v", PublicKey: [32]byte{0xab}, FreeDisk: 7,
		Peers: []Peer{{Addr: "192.0.2.1:1", RTT: 20 * time.Millisecond, Active: true, Key: [32]byte{1}}, {Addr: "192.0.2.1:2", RTT: time.Second, Active: true}, {Addr: "[2001:db8::1]:1"}},
	}}
	g, _ := newTest(t, func(c *Config) { everything(c); c.View = v })
	w := asking{path: "/status.json"}.do(g)
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"version": "v", "public_key": "0xab" + strings.Repeat("0", 62), "total_peers": 3.0, "unique_ips": 2.0, "active_peer_count": 2.0, "fast_peer_count": 1.0, "free_disk_bytes": 7.0,
	} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	first := got["active_peers"].([]any)[0].(map[string]any)
	if first["addr"] != "192.0.2.1:1" || first["delay_ms"] != 20.0 || first["pub"] != "0x01"+strings.Repeat("0", 62) {
		t.Errorf("a peer: %v", first)
	}
	if w := (asking{path: "/status.json", header: map[string]string{"Sec-Fetch-Site": "cross-site"}}).do(g); w.Code != 403 {
		t.Errorf("another site reads it: %d", w.Code)
	}
}

func TestActions(t *testing.T) {
	v := &fakeView{status: Status{
		Shared:   []Item{{Name: "<b>", BLAKE3: chunk.Hash{1}, Size: 5000}, {Name: "f", BLAKE3: chunk.Hash{2}, Folder: true}},
		Arriving: []Arrival{{ID: chunk.ID{Kind: chunk.SHA256}, Name: "n", Total: -1}}, Chat: []Line{{Text: "hi"}},
	}}
	g, _ := newTest(t, func(c *Config) { everything(c); c.View = v })
	b := strings.Repeat("ab", 32)
	for _, c := range []struct {
		path, body string
		want       int
		has        string
	}{
		{"/api/fetch", `{"link":"lcdp://blake3/` + b + `/x.webm?h=sha256:` + b + `"}`, 200, `"/blake3/` + b + `/x.webm?h=sha256:` + b + `"`},
		{"/api/fetch", `{"link":"http://127.0.0.1:24255/` + b + `","keep":true}`, 200, `"/` + b + `"`},
		{"/api/fetch", `{"link":"lcdp://0x` + b + `/a/b.html"}`, 200, `"/latest/` + b + `/a/b.html"`},
		{"/api/fetch", `{"link":"lcdp://folder/` + b + `/a%20b?n=x"}`, 200, `"/folder/` + b + `/a%20b"`},
		{"/api/fetch", `{"link":"lcdp://folder/` + b + `/a","keep":true}`, 400, "a folder cannot be kept"},
		{"/api/fetch", `{"link":"lcdp://0x` + b + `/a/b.html","keep":true}`, 504, "no peer has latest/" + b + "/a/b.html"},
		{"/api/fetch", `{"link":"nonsense"}`, 400, "link"},
		{"/api/fetch", `not json`, 400, "JSON"},
		{"/api/fetch", `{"link":"` + strings.Repeat("x", 1<<17) + `"}`, 400, "JSON"},
		{"/api/chat", `{"text":"hello"}`, 200, ""},
		{"/api/chat", `{"text":"  "}`, 400, "between"},
		{"/api/remove", `{"id":"blake3/` + b + `"}`, 200, ""},
		{"/api/remove", `{"id":"x"}`, 400, ""},
		{"/api/access", `{"key":"x","allow":true}`, 400, "neither"},
	} {
		w := asking{method: http.MethodPost, path: c.path, body: c.body}.do(g)
		if w.Code != c.want || !strings.Contains(w.Body.String(), c.has) {
			t.Errorf("%s %.80s: %d %s", c.path, c.body, w.Code, w.Body)
		}
	}
	var state struct {
		Shared []struct{ Path, Link string }
		Grants []any
	}
	w := asking{path: "/api/state"}.do(g)
	if err := json.Unmarshal(w.Body.Bytes(), &state); err != nil || len(state.Shared) != 2 || state.Grants == nil || !strings.HasSuffix(state.Shared[0].Path, "/%3Cb%3E") {
		t.Errorf("%v %s", err, w.Body)
	}
	code := asking{path: "/api/qr?text=LCDP://BLAKE3/" + strings.ToUpper(b)}.do(g)
	if code.Code != 200 || !strings.HasPrefix(code.Body.String(), "<svg ") || code.Header().Get("Content-Type") != "image/svg+xml" {
		t.Errorf("%d %.60s", code.Code, code.Body)
	}
	for _, text := range []string{"", strings.Repeat("x", 2000)} {
		if w := (asking{path: "/api/qr?text=" + text}).do(g); w.Code != 400 {
			t.Errorf("a code of %d bytes: %d", len(text), w.Code)
		}
	}
}
