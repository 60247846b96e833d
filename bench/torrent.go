package main

import (
	"cmp"
	"context"
	"crypto/sha1" // what BitTorrent's first version is made of
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// bencode appends a value of a torrent: an int64, a string or a dictionary.
func bencode(dst []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		return fmt.Appendf(dst, "i%de", v)
	case string:
		return fmt.Appendf(dst, "%d:%s", len(v), v)
	case map[string]any:
		dst = append(dst, 'd')
		for _, key := range slices.Sorted(maps.Keys(v)) {
			dst = bencode(bencode(dst, key), v[key])
		}
	}
	return append(dst, 'e')
}

// torrent describes the source of a task, under the name of its file.
func (t *task) torrent(tracker string) ([]byte, error) {
	length := int64(256 << 10) // of a piece: some thousand of them at most
	for length < t.bytes()>>11 {
		length *= 2
	}
	pieces, err := pieceHashes(t.source, length)
	if err != nil {
		return nil, err
	}
	info := map[string]any{"name": filepath.Base(t.source), "length": t.size, "piece length": length, "pieces": string(pieces)}
	return bencode(nil, map[string]any{"announce": tracker, "info": info}), nil
}

// pieceHashes are those of a file, one behind the other.
func pieceHashes(path string, length int64) (hashes []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for {
		h := sha1.New()
		n, err := io.CopyN(h, f, length)
		if n > 0 {
			hashes = h.Sum(hashes)
		}
		if errors.Is(err, io.EOF) {
			return hashes, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// tracker tells whoever announces himself of all others that did, for one torrent and as long as they do not say that they stopped.
type tracker struct {
	mu    sync.Mutex
	peers map[netip.AddrPort]bool
}

func newTracker() *tracker { return &tracker{peers: map[netip.AddrPort]bool{}} }

func (t *tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if least, err := strconv.Atoi(r.FormValue("least")); err == nil { // one of us asks whether so many are there
		t.mu.Lock()
		defer t.mu.Unlock()
		if len(t.peers) < least {
			http.NotFound(w, r)
		}
		return
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	port, err2 := strconv.ParseUint(r.FormValue("port"), 10, 16)
	if err := cmp.Or(err, err2); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	who := netip.AddrPortFrom(from.Addr().Unmap(), uint16(port))
	t.mu.Lock()
	defer t.mu.Unlock()
	var others []byte
	for p := range t.peers {
		if p != who {
			a := p.Addr().As4()
			others = append(append(others, a[:]...), byte(p.Port()>>8), byte(p.Port()))
		}
	}
	if r.FormValue("event") == "stopped" {
		delete(t.peers, who)
	} else {
		t.peers[who] = true
	}
	_, _ = w.Write(bencode(nil, map[string]any{"interval": int64(1800), "peers": string(others)}))
}

// track serves a tracker until ctx ends.
func track(ctx context.Context, addr string) error {
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: newTracker(), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // Serve says that it was closed
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// openTorrent starts a tracker and writes the torrent; announced waits until so many have announced themselves.
func (t *task) openTorrent(ctx context.Context, sv *service) (file string, announced func(least int) error, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	addr := net.JoinHostPort(t.host, strconv.Itoa(port))
	if err := sv.start(t.command(ctx, self, "-tracker", addr)); err != nil {
		return "", nil, err
	}
	url := "http://" + addr + "/announce"
	text, err := t.torrent(url)
	if err != nil {
		return "", nil, err
	}
	file = filepath.Join(t.work, strconv.Itoa(port)+".torrent")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", nil, err
	}
	announced = func(least int) error {
		return answers(ctx, t.client("curl", "-sS", "-f", "-o", os.DevNull, fmt.Sprintf("%s?least=%d", url, least)))
	}
	return file, announced, announced(0)
}

// serveTorrent seeds with a program of BitTorrent, so many times as there are servers, to clients that find it, and one another, by a tracker.
// seed and fetch are its commands, each at a port of its own.
func (t *task) serveTorrent(ctx context.Context, seed func(file string, port int) []string, fetch func(file string, port int, target string) []string) (sv service, err error) {
	file, announced, err := t.openTorrent(ctx, &sv)
	if err != nil {
		return sv, err
	}
	for i := range t.servers {
		port, err := freePort()
		if err != nil {
			return sv, err
		}
		if err := sv.start(t.command(ctx, seed(file, port)...)); err != nil {
			return sv, err
		}
		if err := announced(i + 1); err != nil {
			return sv, err
		}
	}
	ports := make([]int, t.clients)
	for k := range ports {
		if ports[k], err = freePort(); err != nil {
			return sv, err
		}
	}
	sv.inside = filepath.Base(t.source)
	sv.fetch = func(k int) []string { return t.client(fetch(file, ports[k], t.target(k))...) }
	return sv, nil
}
