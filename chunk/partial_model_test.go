package chunk

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// TestPartialModel does to a Partial what a download and its enemies do, and compares it with a plain set of blocks.
func TestPartialModel(t *testing.T) {
	t.Parallel()
	works := []*work{}
	for i, size := range []int{1, 4096, 4097, 30000, 200 * 4096, 300*4096 - 1} {
		works = append(works, newWork(t, uint64(40+i), size))
	}
	dir, run := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		m := &model{
			w:      works[rapid.IntRange(0, len(works)-1).Draw(t, "content")],
			kind:   rapid.SampledFrom(kinds).Draw(t, "kind"),
			target: filepath.Join(dir, fmt.Sprint(run)),
		}
		m.n = ShapeOf(m.w.size()).Blocks()
		m.held, m.disk, m.tree = make([]bool, m.n), make([]bool, m.n), make([]bool, m.n)
		m.reopen(t)
		t.Repeat(map[string]func(*rapid.T){
			"pieces": m.pieces, "write": m.write, "drop": m.drop, "close": m.close, "crash": m.crash, "torn header": m.tornHeader,
			"lost header": m.lostHeader, "cut sidecar": m.cutSidecar, "cut part": m.cutPart, "": m.check,
		})
		if err := m.p.Remove(); err != nil {
			t.Fatal(err)
		}
	})
}

type model struct {
	w      *work
	kind   Kind
	target string
	n      int64 // blocks
	p      *Partial
	held   []bool // blocks
	disk   []bool // blocks that were written, whether their leaf is held or not
	tree   []bool // blocks whose leaf is held; unused with one block
}

func (m *model) reopen(t *rapid.T) {
	p, err := OpenPartial(m.target, m.w.id(m.kind), PartialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m.p = p
	if size, ok := p.Size(); ok && size != m.w.size() {
		t.Fatalf("size %d, want %d", size, m.w.size())
	}
	if err := p.SetSize(m.w.size()); err != nil {
		t.Fatal(err)
	}
}

// leafless reports whether blocks need no leaf before they are written.
func (m *model) leafless() bool { return m.kind == SHA256 || m.n == 1 }

func (m *model) pieces(t *rapid.T) {
	tree := m.p.Tree()
	if tree == nil {
		return
	}
	block := rapid.Int64Range(0, m.n-1).Draw(t, "block")
	all := pieces(tree.Shape(), m.w.tree)
	for _, p := range tree.Shape().PathPieces(block, nil) {
		if err := tree.Put(p, all[p]); err != nil {
			t.Fatal(err)
		}
	}
	for b := range m.n {
		m.tree[b] = m.tree[b] || b/pieceNodes == block/pieceNodes
	}
}

func (m *model) write(t *rapid.T) {
	first := rapid.Int64Range(0, m.n-1).Draw(t, "first")
	end := min(m.n, first+rapid.Int64Range(1, 70).Draw(t, "blocks"))
	data := bytes.Clone(m.w.blocks(first, end))
	wrong := make(map[int]bool)
	if m.kind == BLAKE3 {
		for range rapid.IntRange(0, 3).Draw(t, "wrong") {
			at := rapid.IntRange(0, len(data)-1).Draw(t, "wrong at")
			if !wrong[at/BlockSize] {
				data[at] ^= 0x10
				wrong[at/BlockSize] = true
			}
		}
	}
	ready, missing := true, false
	for b := first; b < end; b++ {
		ready = ready && (m.leafless() || m.tree[b])
		missing = missing || !m.held[b]
	}
	bad, err := m.p.Write(first, data)
	if !missing {
		if err != nil || len(bad) > 0 {
			t.Fatalf("write of held blocks: %v, %v", bad, err)
		}
		return
	}
	if !ready {
		if err != ErrNoParent {
			t.Fatalf("write without leaves: %v", err)
		}
		return
	}
	if err != nil || len(bad) != len(wrong) {
		t.Fatalf("bad %v, want %v, %v", bad, wrong, err)
	}
	for _, i := range bad {
		if !wrong[i] {
			t.Fatalf("bad %v, want %v", bad, wrong)
		}
	}
	for b := first; b < end; b++ {
		m.held[b] = m.held[b] || !wrong[int(b-first)]
		m.disk[b] = m.held[b] || m.disk[b]
	}
}

func (m *model) drop(t *rapid.T) {
	if m.kind == BLAKE3 {
		return // dropped blocks would be found again by a crash, and verify
	}
	r := Range{rapid.Int64Range(-1, m.n).Draw(t, "from"), rapid.Int64Range(0, m.n+1).Draw(t, "to")}
	if err := m.p.Drop(r); err != nil {
		t.Fatal(err)
	}
	for b := max(0, r.From); b < min(m.n, r.To); b++ {
		m.held[b] = false
	}
}

func (m *model) close(t *rapid.T) {
	if err := m.p.Close(); err != nil {
		t.Fatal(err)
	}
	m.reopen(t)
	if bootID() == "" { // no mark is believed
		m.rehashed()
	}
}

// rehashed is what every opening without a mark does: what was written is found again as soon as its leaf is there.
func (m *model) rehashed() {
	for b := range m.held {
		if m.kind == BLAKE3 {
			m.held[b] = m.disk[b] && (m.tree[b] || m.n == 1)
		}
	}
}

func (m *model) crash(t *rapid.T) {
	crash(m.p)
	m.reopen(t)
	m.rehashed()
}

// damage changes a file between a crash and the next opening.
func (m *model) damage(t *rapid.T, suffix string, how func(f *os.File) error) {
	crash(m.p)
	f, err := os.OpenFile(m.target+suffix, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := how(f); err != nil {
		t.Fatal(err)
	}
	m.reopen(t)
	m.rehashed()
}

func garble(f *os.File, slot, at int64) error {
	_, err := f.WriteAt([]byte("\x00garbled"), slot*slotSize+at)
	return err
}

// tornHeader breaks the slot that would be written next: a write that was cut short.
func (m *model) tornHeader(t *rapid.T) {
	seq := m.p.side.head.Seq
	m.damage(t, ".part.sharer", func(f *os.File) error { return garble(f, int64(seq+1)&1, rapid.Int64Range(0, 80).Draw(t, "at")) })
}

func (m *model) lostHeader(t *rapid.T) {
	m.damage(t, ".part.sharer", func(f *os.File) error {
		if err := garble(f, 0, 70); err != nil {
			return err
		}
		return garble(f, 1, 3)
	})
	if m.kind == SHA256 {
		clear(m.held)
	}
}

// cutSidecar loses the end of the sidecar, leaves or headers.
func (m *model) cutSidecar(t *rapid.T) {
	var size int64
	m.damage(t, ".part.sharer", func(f *os.File) error {
		fi, err := f.Stat()
		if err != nil {
			return err
		}
		size = rapid.Int64Range(1, fi.Size()).Draw(t, "size")
		return f.Truncate(size)
	})
	if m.kind == BLAKE3 {
		m.leavesLeft(func(b int64) bool { return m.p.Tree().HasLeaf(b) })
		return
	}
	known := (size - sidecarBase) / nodeSize
	if size < sidecarBase {
		// the last of two slots may have been the good one: then what was known of leaves is lost too, as it lay behind it
		known = 0
	}
	for b := range m.held {
		m.held[b] = m.held[b] && int64(b) < known
	}
}

// leavesLeft keeps what hangs on a leaf only if the leaf is still there; a content of one block hangs on none.
func (m *model) leavesLeft(has func(b int64) bool) {
	if m.n == 1 {
		return
	}
	for b := range m.n {
		if !has(b) {
			m.tree[b], m.held[b] = false, false
		}
	}
}

func (m *model) cutPart(t *rapid.T) {
	var size int64
	m.damage(t, ".part", func(f *os.File) error {
		fi, err := f.Stat()
		if err != nil {
			return err
		}
		size = rapid.Int64Range(0, fi.Size()).Draw(t, "size")
		return f.Truncate(size)
	})
	for b := range m.n {
		m.disk[b] = m.disk[b] && min((b+1)*BlockSize, m.w.size()) <= size
		m.held[b] = m.held[b] && m.disk[b]
	}
}

func (m *model) check(t *rapid.T) {
	done := m.p.Done()
	complete, bytesHeld := true, int64(0)
	for b := range m.n {
		if done.Has(b) != m.held[b] {
			t.Fatalf("block %d of %d: held %v, want %v", b, m.n, !m.held[b], m.held[b])
		}
		complete = complete && m.held[b]
		if m.held[b] {
			bytesHeld += int64(len(m.w.blocks(b, b+1)))
		}
	}
	if m.p.Complete() != complete || m.p.DoneBytes() != bytesHeld {
		t.Fatalf("complete %v, want %v; %d bytes, want %d", m.p.Complete(), complete, m.p.DoneBytes(), bytesHeld)
	}
	off := rapid.Int64Range(0, m.w.size()-1).Draw(t, "off")
	got := make([]byte, rapid.IntRange(1, 20000).Draw(t, "len"))
	n, err := m.p.ReadAt(got, off)
	end := min(done.End(off/BlockSize)*BlockSize, m.w.size())
	want := m.w.data[off:max(off, min(off+int64(len(got)), end))]
	if !bytes.Equal(got[:n], want) || n < len(got) && err != ErrNotHeld && err != io.EOF || n == len(got) && err != nil {
		t.Fatalf("ReadAt(%d, %d): %d bytes, want %d, %v", len(got), off, n, len(want), err)
	}
	if complete {
		s, err := m.p.Check(ctx, nil)
		if err != nil || s.BLAKE3 != m.w.sums.BLAKE3 {
			t.Fatalf("check: %+v, %v", s, err)
		}
	}
}
