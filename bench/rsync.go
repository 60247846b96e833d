package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// rsyncConf serves a folder to whoever asks.
const rsyncConf = `use chroot = no
address = %s
port = %d
[bench]
path = %s
read only = yes
uid = %d
gid = %d
`

// serveRsync lets rsync fetch a folder from its daemon, times and modes of the files included, as whole files.
func serveRsync(ctx context.Context, t *task) (sv service, err error) {
	port, err := freePort()
	if err != nil {
		return sv, err
	}
	conf := filepath.Join(t.work, "rsyncd.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, rsyncConf, t.host, port, t.source, os.Getuid(), os.Getgid()), 0o600); err != nil {
		return sv, err
	}
	if err := sv.start(t.command(ctx, "rsync", "--daemon", "--no-detach", "--config="+conf)); err != nil {
		return sv, err
	}
	url := "rsync://" + net.JoinHostPort(t.host, strconv.Itoa(port)) + "/bench/"
	if err := answers(ctx, t.client("rsync", "-q", "--list-only", url)); err != nil {
		return sv, err
	}
	sv.fetch = func(k int) []string { return t.client("rsync", "-a", "--whole-file", url, t.target(k)+"/") }
	return sv, nil
}
