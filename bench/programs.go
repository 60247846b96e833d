package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// program is a pair of one that serves files and one that fetches them.
type program struct {
	name  string
	needs []string // executables, of which none may be absent
	// serve starts the servers and returns when they answer, with the command by which client k fetches to its target.
	serve func(ctx context.Context, t *task) (servers []*exec.Cmd, fetch func(k int) []string, err error)
}

// task is what the programs of a case have to do.
type task struct {
	scene
	place
	binary string
	work   string
	source string // a file, or the folder of files
}

// target is where client k puts what it fetches: a file, or a folder.
func (t *task) target(k int) string { return filepath.Join(t.work, fmt.Sprintf("copy%d", k)) }

// name is that of file i in the folder.
func name(i int) string { return fmt.Sprintf("f%05d", i) }

// command is a server's.
func (t *task) command(ctx context.Context, args ...string) *exec.Cmd {
	args = append(t.place.serve[:len(t.place.serve):len(t.place.serve)], args...)
	return exec.CommandContext(ctx, args[0], args[1:]...)
}

// client is a command of one who fetches.
func (t *task) client(args ...string) []string {
	return append(t.place.fetch[:len(t.place.fetch):len(t.place.fetch)], args...)
}

// programs are what is compared; the first is ours.
func programs() []program {
	return []program{
		{"sharer", nil, serveSharer},
		{"curl from nginx", []string{"nginx", "curl"}, func(ctx context.Context, t *task) ([]*exec.Cmd, func(int) []string, error) {
			return serveNginx(ctx, t, false)
		}},
		{"the same, then BLAKE3", []string{"nginx", "curl"}, func(ctx context.Context, t *task) ([]*exec.Cmd, func(int) []string, error) {
			return serveNginx(ctx, t, true)
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

func serveSharer(ctx context.Context, t *task) (servers []*exec.Cmd, fetch func(int) []string, err error) {
	var peers, links []string
	for i := range t.servers {
		server := t.command(ctx, t.binary, "seed", "--json", "-q", "--isolated", "--listen", t.host+":0", "--state-dir", filepath.Join(t.work, fmt.Sprintf("seed%d", i)), t.source)
		server.Stderr = os.Stderr
		out, err := server.StdoutPipe()
		if err == nil {
			err = server.Start()
		}
		if err != nil {
			return servers, nil, err
		}
		servers = append(servers, server)
		var at string
		if at, links, err = ready(out); err != nil {
			return servers, nil, err
		}
		peers = append(peers, "--peer", at)
	}
	list := filepath.Join(t.work, "links")
	if err := os.WriteFile(list, []byte(strings.Join(links, "\n")+"\n"), 0o600); err != nil {
		return servers, nil, err
	}
	return servers, func(k int) []string {
		from := "0.0.0.0:0"
		if t.host == "127.0.0.1" {
			from = "127.0.0.1:0"
		}
		get := append([]string{t.binary, "get", "-q", "--isolated", "--listen", from, "--state-dir", filepath.Join(t.work, fmt.Sprintf("get%d", k)), "-o", t.target(k)}, peers...)
		if t.files == 1 {
			return t.client(append(get, links[0])...)
		}
		return t.client(append([]string{"sh", "-c", `list=$1; shift; exec "$@" < "$list"`, "sh", list}, append(get, "-j", "64", "-")...)...)
	}, nil
}

// ready reads what a seeding node says until it answers: where it listens, and the links of its files.
func ready(out io.Reader) (at string, links []string, err error) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Type, Link string
			Listen     []string
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return "", nil, err
		}
		switch e.Type {
		case "file":
			links = append(links, e.Link)
		case "ready":
			if len(links) == 0 || len(e.Listen) == 0 {
				return "", nil, errors.New("sharer seed is ready without a link")
			}
			go func() { _, _ = io.Copy(io.Discard, out) }() // it ends with the server
			return e.Listen[0], links, nil
		}
	}
	return "", nil, errors.Join(errors.New("sharer seed ended before it was ready"), lines.Err())
}

// nginxConf serves a folder by one process, so that its CPU is that of one process.
const nginxConf = `daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server { listen %[2]s; root %[3]s; }
}
`

func serveNginx(ctx context.Context, t *task, check bool) (servers []*exec.Cmd, fetch func(int) []string, err error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0") // a port that is free now
	if err != nil {
		return nil, nil, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		return nil, nil, err
	}
	addr := net.JoinHostPort(t.host, port)
	home, err := os.MkdirTemp(t.work, "nginx")
	if err != nil {
		return nil, nil, err
	}
	root := filepath.Dir(t.source)
	if t.files > 1 {
		root = t.source
	}
	conf := filepath.Join(home, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, home, addr, root), 0o600); err != nil {
		return nil, nil, err
	}
	server := t.command(ctx, "nginx", "-p", home, "-c", conf)
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		return nil, nil, err
	}
	servers = []*exec.Cmd{server}
	file := filepath.Base(t.source)
	if t.files > 1 {
		file = name(0)
	}
	if err := answers(ctx, t.client("curl", "-sS", "-f", "-I", "http://"+addr+"/"+file)); err != nil {
		return servers, nil, fmt.Errorf("nginx: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return servers, nil, err
	}
	return servers, func(k int) []string {
		args := []string{"curl", "-sS", "-f", "-o", t.target(k), "http://" + addr + "/" + file}
		if t.files > 1 {
			// One connection, one request after the other: its parallel mode was slower here.
			args = []string{"curl", "-sS", "-f", "--create-dirs", "-o", t.target(k) + "/#1", fmt.Sprintf("http://%s/f[00000-%05d]", addr, t.files-1)}
			args[5] = t.target(k) + "/f#1"
		}
		if check {
			args = append([]string{"sh", "-c", `self=$1; target=$2; shift 2; "$@" && exec "$self" -b3 "$target"`, "sh", self, t.target(k)}, args...)
		}
		return t.client(args...)
	}, nil
}

// answers tries a command until it succeeds, ten seconds at most.
func answers(ctx context.Context, command []string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for tries := 500; ; tries-- {
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
		if err == nil {
			return nil
		}
		if tries == 0 {
			return fmt.Errorf("%w: %s", err, out)
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
