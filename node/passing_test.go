package node

import (
	"context"
	"fmt"
	"testing"

	"sharer/chunk"
)

// TestPassing: what arrives only for a while leaves no counter behind, however much of it there is; below a root it is counted
// with that.
func TestPassing(t *testing.T) {
	l := newLibrary(context.Background(), nil, nil)
	l.isRoot["/kept"] = true
	for i := range 100 {
		l.passing(fmt.Sprint("/tmp/page", i)).Add(1)
		l.passing(fmt.Sprint("/kept/new/", i)).Add(1)
	}
	if len(l.served) != 1 || l.served["/kept"].Load() != 100 {
		t.Errorf("%d counters, %v", len(l.served), l.served["/kept"])
	}
	if l.counter("/a/file").Add(1); l.counter("/a/file").Load() != 1 {
		t.Error("what stays is not counted by itself")
	}
}

// TestArrivesTwice: of two downloads of one content the first is served, which has some of it, as long as it runs; the other waits.
func TestArrivesTwice(t *testing.T) {
	l := newLibrary(context.Background(), nil, nil)
	id := chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{1}}
	first, second := &fetching{}, &fetching{}
	found := func() *fetching {
		c, _ := l.Find(id)
		f, _ := c.(*fetching)
		return f
	}
	endFirst, endSecond := l.arrives(id, first), l.arrives(id, second)
	if found() != first {
		t.Error("the one that waits is served")
	}
	endSecond()
	if found() != first {
		t.Error("the first is served no more when the other has given up")
	}
	endSecond = l.arrives(id, second)
	endFirst()
	if found() != second {
		t.Error("the other is not served when its turn has come")
	}
	if endSecond(); found() != nil || len(l.coming) > 0 {
		t.Error("what has ended is served")
	}
}
