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

func serveRqbit(ctx context.Context, t *task) (service, error) {
	return t.serveTorrent(ctx, func(file string, port int) []string { // it checks what it has, and goes on seeding
		return t.rqbitCommand(t.host, port, filepath.Dir(t.source), file)
	}, func(file string, port int, target string) []string {
		return t.rqbitCommand("0.0.0.0", port, target, "-e", file)
	})
}
