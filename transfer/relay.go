package transfer

import (
	"net/netip"
	"slices"
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
	frontLacks = 16              // blocks that a peer is remembered not to have
	manyNones  = 2 * frontFirst  // times in a row that it has not what it was asked for: then it has none of the rest
	vainBlocks = stripeBlocks    // after a block that was asked for in vain, those that will be asked for next
	vainTime   = 2 * time.Second // so long they are fetched first
	maxVain    = 4               // windows
)

// front bounds what a peer is asked for that gave content, then had nothing, and does not say what it
// holds: since it most likely fetches in order too, what is missing here behind the block that it gave last, and a few of the first that
// are missing: what was lost on its way to the peer may come to that at the very end. It grows
// with each block that comes, and shrinks to its beginning when the peer has nothing again.
type front struct {
	size  int64   // blocks that are missing here; 0: there is none
	last  int64   // the block that the peer gave last
	lacks []int64 // blocks that it had not lately: one that it lost is no reason not to ask for those behind
	since time.Time
}

// shut is told that the peer has nothing of what it was asked for.
func (f *front) shut() { f.size, f.lacks = frontFirst, f.lacks[:0] }

// came is told of a block.
func (f *front) came(block int64) {
	f.last = block
	switch {
	case f.size >= frontMost:
		f.size = 0
	case f.size > 0:
		f.size++
	}
}

// lack is told of a block that the peer has not.
func (f *front) lack(block int64, now time.Time) {
	if !f.fresh(now) || len(f.lacks) >= frontLacks {
		f.lacks, f.since = f.lacks[:0], now
	}
	f.lacks = append(f.lacks, block)
}

// fresh says whether what the peer lacks was said lately.
func (f *front) fresh(now time.Time) bool { return now.Sub(f.since) < frontIdle }

// lacking says whether the peer had not a block lately.
func (f *front) lacking(block int64, now time.Time) bool {
	return f.fresh(now) && slices.Contains(f.lacks, block)
}

// reach is what may be asked of a peer with this front, done being what is here of blocks blocks.
func (f *front) reach(done chunk.Ranges, blocks int64, now time.Time) reach {
	r := holding()
	if f.size == 0 {
		r.have.Add(0, blocks)
	} else {
		addMissing(r.have, done, 0, blocks, frontFirst)
		addMissing(r.have, done, f.last, blocks, f.size)
	}
	if f.fresh(now) {
		for _, b := range f.lacks {
			r.have.Remove(b, b+1)
		}
	}
	return r
}

// addMissing adds to what has been chosen the first n blocks from one on that are not done.
func addMissing(to *chunk.Ranges, done chunk.Ranges, from, blocks, n int64) {
	for n > 0 {
		gap, ok := done.NextGap(from, blocks)
		if !ok {
			return
		}
		from = min(gap.To, gap.From+n)
		n -= from - gap.From
		to.Add(gap.From, from)
	}
}

// reachOf is what s may be asked for.
func (d *Download) reachOf(s *source, now time.Time) reach {
	if s.reach.have == nil && (s.front.size > 0 || len(s.front.lacks) > 0 && s.front.fresh(now)) {
		return s.front.reach(d.pick.done, d.pick.blocks, now)
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
