package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sharer/control"
)

const (
	startGrace = 300 * time.Millisecond // for a process to say that it starts, as after: sharer daemon & sharer seed -d DIR
	startTime  = 3 * time.Second        // for one that has said so to answer
	startLook  = 20 * time.Millisecond
)

// starting waits for a daemon that is about to answer: for a moment, and longer while a process owns the state folder.
func starting(ctx context.Context, dir string) (*control.Client, error) {
	look := time.NewTicker(startLook)
	defer look.Stop()
	for begun := time.Now(); ; {
		if owned := owned(dir); time.Since(begun) >= startTime || !owned && time.Since(begun) >= startGrace {
			return nil, control.ErrNone
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-look.C:
		}
		if c, err := control.Dial(ctx, dir); !errors.Is(err, control.ErrNone) {
			return c, err
		}
	}
}

// owned says whether a process that lives has said that the state folder is its own.
func owned(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 {
		return false
	}
	p, err := os.FindProcess(pid)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}
