package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTorrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte(strings.Repeat("a", 256<<10)+"b"), 0o600))
	tk := &task{scene: scene{size: 256<<10 + 1, files: 1}, source: path}
	text, err := tk.torrent("http://x/announce")
	must(t, err)
	// The hashes are those of sha1sum.
	want := "d8:announce17:http://x/announce4:infod6:lengthi262145e4:name4:file12:piece lengthi262144e6:pieces40:" +
		"\x69\xf9\x90\x96\x8c\xdf\x7a\xc2\xbb\xa8\xbe\x0e\x24\xec\xfc\x8c\x23\xa8\xb5\xe8" + "\xe9\xd7\x1f\x5e\xe7\xc9\x2d\x6d\xc9\xe9\x2f\xfd\xad\x17\xb8\xbd\x49\x41\x8f\x98" + "ee"
	if string(text) != want {
		t.Errorf("%q, want %q", text, want)
	}
}

// Who announces himself hears of the others, until they stop.
func TestTracker(t *testing.T) {
	tr := newTracker()
	ask := func(from, query string) (int, string) {
		r := httptest.NewRequest("GET", "/announce?"+query, nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		tr.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, c := range []struct {
		from, query string
		code        int
		peers       string
	}{
		{"127.0.0.1:5", "least=1", 404, ""},
		{"127.0.0.1:5", "port=258&event=started", 200, "0:"},
		{"127.0.0.1:5", "least=1", 200, ""},
		{"10.0.0.2:6", "port=3", 200, "6:\x7f\x00\x00\x01\x01\x02"},
		{"127.0.0.1:7", "port=258&event=stopped", 200, "6:\x0a\x00\x00\x02\x00\x03"},
		{"10.0.0.3:6", "port=3", 200, "6:\x0a\x00\x00\x02\x00\x03"},
		{"10.0.0.3:6", "port=x", 400, ""},
	} {
		code, body := ask(c.from, c.query)
		if code != c.code || c.peers != "" && body != "d8:intervali1800e5:peers"+c.peers+"e" {
			t.Errorf("%s %s: %d %q", c.from, c.query, code, body)
		}
	}
}
