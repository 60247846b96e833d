package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// dated is a client that notes by when it has to take what is written, and breaks off at a write.
type dated struct {
	*httptest.ResponseRecorder
	by      time.Time
	without int // writes without a deadline
	sizes   []int
	breaks  bool
}

func (d *dated) SetWriteDeadline(t time.Time) error { d.by = t; return nil }

func (d *dated) Write(p []byte) (int, error) {
	if d.by.IsZero() {
		d.without++
	}
	d.sizes = append(d.sizes, len(p))
	if d.breaks && len(d.sizes) > 1 {
		return 0, os.ErrDeadlineExceeded
	}
	return d.ResponseRecorder.Write(p)
}

func (d *dated) ReadFrom(r io.Reader) (int64, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return 0, err
	}
	n, err := d.Write(data)
	return int64(n), err
}

// W6: no answer waits for ever for who does not take it, whatever route it is of: what the handler of mirrors writes, too.
func TestAllAnswersHaveDeadlines(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, big, 0o600); err != nil {
		t.Fatal(err)
	}
	var failed error
	mirrors := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mirror.json" {
			_, failed = w.Write(big)
			return
		}
		f, err := os.Open(file)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		http.ServeContent(w, r, "", time.Time{}, f)
	})
	g, s := newTest(t, func(c *Config) { everything(c); c.Mirrors = mirrors })
	content := "/" + s.put(t, big).SHA256.String() + "/x.bin"
	ask := func(path string, d *dated) *dated {
		d.ResponseRecorder = httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host, r.RemoteAddr = testHost, "127.0.0.1:50000"
		if path == "/mirror/x" {
			r.Header.Set("Range", "bytes=0-0,2-2,4-4")
		}
		g.ServeHTTP(d, r)
		return d
	}
	for _, path := range []string{"/", "/api/state", "/ui/page.js", "/nothing", "/mirror.json", "/mirror/x", content} {
		d := ask(path, &dated{})
		if d.without > 0 || len(d.sizes) == 0 {
			t.Errorf("%s: %d of %d writes have no deadline", path, d.without, len(d.sizes))
		}
		if strings.HasPrefix(path, "/mirror") || path == content {
			if d.Code != 200 || !bytes.Equal(d.Body.Bytes(), big) || d.sizes[0] > firstChunk {
				t.Errorf("%s: %d, %d bytes in %d", path, d.Code, d.Body.Len(), d.sizes)
			}
		}
	}
	if d := ask("/mirror.json", &dated{breaks: true}); !errors.Is(failed, os.ErrDeadlineExceeded) || len(d.sizes) != 2 {
		t.Errorf("who takes nothing more: %v after %d writes", failed, len(d.sizes))
	}
}
