package transfer

import (
	"cmp"
	"slices"

	"sharer/chunk"
)

// A block whose leaf no piece of the tree has brought yet is verified by its path alone: two nodes a level, 1152 bytes for
// 1 GiB, where the pieces with them are 4 KiB each, 53 KB. So what somebody waits for, and the block that proves the size, come
// with the first window that a peer allows. The pieces follow: all other blocks need them.
const (
	maxPaths  = 4         // remembered; the oldest that is over gives way
	pathMost  = 2         // blocks of one: the last one, and what a reader waits for; of 1 PiB they have 76 pairs of nodes at most
	spanGap   = 192       // bytes between nodes that are asked for with them: another answer would have as many around it
	spanMost  = partBytes // so that an answer is one packet
	spanTries = 8         // spans of a path that are lost until it is left to the pieces
)

// path is what of the tree file lies on the way to some blocks. All of it comes from one peer, so that a bad one has one giver. Pure.
type path struct {
	blocks []int64
	spans  []span // by place
	giver  int16  // the peer's slot + 1, 0: nobody yet
	weak   bool   // some of it came without the peer's cookie
	lost   int
	over   bool // it was verified, or given up
	good   bool // it was verified
}

// span is nodes that are one request.
type span struct {
	at   int64
	n    int
	out  bool
	data []byte // nil: not here
}

func (s *span) end() int64 { return s.at + int64(s.n) }

// newPath is what has to be asked for, of the paths of at most pathMost blocks.
func newPath(shape chunk.Shape, blocks []int64) *path {
	p := &path{blocks: slices.Clone(blocks)}
	var nodes []span
	for _, b := range blocks {
		for level := range shape.Levels() {
			if at, n := shape.PathNodes(b, level); n > 0 {
				nodes = append(nodes, span{at: at, n: n})
			}
		}
	}
	slices.SortFunc(nodes, func(a, b span) int { return cmp.Compare(a.at, b.at) })
	for _, s := range nodes {
		if i := len(p.spans) - 1; i >= 0 && s.at <= p.spans[i].end()+spanGap && s.end()-p.spans[i].at <= spanMost {
			p.spans[i].n = max(p.spans[i].n, int(s.end()-p.spans[i].at))
			continue
		}
		p.spans = append(p.spans, s)
	}
	return p
}

// whole says whether all of it is here.
func (p *path) whole() bool {
	return !slices.ContainsFunc(p.spans, func(s span) bool { return s.data == nil })
}

// nodes are the path of one of its blocks, once all is here, from the highest level down.
func (p *path) nodes(shape chunk.Shape, block int64) []byte {
	var nodes []byte
	for level := shape.Levels() - 1; level >= 0; level-- {
		at, n := shape.PathNodes(block, level)
		i := slices.IndexFunc(p.spans, func(s span) bool { return s.at <= at && at+int64(n) <= s.end() })
		if n > 0 && i >= 0 {
			from := at - p.spans[i].at
			nodes = append(nodes, p.spans[i].data[from:from+int64(n)]...)
		}
	}
	return nodes
}

// wantPath begins a path to those of the blocks, which it changes, that have no leaf, no piece with it on the way, and no path yet.
func (t *treeFetch) wantPath(f *chunk.Tree, blocks []int64) {
	if t.shape.Pieces() <= 1 {
		return // the head is less than a path
	}
	blocks = slices.DeleteFunc(blocks, func(b int64) bool { return t.pathOf(b) != nil || t.comes(f, b) })
	slices.Sort(blocks)
	if blocks = slices.Compact(blocks); len(blocks) == 0 {
		return
	}
	if len(t.paths) == maxPaths {
		i := slices.IndexFunc(t.paths, func(p *path) bool { return p.over })
		if i < 0 {
			return
		}
		t.paths = slices.Delete(t.paths, i, i+1)
	}
	t.paths = append(t.paths, newPath(t.shape, blocks[:min(len(blocks), pathMost)]))
}

// comes says whether the leaf of a block is here, or its piece on the way.
func (t *treeFetch) comes(f *chunk.Tree, block int64) bool {
	piece := t.shape.LeafPiece(block)
	_, out := t.out[piece]
	_, early := t.stash[piece]
	return out || early || f.HasLeaf(block)
}

// pathOf returns the path to a block, or nil.
func (t *treeFetch) pathOf(block int64) *path {
	for _, p := range t.paths {
		if slices.Contains(p.blocks, block) {
			return p
		}
	}
	return nil
}

// awaits says whether the path to a block is on the way.
func (t *treeFetch) awaits(block int64) bool {
	p := t.pathOf(block)
	return p != nil && !p.over
}

// underPath says whether the piece with a block's leaf is verified by a node of a path that is here or on the way: by one of the two
// on the level 7 above, below which two pieces of leaves lie.
func (t *treeFetch) underPath(block int64) bool {
	const up = 8
	for _, p := range t.paths {
		if p.over && !p.good || t.shape.Levels() < up {
			continue
		}
		for _, b := range p.blocks {
			if b>>up == block>>up {
				return true
			}
		}
	}
	return false
}

// nextSpan is the first span of a path to be asked for. None is out twice: what answers one could not be told from what answers
// the other.
func (t *treeFetch) nextSpan(p *path) *span {
	for i := range p.spans {
		if s := &p.spans[i]; !s.out && s.data == nil && t.spanOut(s.at) == nil {
			return s
		}
	}
	return nil
}

// spanOut is the path of which a span that begins there is out, or nil.
func (t *treeFetch) spanOut(at int64) *path {
	for _, p := range t.paths {
		if i := p.find(at); i >= 0 && p.spans[i].out {
			return p
		}
	}
	return nil
}

// find is the span that begins there, or -1.
func (p *path) find(at int64) int {
	return slices.IndexFunc(p.spans, func(s span) bool { return s.at == at })
}

// spanFor is the span that begins there of a path that this peer gives, as long as it is not here: the one that is out, else, as it comes
// late, one of a path that is not over.
func (t *treeFetch) spanFor(at int64, slot uint8) (of *path, sp *span) {
	for _, p := range t.paths {
		i := p.find(at)
		if i < 0 || p.spans[i].data != nil || p.giver != int16(slot)+1 {
			continue
		}
		if p.spans[i].out {
			return p, &p.spans[i]
		}
		if of == nil && !p.over {
			of, sp = p, &p.spans[i]
		}
	}
	return of, sp
}

// lostSpan says that a span did not come, or was of no use: it is asked for again, a few times.
func (t *treeFetch) lostSpan(at int64) {
	if p := t.spanOut(at); p != nil {
		p.spans[p.find(at)].out = false
		p.lost++
		p.over = p.over || p.lost >= spanTries
	}
}
