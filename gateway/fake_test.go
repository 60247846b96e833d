package gateway

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"sharer/chunk"
)

// shelf is a fake of Contents: what is held, and who asked for what.
type shelf struct {
	mu     sync.Mutex
	held   map[chunk.ID][]byte
	opened []Want
	closed int
	err    error // instead of ErrNotFound
}

var _ Contents = (*shelf)(nil)

func newShelf() *shelf { return &shelf{held: map[chunk.ID][]byte{}} }

// put holds data under both of its ids.
func (s *shelf) put(t testing.TB, data []byte) chunk.Sums {
	t.Helper()
	sums, err := chunk.Sum(context.Background(), bytes.NewReader(data), int64(len(data)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}] = data
	s.held[chunk.ID{Kind: chunk.SHA256, Hash: sums.SHA256}] = data
	return sums
}

func (s *shelf) Open(ctx context.Context, w Want) (Content, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, w)
	data, ok := s.held[w.ID]
	switch {
	case ok:
		return &opened{Reader: bytes.NewReader(data), shelf: s}, nil
	case w.Held:
		return nil, ErrNotHeld
	case s.err != nil:
		return nil, s.err
	}
	return nil, ErrNotFound
}

// asked is how many contents were asked for.
func (s *shelf) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.opened)
}

// opened is one that was opened.
type opened struct {
	*bytes.Reader
	shelf *shelf
}

func (o *opened) Size() int64                 { return o.Reader.Size() }
func (o *opened) File() *os.File              { return nil }
func (o *opened) Verified() bool              { return true }
func (o *opened) Whole(context.Context) error { return nil }

func (o *opened) Close() error {
	o.shelf.mu.Lock()
	defer o.shelf.mu.Unlock()
	o.shelf.closed++
	return nil
}

const testHost = "127.0.0.1:24255"

// newTest returns a gateway over a shelf; change may change its configuration.
func newTest(t testing.TB, change func(*Config)) (*Gateway, *shelf) {
	t.Helper()
	s := newShelf()
	c := Config{
		Addr: netip.MustParseAddrPort(testHost), Contents: s,
		Bridge: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
	}
	if change != nil {
		change(&c)
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g, s
}

// asking is one request of a test; the zero values are those of a program on this machine.
type asking struct {
	method, host, path string
	from               string // address
	header             map[string]string
	body               string
}

func (a asking) do(g http.Handler) *httptest.ResponseRecorder {
	if a.method == "" {
		a.method = http.MethodGet
	}
	if a.host == "" {
		a.host = testHost
	}
	if a.from == "" {
		a.from = "127.0.0.1:50000"
	}
	r := httptest.NewRequest(a.method, a.path, strings.NewReader(a.body))
	r.Host, r.RemoteAddr = a.host, a.from
	for k, v := range a.header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

// a browser's headers.
func browser(extra map[string]string) map[string]string {
	h := map[string]string{"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36", "Accept": "text/html,*/*"}
	for k, v := range extra {
		h[k] = v
	}
	return h
}

func addrOf(t testing.TB, l net.Listener) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return a
}
