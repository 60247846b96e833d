package main

import (
	"context"
	"path/filepath"
	"strconv"
)

// aria2 is a command that shares with those whom the tracker names, and nobody else.
func aria2(port int, dir string, args ...string) []string {
	return append([]string{"aria2c", "-q", "--no-conf", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false", "--disable-ipv6",
		"--file-allocation=none", "--max-overall-upload-limit=0", "--listen-port=" + strconv.Itoa(port), "-d", dir}, args...)
}

// serveAria2 seeds with aria2, so many times as there are servers, to clients that find it, and one another, by a tracker.
func serveAria2(ctx context.Context, t *task) (sv service, err error) {
	file, announced, err := t.openTorrent(ctx, &sv)
	if err != nil {
		return sv, err
	}
	for i := range t.servers {
		port, err := freePort()
		if err != nil {
			return sv, err
		}
		// It checks what it has before it offers it.
		if err := sv.start(t.command(ctx, aria2(port, filepath.Dir(t.source), "--check-integrity", "--seed-ratio=0", file)...)); err != nil {
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
	sv.fetch = func(k int) []string { return t.client(aria2(ports[k], t.target(k), "--seed-time=0", file)...) }
	return sv, nil
}
