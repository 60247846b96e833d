//go:build unix

package main

import (
	"context"
	"slices"
	"syscall"
	"testing"

	"sharer/daemon"
)

var usr1 = syscall.SIGUSR1

// hungUp is a node that notes whether SIGHUP asks to read the settings again while it closes.
type hungUp struct {
	*fakeNode
	asks *[]bool
}

func (n hungUp) Close() error {
	*n.asks = append(*n.asks, reloads.Load())
	return n.fakeNode.Close()
}

// TestHangUpWhileItEnds: SIGHUP that comes while a daemon opens or closes, as of who reads the settings again just when it is stopped, does not
// end it before it has closed.
func TestHangUpWhileItEnds(t *testing.T) {
	c := newConsole(t)
	var asks []bool
	s := c.stdio(nil, nil)
	s.out, s.err = t.Output(), t.Output()
	s.open = func(d daemon.Config) (peer, error) {
		asks = append(asks, reloads.Load())
		p, err := c.net.start(d.Node)
		return hungUp{p.(*fakeNode), &asks}, err
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&interrupted{syscall.SIGTERM})
	if code := run(ctx, []string{"daemon", "--state-dir", t.TempDir(), "--http", "off"}, s); code != 0 || !slices.Equal(asks, []bool{true, true}) {
		t.Errorf("exit %d; while it opens and while it closes SIGHUP is for the settings: %v", code, asks)
	}
	if reloads.Load() {
		t.Error("after its end SIGHUP is for the settings still")
	}
}
