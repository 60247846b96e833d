package mirror

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Hooks are commands of the operator, run by the system's shell when something has happened.
type Hooks struct {
	Update string        `json:"on_update,omitempty"`      // a version has become current
	Hold   string        `json:"on_hold,omitempty"`        // a version is held, or the mirror frozen
	Full   string        `json:"on_full,omitempty"`        // for want of room
	Scrub  string        `json:"on_scrub_error,omitempty"` // damage was found
	Limit  time.Duration `json:"limit,omitempty"`          // ns; 0: a minute
}

const (
	hookLimit  = time.Minute
	hookOutput = 4096 // bytes that are logged
)

// runHook runs a command, at most limit, and returns what it said.
func runHook(ctx context.Context, command string, limit time.Duration, env []string) (string, error) {
	if limit <= 0 {
		limit = hookLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	shell, flag := "/bin/sh", "-c"
	if runtime.GOOS == "windows" {
		shell, flag = "cmd", "/C"
	}
	cmd := exec.CommandContext(ctx, shell, flag, command)
	cmd.Env = append(os.Environ(), env...)
	var out head
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // for what it has started and left
	whole(cmd)
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it has ended well, and left something running
	}
	if ctx.Err() == context.DeadlineExceeded {
		err = errors.New("took longer than " + limit.String())
	}
	return strings.TrimSpace(strings.ToValidUTF8(out.String(), "?")), err
}

// head keeps the beginning of what is written.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	if left := hookOutput - h.Len(); left > 0 {
		h.Buffer.Write(p[:min(left, len(p))])
	}
	return len(p), nil
}
