package main

import (
	"context"
	"path/filepath"
	"strconv"
)

// rqbitCommand is a command of rqbit that shares with those whom the tracker names, and nobody else.
func (t *task) rqbitCommand(host string, port int, dir string, args ...string) []string {
	common := []string{t.rqbit, "-v", "error", "--disable-dht", "--disable-lsd", "--disable-upnp-port-forward", "--ipv4-only", "--listen-ip", host, "--listen-port", strconv.Itoa(port),
		"download", "--disable-http-api", "--overwrite", "-o", dir}
	return append(common, args...)
}

// serveRqbit seeds with rqbit, so many times as there are servers, to clients that find it, and one another, by a tracker.
func serveRqbit(ctx context.Context, t *task) (sv service, err error) {
	file, announced, err := t.openTorrent(ctx, &sv)
	if err != nil {
		return sv, err
	}
	for i := range t.servers {
		port, err := freePort()
		if err != nil {
			return sv, err
		}
		// It checks what it has, and goes on seeding.
		if err := sv.start(t.command(ctx, t.rqbitCommand(t.host, port, filepath.Dir(t.source), file)...)); err != nil {
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
	sv.fetch = func(k int) []string { return t.client(t.rqbitCommand("0.0.0.0", ports[k], t.target(k), "-e", file)...) }
	return sv, nil
}
