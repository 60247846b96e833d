package transfer

import (
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sharer/chunk"
)

// All blocks wait for the tree: it is asked of a slow peer, or of one that seems to have none, where nobody else can be.
func TestWhoIsAskedForTheTree(t *testing.T) {
	for _, tc := range []struct {
		name  string
		s     source
		quick bool
		other int  // requests for pieces that the other peer has left unanswered
		gone  bool // the other peer answers nothing any more
		part  bool // it holds a part only
		want  bool
	}{
		{"a fast one", source{}, true, 0, false, false, true},
		{"a slow one beside a fast one", source{slow: true}, true, 0, false, false, false},
		{"a slow one among slow ones", source{slow: true}, false, 0, false, false, true},
		{"one that knows the other hash only", source{also: true}, false, 0, false, false, false},
		{"one that left some unanswered, beside one that did not", source{noTree: 4}, false, 0, false, false, false},
		{"the same beside one that is no better", source{noTree: 4}, false, 5, false, false, true},
		{"the same beside one that is gone", source{noTree: 4}, false, 0, true, false, true},
		{"one that let a timeout pass beside one that did not", source{silent: 1}, false, 0, false, false, false},
		{"the same beside one that holds a part", source{silent: 1}, false, 0, false, true, true},
		{"one that left some unanswered, beside one that holds a part", source{noTree: 4}, false, 0, false, true, true},
	} {
		s, other := tc.s, &source{answers: true, claim: 1, noTree: tc.other}
		if tc.gone {
			other.silent = 2
		}
		if tc.part {
			other.reach = holding()
		}
		d := &Download{size: 1, quick: tc.quick, sources: []*source{&s, other}}
		if got := d.asksTree(&s); got != tc.want {
			t.Errorf("%s is asked: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// A piece of the tree whose answer seemed lost and comes late is as good, also when it is about to be asked for again, and who gave it has the
// tree. Content is taken before the pieces that came with it, so on a fast path each of them may seem lost.
func TestPieceOfTheTreeComesLate(t *testing.T) {
	const size = 3 << 20
	root, tree := treeFor(t, size)
	id := chunk.ID{Kind: chunk.BLAKE3, Hash: root}
	file, err := chunk.OpenPartial(filepath.Join(t.TempDir(), "x"), id, chunk.PartialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Remove()
	now := time.Now()
	d := newDownload(Config{ID: id, File: file, Batch: &written{}, Peers: nobody{}, Rand: rand.New(rand.NewPCG(1, 2))}, func() int { return maxWindow })
	d.setSize(size, now)
	d.proven = true
	d.addSources([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5")})
	s := d.sources[0]
	s.answers, s.claim, s.raw, s.proven = true, d.size, rawness{speaks: true, heard: true}, true
	s.control = wide{s.control}
	d.tree.wantLeaf(file.Tree(), 0)
	wanted := len(d.tree.queue)
	for range wanted {
		if r, n, _, ok := d.nextWhole(s, now); !ok || !r.tree || !d.send(s, r, flight{n: int32(n)}, 0, now) {
			t.Fatal("the tree is not asked for")
		}
	}
	s.flights.giveUp(func(r request, fl flight) {
		s.noTree++
		d.lost(s, r, fl)
	})
	if s.noTree != wanted || len(d.tree.queue) != wanted {
		t.Fatalf("%d pieces seem lost, and %d are to be asked for again, of %d", s.noTree, len(d.tree.queue), wanted)
	}
	for _, w := range slices.Clone(d.tree.queue) {
		off, n := d.tree.shape.Piece(w.piece)
		d.arrive(&arrival{from: s.addr, proven: true, at: now.Add(time.Millisecond), size: n + 100, raw: true, tree: true, offset: off, data: tree[off : off+int64(n)], n: n, eof: -1})
	}
	if !file.Tree().HasLeaf(0) || len(d.tree.queue) != 0 || len(d.tree.queued) != 0 || s.noTree != 0 {
		t.Errorf("the leaf is here: %v; %d pieces are to be asked for again, %d left unanswered", file.Tree().HasLeaf(0), len(d.tree.queue), s.noTree)
	}
}

// Whether somebody holds a content is asked by a few bytes of a block: it is not the block that is on its way then.
func TestQuestionIsNoBlock(t *testing.T) {
	d, _ := near(6, "192.0.2.1:5")
	d.addSources([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:5")})
	s, other := d.sources[0], d.sources[1]
	now := time.Now()
	b := request{at: 2 * chunk.BlockSize}
	if !d.pick.takeBlock(2) || !d.send(s, b, flight{n: chunk.BlockSize}, 0, now) || !d.send(other, b, flight{n: pollBytes}, 0, now) {
		t.Fatal("not asked")
	}
	d.giveUp(s, func(request) bool { return true })
	if d.pick.stripeOf(2).missing()>>2&1 != 1 {
		t.Error("nobody was asked for the block, and nobody will be")
	}
}
