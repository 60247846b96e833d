package transfer

import (
	"runtime"
	"testing"
	"time"
)

// TestQueuesGiveBack: what a peer had in its queue once takes no memory when it is answered, or peers that come and go, each
// with as much as it may have, would make a node grow to gigabytes.
func TestQueuesGiveBack(t *testing.T) {
	const peers, each = 128, 4096
	q := newTurns(nil)
	now := time.Unix(1000, 0)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range peers {
		for off := range int64(each) {
			q.push(peerAddr(i), want{offset: off, length: 1}, now)
		}
		for {
			if p, _, _ := q.next(nil, now); p == nil {
				break
			}
		}
	}
	if len(q.peers) != peers || q.bytes != 0 || q.dropped != 0 {
		t.Fatalf("%d peers, %d bytes, %d dropped", len(q.peers), q.bytes, q.dropped)
	}
	if grew := heap() - before; grew > 8<<20 { // the queues that are kept to be used again
		t.Errorf("%d peers without a request take %d KiB", peers, grew>>10)
	}
	runtime.KeepAlive(q)
}
