package main

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// serveGateway serves the file by the HTTP of a seeding node.
func serveGateway(ctx context.Context, t *task) (sv service, err error) {
	port, err := freePort()
	if err != nil {
		return sv, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	server := t.command(ctx, t.sharer, "seed", "--json", "-q", "--isolated", "--listen", "127.0.0.1:0", "--http", addr,
		"--state-dir", filepath.Join(t.work, "gateway"), t.source)
	out, err := server.StdoutPipe()
	if err == nil {
		err = sv.start(server)
	}
	if err != nil {
		return sv, err
	}
	s, err := ready(out)
	if err != nil {
		return sv, err
	}
	path, _, _ := strings.Cut(strings.TrimPrefix(s.link, "lcdp://"), "?")
	sv.fetch = func(k int) []string {
		return t.client("curl", "-sS", "-f", "-o", t.target(k), "http://"+addr+"/"+path)
	}
	return sv, nil
}
