package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// mib is a MiB, in bytes.
const mib = 1 << 20

// anonymous is the anonymous memory of a process now, in MiB (proc(5), status): pages of files, as those of the index, are not its own.
func anonymous(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(text), "RssAnon:")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		return 0, errors.New("no RssAnon")
	}
	kib, err := strconv.ParseFloat(fields[0], 64)
	return kib / 1024, err
}

// seedFor starts a node that seeds path until ctx ends; wait is for after that.
func (c *config) seedFor(ctx context.Context, dir, path string, more ...string) (s seeding, server *exec.Cmd, err error) {
	args := append([]string{"seed", "--json", "-q", "--isolated", "--listen", "127.0.0.1:0", "--state-dir", filepath.Join(dir, "state")}, more...)
	server = exec.CommandContext(ctx, c.sharer, append(args, path)...)
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		return s, nil, err
	}
	s, err = ready(out)
	return s, server, err
}

// ended is what a process took.
type ended struct {
	seconds, cpu float64
	memory       float64 // the most anonymous memory that was seen, in MiB
}

// watch runs a command to its end and looks at its memory every ten milliseconds.
func watch(cmd *exec.Cmd) (e ended, err error) {
	var said bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &said
	}
	cmd.Stderr = &said
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return e, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return e, fmt.Errorf("%w: %s", err, said.Bytes())
			}
			e.seconds = time.Since(begun).Seconds()
			e.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
			return e, nil
		case <-tick.C:
			if m, err := anonymous(cmd.Process.Pid); err == nil { // it may have ended just now
				e.memory = max(e.memory, m)
			}
		}
	}
}

// getArgs begins a get that keeps nothing.
func (c *config) getArgs(dir string, more ...string) []string {
	return append([]string{"get", "-q", "--isolated", "--listen", "127.0.0.1:0", "--state-dir", filepath.Join(dir, "get-state")}, more...)
}

// inFolder gives f a folder for its files, which is gone afterwards, and a context that ends before that.
func (c *config) inFolder(ctx context.Context, f func(ctx context.Context, dir string) error) (err error) {
	dir, err := os.MkdirTemp(c.work, "case")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return f(ctx, dir)
}

// during has a server run until f has ended.
func during(server *exec.Cmd, cancel context.CancelFunc, f func() error) error {
	err := f()
	cancel()
	_ = server.Wait() // killed: its error says so
	return err
}
