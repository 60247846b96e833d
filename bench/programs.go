package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// program is a pair of one that serves files and one that fetches them.
type program struct {
	name  string
	needs []string           // executables, of which none may be absent
	fits  func(s scene) bool // the cases that it has an answer to; nil: all
	ours  bool               // it takes part whatever -only says
	// serve starts the servers and returns when they answer.
	serve func(ctx context.Context, t *task) (service, error)
}

// service is what a program serves with. Servers are to be ended by the caller, also beside an error.
type service struct {
	servers []*exec.Cmd
	fetch   func(k int) []string // the command by which client k fetches to its target
	inside  string               // where in its target the files are; empty: the target itself
}

// task is what the programs of a case have to do.
type task struct {
	scene
	place
	tools
	work   string
	source string // a file, or the folder of files
}

// tools are executables that were named.
type tools struct {
	sharer string // empty: built from this tree
	rqbit  string // of these, empty: left out
	sendme string
	cjp2p  string
}

// target is where client k puts what it fetches: a file, or a folder.
func (t *task) target(k int) string { return filepath.Join(t.work, fmt.Sprintf("copy%d", k)) }

// scratch is a folder for what client k keeps while it runs. Each run finds it empty, so that none goes on from an earlier one.
func (t *task) scratch(k int) string { return filepath.Join(t.work, fmt.Sprintf("scratch%d", k)) }

// name is that of file i in the folder.
func name(i int) string { return fmt.Sprintf("f%05d", i) }

// command is a server's.
func (t *task) command(ctx context.Context, args ...string) *exec.Cmd {
	args = append(t.place.serve[:len(t.place.serve):len(t.place.serve)], args...)
	server := exec.CommandContext(ctx, args[0], args[1:]...)
	server.Stderr = os.Stderr
	return server
}

// start starts a server and keeps it in sv.
func (sv *service) start(server *exec.Cmd) error {
	if err := server.Start(); err != nil {
		return err
	}
	sv.servers = append(sv.servers, server)
	return nil
}

// client is a command of one who fetches.
func (t *task) client(args ...string) []string {
	return append(t.place.fetch[:len(t.place.fetch):len(t.place.fetch)], args...)
}

// programs are what is compared; the first is ours.
func (x tools) programs() []program {
	many := func(s scene) bool { return s.files > 1 }
	single := func(s scene) bool { return s.files == 1 }
	all := []program{
		{name: "sharer", ours: true, serve: serveSharer},
		{name: "sharer, one source", ours: true, fits: func(s scene) bool { return s.servers > 1 }, serve: serveOne},
		{name: "curl from nginx", needs: []string{"nginx", "curl"}, serve: func(ctx context.Context, t *task) (service, error) {
			return serveNginx(ctx, t, false)
		}},
		{name: "the same, then BLAKE3", needs: []string{"nginx", "curl"}, serve: func(ctx context.Context, t *task) (service, error) {
			return serveNginx(ctx, t, true)
		}},
		{name: "curl from our gateway", needs: []string{"curl"}, fits: func(s scene) bool { return single(s) && s.path == (path{}) }, serve: serveGateway},
		{name: "rsync from its daemon", needs: []string{"rsync"}, fits: many, serve: serveRsync},
		{name: "BitTorrent, aria2", needs: []string{"aria2c", "curl"}, fits: single, serve: serveAria2},
	}
	if x.rqbit != "" {
		all = append(all, program{name: "BitTorrent, rqbit", needs: []string{x.rqbit, "curl"}, fits: single, serve: serveRqbit})
	}
	if x.sendme != "" {
		all = append(all, program{name: "iroh-blobs, sendme", needs: []string{x.sendme}, fits: single, serve: serveSendme})
	}
	if x.cjp2p != "" {
		all = append(all, program{name: "LCDP, cjp2p-rust", needs: []string{x.cjp2p}, fits: single, serve: serveCjp2p})
	}
	return all
}

// wary says whether a program takes part that could look for others outside: then nothing runs where a route leads out.
func (x tools) wary() bool { return x.rqbit != "" || x.sendme != "" || x.cjp2p != "" }

// absent returns the first executable that is not there.
func (p program) absent() string {
	for _, name := range p.needs {
		if _, err := exec.LookPath(name); err != nil {
			return name
		}
	}
	return ""
}

// freePort is a TCP port that nobody has now.
func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// answers tries a command until it succeeds, half a minute at most.
func answers(ctx context.Context, command []string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w: %s", command[len(command)-1], ctx.Err(), err, out)
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

// ownCopy copies the source into a folder of a program that changes what it shares.
func (t *task) ownCopy(dir string) (file string, err error) {
	file = filepath.Join(dir, filepath.Base(t.source))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	return file, copyFile(file, t.source)
}

func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
