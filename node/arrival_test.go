package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"sharer/chunk"
)

// Whoever wants a content again in the moment in which its download is stopped waits for that, and begins another one.
func TestJoinWhatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var as arrivals
		id := chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{1}}
		stopped := 0
		start := func() (*arrival, error) {
			return &arrival{of: &as, id: id, changed: make(chan struct{}), cancel: func() { stopped++ }}, nil
		}
		first, err := as.join(t.Context(), []chunk.ID{id}, false, start)
		if err != nil {
			t.Fatal(err)
		}
		first.leave()
		first.stopIfIdle()
		if stopped != 1 {
			t.Fatalf("stopped %d times", stopped)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := as.join(gone, []chunk.ID{id}, false, start); !errors.Is(err, context.Canceled) {
			t.Errorf("who has gone joins: %v", err)
		}
		var second *arrival
		joined := make(chan struct{})
		go func() {
			defer close(joined)
			second, err = as.join(t.Context(), []chunk.ID{id}, false, start)
		}()
		synctest.Wait()
		if second != nil {
			t.Fatal("it joins what has been stopped")
		}
		first.end(context.Canceled)
		<-joined
		if err != nil || second == first || second.readers != 1 || first.readers != 0 {
			t.Errorf("%v, the same one: %t", err, second == first)
		}
	})
}

// A content that has failed is told of once, and no more when it is tried again.
func TestFailedOnce(t *testing.T) {
	var n Node
	as := &n.arrivals
	for range 3 {
		a, ok := as.begin(Get{ID: chunk.ID{Kind: chunk.SHA256, Hash: chunk.Hash{1}}})
		if list := n.Incoming(); !ok || len(list) != 1 || list[0].Err != nil {
			t.Fatalf("%t, while it is tried: %+v", ok, list)
		}
		a.end(ErrNotFound)
		if list := n.Incoming(); len(list) != 1 || !errors.Is(list[0].Err, ErrNotFound) {
			t.Fatalf("after it has failed: %+v", list)
		}
	}
}

// A size that nobody has proven makes no more room than what comes needs.
func TestRoomForClaims(t *testing.T) {
	const big = 1 << 40
	for _, c := range []struct {
		p    Progress
		sure bool
		want int64
	}{
		{Progress{Total: -1}, false, -1}, {Progress{Total: -1}, true, -1}, {Progress{Total: 10}, false, 10}, {Progress{Total: big}, true, big},
		{Progress{Total: big}, false, claimStep}, {Progress{Total: big, Done: 5}, false, claimStep + 5}, {Progress{Total: big, Done: big}, false, big},
	} {
		if got := roomFor(c.p, c.sure); got != c.want {
			t.Errorf("%+v, %t: %d, want %d", c.p, c.sure, got, c.want)
		}
	}
}

// Who wants a content kept that has just come, and is about to be told of as here, has it kept.
func TestKeepWhatHasJustCome(t *testing.T) {
	n, err := Start(Config{Listen: []string{"127.0.0.1:0"}, Isolated: true, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	sums, err := n.Store().Put(t.Context(), "x", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	id := chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}
	a := &arrival{of: &n.arrivals, id: id, changed: make(chan struct{}), cancel: func() {}}
	n.arrivals.mu.Lock()
	n.arrivals.putLocked(a)
	n.arrivals.mu.Unlock()
	if _, err := n.arrivals.join(t.Context(), []chunk.ID{id}, true, nil); err != nil {
		t.Fatal(err)
	}
	n.finish(a, nil)
	if e, ok := n.Store().Find(id); !ok || !slices.Contains(e.Pins, PinKept) {
		t.Errorf("%+v", e)
	}
}
