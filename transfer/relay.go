package transfer

import (
	"net/netip"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// Nodes of the swarm that fetch give on what they have, know no ranges (wire.md section 12), and fetch in order. This
// file lets a download work with them in both directions: front is what such a peer is asked for, and vain is what
// one asked us for before it was here.

const (
	frontFirst = 16              // blocks that a front begins with
	frontMost  = 1024            // blocks of a front that has gone so well that there is none
	frontIdle  = time.Second     // until a peer with a front is asked again after it had nothing
	vainBlocks = stripeBlocks    // after a block that was asked for in vain, those that will be asked for next
	vainTime   = 2 * time.Second // so long they are fetched first
	maxVain    = 4               // windows
)

// front bounds what a peer is asked for that gave content, then had nothing, and does not say what it
// holds: the first blocks that are missing here, since it most likely fetches in order too. It grows
// with each block that comes, and shrinks to its beginning when the peer has nothing again.
type front int64

// shut is told that the peer has nothing of what it was asked for.
func (f *front) shut() { *f = frontFirst }

// came is told of a block.
func (f *front) came() {
	switch {
	case *f >= frontMost:
		*f = 0
	case *f > 0:
		*f++
	}
}

// reach is what may be asked of a peer with this front, done being what is here of blocks blocks.
func (f front) reach(done chunk.Ranges, blocks int64) reach {
	gap, ok := done.NextGap(0, blocks)
	if !ok {
		return holding()
	}
	return holding(chunk.Range{From: gap.From, To: min(gap.From+int64(f), blocks)})
}

// reachOf is what s may be asked for.
func (d *Download) reachOf(s *source) reach {
	if s.front > 0 && s.reach.have == nil {
		return s.front.reach(d.pick.done, d.pick.blocks)
	}
	return s.reach
}

// vain is a request for a block that is not here yet, or for a part of the tree.
type vain struct {
	from  netip.AddrPort
	tree  bool
	block int64
	at    time.Time
}

// vains are the last of them, the latest first, one for each asker. It bounds its own length.
type vains []vain

// add notes one.
func (vs *vains) add(v vain) {
	kept := append(make(vains, 0, maxVain), v)
	for _, o := range *vs {
		if o.from != v.from && len(kept) < maxVain {
			kept = append(kept, o)
		}
	}
	*vs = kept
}

// windows appends the blocks that are wanted for the askers' sake, at most until there are limit.
func (vs vains) windows(dst []chunk.Range, limit int, now time.Time) []chunk.Range {
	for _, v := range vs {
		if len(dst) < limit && now.Sub(v.at) < vainTime {
			dst = append(dst, chunk.Range{From: v.block, To: v.block + vainBlocks})
		}
	}
	return dst
}

// AskedInVain is told that a peer asked for a block, at an offset in bytes, of a content that is being
// fetched and has not come to it, or for a part of its tree. If the peer does not know ranges, the download goes on there: the
// peer will ask for it again and for what follows, and of the tree it wants all before anything else. It never waits.
func (ds *Downloads) AskedInVain(id chunk.ID, from netip.AddrPort, offset int64) {
	tree := id.Kind == chunk.BLAKE3Tree
	ds.mu.RLock()
	d := ds.running[id.Hash][contentID(id).Kind]
	ds.mu.RUnlock()
	if d == nil || offset < 0 {
		return
	}
	select {
	case d.vain <- vain{from: from, tree: tree, block: offset / chunk.BlockSize, at: time.Now()}:
	default: // it will ask again
	}
}

// askedInVain takes one of those. Who says ranges is told ranges, and finds what is here.
func (d *Download) askedInVain(v vain) {
	switch s := d.byAddr[v.from]; {
	case s != nil && s.reach.have != nil:
	case v.tree:
		d.wholeTree = true
	case v.block < d.pick.blocks && !d.pick.done.Has(v.block):
		d.vains.add(v)
	}
}

// unavailable is the answer to a request for a block that is not here.
func (u *Uploads) unavailable(to netip.AddrPort, w want, now time.Time) []wire.Message {
	if u.cfg.InVain != nil {
		u.cfg.InVain(w.id, to, w.offset)
	}
	return u.elsewhere(wire.Sender{Addr: to, Proven: true}, w.id, w.content.Have(w.offset, maxHave), now)
}
