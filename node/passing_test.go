package node

import (
	"context"
	"fmt"
	"testing"
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
