package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// nginxConf serves a folder by one process, so that its CPU is that of one process.
const nginxConf = `daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server { listen %[2]s; root %[3]s; }
}
`

func serveNginx(ctx context.Context, t *task, check bool) (sv service, err error) {
	port, err := freePort()
	if err != nil {
		return sv, err
	}
	addr := net.JoinHostPort(t.host, strconv.Itoa(port))
	home, err := os.MkdirTemp(t.work, "nginx")
	if err != nil {
		return sv, err
	}
	root := filepath.Dir(t.source)
	if t.files > 1 {
		root = t.source
	}
	conf := filepath.Join(home, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, home, addr, root), 0o600); err != nil {
		return sv, err
	}
	if err := sv.start(t.command(ctx, "nginx", "-p", home, "-c", conf)); err != nil {
		return sv, err
	}
	file := filepath.Base(t.source)
	if t.files > 1 {
		file = name(0)
	}
	if err := answers(ctx, t.client("curl", "-sS", "-f", "-I", "http://"+addr+"/"+file)); err != nil {
		return sv, err
	}
	self, err := os.Executable()
	if err != nil {
		return sv, err
	}
	sv.fetch = func(k int) []string {
		args := []string{"curl", "-sS", "-f", "-o", t.target(k), "http://" + addr + "/" + file}
		if t.files > 1 {
			// One connection, one request after the other: its parallel mode was slower here.
			args = []string{"curl", "-sS", "-f", "-o", t.target(k) + "/f#1", fmt.Sprintf("http://%s/f[00000-%05d]", addr, t.files-1)}
		}
		if check {
			args = append([]string{"sh", "-c", `self=$1; target=$2; shift 2; "$@" && exec "$self" -b3 "$target"`, "sh", self, t.target(k)}, args...)
		}
		return t.client(args...)
	}
	return sv, nil
}
