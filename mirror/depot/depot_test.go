package depot

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sharer/chunk"
	"sharer/mirror/storetest"
)

// serve has a store behind a socket.
func serve(t *testing.T, m *storetest.Memory) *Client {
	t.Helper()
	socket, spool := filepath.Join(t.TempDir(), "s"), t.TempDir()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: Handler{Store: m, Spool: spool}}}
	s.Start()
	t.Cleanup(func() {
		s.Close()
		if left, err := os.ReadDir(spool); err != nil || len(left) > 0 {
			t.Errorf("left in the spool: %v %v", left, err)
		}
	})
	c := Dial(socket)
	t.Cleanup(c.Close)
	return c
}

func TestMemory(t *testing.T) { storetest.Run(t, storetest.NewMemory()) }

func TestStore(t *testing.T) { storetest.Run(t, serve(t, storetest.NewMemory())) }

func TestRefused(t *testing.T) {
	m := storetest.NewMemory()
	c := serve(t, m)
	if err := c.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := Dial(filepath.Join(t.TempDir(), "none")).Ready(t.Context()); err == nil {
		t.Error("nobody is there, and ready")
	}
	text, h := storetest.Text(1, 5000)
	text[77] ^= 1
	if err := c.Put(t.Context(), h, 5000, bytes.NewReader(text)); err == nil || !strings.Contains(err.Error(), "another content") || m.Len() != 0 {
		t.Errorf("another content: %v", err)
	}
	text[77] ^= 1
	if err := c.Put(t.Context(), h, 5001, bytes.NewReader(text)); err == nil || m.Len() != 0 {
		t.Errorf("less than was said: %v", err)
	}
	m.Fail(errors.New("out of order"))
	if err := c.Put(t.Context(), h, 5000, bytes.NewReader(text)); err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("a store that fails: %v", err)
	}
	if err := c.Each(t.Context(), func(chunk.Hash, int64) error { return nil }); err == nil {
		t.Error("a list that does not end well is taken for one")
	}
	if _, err := c.Range(t.Context(), h, 0, 1); err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("a store that fails: %v", err)
	}
	for _, path := range []string{"/x", "/..%2f..", "/" + h.String() + "/a"} {
		w := httptest.NewRecorder()
		Handler{Store: m}.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 400 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
