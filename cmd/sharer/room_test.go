package main

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sharer/node"
)

// A command that fetches by itself ends, with the code of a full disk, when the rest would take what --min-free leaves.
func TestMinFree(t *testing.T) {
	c := newConsole(t)
	delete(c.env, "SHARER_MIN_FREE")
	id, _ := c.net.add(t, "content")
	for _, tc := range []struct {
		size int64
		flag string
		want exit
	}{
		{math.MaxInt64 / 2, "1G", exitFull},
		{math.MaxInt64 / 2, "", exitFull}, // 1 GiB or 1 %
		{math.MaxInt64 / 2, "0", exitDone},
		{7, "1000000T", exitFull},
		{7, "1", exitDone},
	} {
		c.net.total = tc.size
		args := []string{"get", id.String(), "-o", filepath.Join(t.TempDir(), "a")}
		if tc.flag != "" {
			args = append(args, "--min-free", tc.flag)
		}
		r := c.run(t.Context(), args...)
		if r.code != tc.want {
			t.Errorf("%d bytes with --min-free %q: exit %d, want %d: %s", tc.size, tc.flag, r.code, tc.want, r.err)
		}
		if tc.want == exitFull && !strings.Contains(r.err, "--min-free") {
			t.Errorf("it says %q, and not what --min-free is", r.err)
		}
	}
}

// The disk is asked once a second, and not for what has come.
func TestRoomLooks(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	now := time.Now()
	r := &room{path: filepath.Join(t.TempDir(), "a"), least: math.MaxInt64, stop: stop, now: func() time.Time { return now }}
	r.look(node.Progress{Total: -1})
	r.look(node.Progress{Total: 5, Done: 5})
	r.looked = now
	now = now.Add(time.Second - 1)
	r.look(node.Progress{Total: 5})
	if ctx.Err() != nil {
		t.Error("it was ended without a look at the disk")
	}
	now = now.Add(1)
	r.look(node.Progress{Total: 5})
	if err := r.end(ctx, context.Canceled); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v, want that the disk is full", err)
	}
}
