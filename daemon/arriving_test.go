package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"sharer/chunk"
	"sharer/node"
	"sharer/seed"
)

// What a command fetches can be read while it arrives, and afterwards; nothing is fetched for who asks for something else.
func TestServeArriving(t *testing.T) {
	start := func(c node.Config) *node.Node {
		c.Listen, c.Isolated = []string{"127.0.0.1:0"}, true
		n, err := node.Start(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		return n
	}
	dir := t.TempDir()
	film := make([]byte, 3<<20)
	rand.Read(film)
	if err := os.WriteFile(filepath.Join(dir, "film"), film, 0o600); err != nil {
		t.Fatal(err)
	}
	from := start(node.Config{StateDir: t.TempDir(), Up: 1 << 20})
	var id chunk.ID
	if _, err := from.Seed(t.Context(), seed.Options{Paths: []string{dir}}, func(e seed.Event) {
		if e.Kind == seed.FileDone {
			id = chunk.ID{Kind: chunk.BLAKE3, Hash: e.File.Content.BLAKE3}
		}
	}); err != nil {
		t.Fatal(err)
	}
	to := start(node.Config{Peers: []netip.AddrPort{from.Addrs()[0]}})
	web, at, err := ServeArriving(to, "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	read := func(path, span string) (int, []byte) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s/%s", at, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		if span != "" {
			r.Header.Set("Range", "bytes="+span)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, data
	}
	if code, _ := read(id.String()+"/film.mp4", ""); code != http.StatusNotFound {
		t.Errorf("before it is fetched: %d", code)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	begun, done := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		_, err := to.Get(ctx, node.Get{ID: id, Size: -1, Path: filepath.Join(t.TempDir(), "film"), Progress: func(node.Progress) {
			select {
			case begun <- struct{}{}:
			default:
			}
		}})
		done <- err
	}()
	<-begun
	if code, data := read(id.String()+"/film.mp4", "2000000-2000099"); code != http.StatusPartialContent || !bytes.Equal(data, film[2_000_000:2_000_100]) {
		t.Errorf("while it arrives: %d, %d bytes", code, len(data))
	}
	select {
	case <-done:
		t.Error("it had come before it was read")
	default:
	}
	from.SetLimits(node.Limits{})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if code, data := read(id.String()+"/film.mp4", ""); code != http.StatusOK || !bytes.Equal(data, film) {
		t.Errorf("afterwards: %d, %d bytes", code, len(data))
	}
}
