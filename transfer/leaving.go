package transfer

import (
	"time"

	"sharer/swarm"
	"sharer/wire"
)

// Who asks a node that ends finds out by timeouts, one after the other, and what it asked of it nobody else brings meanwhile: a third
// of a second each, and more where several leave a crowd. So a node that ends says so, in words that are there: it holds no range of what
// they ask for. It is lost as easily as anything; then the timeouts are as before.
const (
	leavingSpan = time.Second // who has not asked for so long is not told
	leavingMost = 256         // peers that are told: 40 KB
	leavingTold = 4           // others that are named to each
)

// Leaving is closed when Run has told those who asked that it ends.
func (u *Uploads) Leaving() <-chan struct{} { return u.left }

// sayLeaving tells those who have just asked that nothing is here, and who else may have it.
func (u *Uploads) sayLeaving(now time.Time) {
	u.mu.Lock()
	var asking []*upPeer
	for _, p := range u.turns.peers {
		if now.Sub(p.used) < leavingSpan && p.named.Valid() && len(asking) < leavingMost {
			asking = append(asking, p)
		}
	}
	u.mu.Unlock()
	for _, p := range asking {
		peers := u.cfg.Holders.Tell(p.named, p.addr, leavingTold, now)
		if buf, ok := u.cfg.Batch.Open(p.addr, 0, swarm.Reply); ok {
			u.cfg.Batch.Close(wire.AppendMessage(buf, wire.MaybeTheyHaveSome{ID: []byte(p.named.String()), Peers: peers, Have: []wire.Range{}}), 0)
		}
	}
	if err := u.cfg.Batch.Flush(); err != nil {
		u.failed.Add(1) // they find out
	}
}
