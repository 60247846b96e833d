package node

import (
	"testing"
	"time"

	"sharer/transfer"
)

// What people are told of a download, and that one to which nothing comes has no rate by which its end could be told.
func TestStates(t *testing.T) {
	for _, c := range []struct {
		look transfer.Progress
		want State
		rate float64
	}{
		{transfer.Progress{Total: -1}, LookingForPeers, 100},
		{transfer.Progress{Total: -1, Asked: 3}, Waiting, 100},
		{transfer.Progress{Total: -1, Asked: 3, Silent: time.Minute}, Waiting, 100},
		{transfer.Progress{Total: 9000, Found: true, Asked: 3, Sources: 1, Silent: silence - 1}, Downloading, 100},
		{transfer.Progress{Total: 9000, Found: true, Asked: 3, Sources: 1, Silent: silence}, Waiting, 0},
		{transfer.Progress{Total: 9000, Found: true, Asked: 3, Sources: 1, Silent: time.Minute, Verifying: true}, Verifying, 100},
		{transfer.Progress{Total: 500, Found: true, Asked: 3, Sources: 1, Silent: time.Minute}, Done, 100},
	} {
		var r rateMeter
		now := time.Unix(1000, 0)
		r.rate(0, now)
		c.look.Done = 500
		if p := r.progress(c.look, now.Add(5*time.Second)); p.State != c.want || p.Rate != c.rate {
			t.Errorf("%+v: %q at %v, want %q at %v", c.look, p.State, p.Rate, c.want, c.rate)
		}
	}
}
