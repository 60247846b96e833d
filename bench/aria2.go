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

func serveAria2(ctx context.Context, t *task) (service, error) {
	return t.serveTorrent(ctx, func(file string, port int) []string { // it checks what it has before it offers it
		return aria2(port, filepath.Dir(t.source), "--check-integrity", "--seed-ratio=0", file)
	}, func(file string, port int, target string) []string {
		return aria2(port, target, "--seed-time=0", file)
	})
}
