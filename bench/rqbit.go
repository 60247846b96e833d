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

// serveRqbit seeds a copy: rqbit opens what it seeds for writing and sets its length, upon which sharer, which seeds the same file in
// place, does not take it for what it has hashed any more.
func serveRqbit(ctx context.Context, t *task) (service, error) {
	dir := filepath.Join(t.work, "rqbit")
	if _, err := t.ownCopy(dir); err != nil {
		return service{}, err
	}
	return t.serveTorrent(ctx, func(file string, port int) []string { // it checks what it has, and goes on seeding
		return t.rqbitCommand("0.0.0.0", port, dir, file) // of one that listens on 127.0.0.1 it tells another port
	}, func(file string, port int, target string) []string {
		return t.rqbitCommand("0.0.0.0", port, target, "-e", file)
	})
}
