package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// program is a pair of one that serves the file and one that fetches it.
type program struct {
	name  string
	needs []string // executables, of which none may be absent
	// serve starts the server and returns when it answers, with the command that fetches
	// the file to target.
	serve func(ctx context.Context, path, target string) (server *exec.Cmd, fetch []string, err error)
}

// programs are what is compared; the first is ours.
func programs(binary, work string) []program {
	return []program{
		{"sharer", nil, func(ctx context.Context, path, target string) (*exec.Cmd, []string, error) {
			return serveSharer(ctx, binary, work, path, target)
		}},
		{"curl from nginx", []string{"nginx", "curl"}, func(ctx context.Context, path, target string) (*exec.Cmd, []string, error) {
			return serveNginx(ctx, work, path, target)
		}},
	}
}

// absent returns the first executable that is not there.
func (p program) absent() string {
	for _, name := range p.needs {
		if _, err := exec.LookPath(name); err != nil {
			return name
		}
	}
	return ""
}

func build(ctx context.Context, work string) (string, error) {
	path := filepath.Join(work, "sharer")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "sharer/cmd/sharer").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sharer: %w: %s", err, out)
	}
	return path, nil
}

func serveSharer(ctx context.Context, binary, work, path, target string) (*exec.Cmd, []string, error) {
	server := exec.CommandContext(ctx, binary, "seed", "--json", "-q", "--isolated", "--listen", "127.0.0.1:0", "--state-dir", filepath.Join(work, "seed"), path)
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		return nil, nil, err
	}
	var e struct {
		Type, Link string
		Listen     []string
	}
	for lines := bufio.NewScanner(out); e.Type != "ready"; {
		if !lines.Scan() {
			return nil, nil, errors.Join(errors.New("sharer seed ended before it was ready"), lines.Err(), server.Wait())
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, nil, err
		}
	}
	return server, []string{binary, "get", "-q", "--isolated", "--listen", "127.0.0.1:0", "--state-dir", filepath.Join(work, "get"), "--peer", e.Listen[0], e.Link, "-o", target}, nil
}

// nginxConf serves a folder by one process, so that its CPU is that of one process.
const nginxConf = `daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	access_log off; sendfile on; tcp_nopush on;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server { listen %[2]s; root %[3]s; }
}
`

func serveNginx(ctx context.Context, work, path, target string) (*exec.Cmd, []string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0") // a port that is free now
	if err != nil {
		return nil, nil, err
	}
	addr := l.Addr().String()
	home := filepath.Join(work, "nginx")
	conf := filepath.Join(home, "nginx.conf")
	if err := errors.Join(l.Close(), os.MkdirAll(home, 0o700)); err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, home, addr, filepath.Dir(path)), 0o600); err != nil {
		return nil, nil, err
	}
	var said bytes.Buffer
	server := exec.CommandContext(ctx, "nginx", "-p", home, "-c", conf)
	server.Stderr = &said
	if err := server.Start(); err != nil {
		return nil, nil, err
	}
	url := "http://" + addr + "/" + filepath.Base(path)
	if err := answers(ctx, url); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("nginx: %w", err), server.Process.Kill(), server.Wait(), errors.New(said.String()))
	}
	return server, []string{"curl", "-sS", "-f", "-o", target, url}, nil
}

// answers waits until a server does, ten seconds at most.
func answers(ctx context.Context, url string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for tries := 500; ; tries-- {
		r, err := http.Head(url)
		if err == nil {
			return r.Body.Close()
		}
		if tries == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fill writes size bytes that do not compress.
func fill(path string, size int64, from io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, from, size)
	return errors.Join(err, f.Close())
}
