package chunk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var ctx = context.Background()

// work is a content, its ids and its tree.
type work struct {
	data []byte
	sums Sums
	tree []byte
}

func newWork(t testing.TB, seed uint64, size int) *work {
	w := &work{data: random(seed, size)}
	w.sums, w.tree = treeOf(t, w.data)
	return w
}

func (w *work) id(k Kind) ID {
	return ID{k, map[Kind]Hash{SHA256: w.sums.SHA256, BLAKE3: w.sums.BLAKE3}[k]}
}

func (w *work) size() int64 { return int64(len(w.data)) }

// blocks are the bytes of blocks [from, to).
func (w *work) blocks(from, to int64) []byte {
	return w.data[from*BlockSize : min(to*BlockSize, w.size())]
}

func (w *work) open(t testing.TB, target string, k Kind) *Partial {
	t.Helper()
	p, err := OpenPartial(target, w.id(k), PartialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ready is open, with size and tree set.
func (w *work) ready(t testing.TB, target string, k Kind) *Partial {
	t.Helper()
	p := w.open(t, target, k)
	if err := p.SetSize(w.size()); err != nil {
		t.Fatal(err)
	}
	if p.Tree() != nil {
		putAll(t, p.Tree(), w.tree)
	}
	return p
}

// crash drops a Partial as a kill would: what the kernel has stays.
func crash(p *Partial) {
	p.part.Close()
	p.side.f.Close()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

var kinds = []Kind{SHA256, BLAKE3}

func eachKind(t *testing.T, f func(t *testing.T, k Kind)) {
	for _, k := range kinds {
		t.Run(map[Kind]string{SHA256: "sha256", BLAKE3: "blake3"}[k], func(t *testing.T) { f(t, k) })
	}
}

// TestPartialLife takes contents of every interesting size from nothing to a finished file.
func TestPartialLife(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k Kind) {
		dir := t.TempDir()
		for _, size := range []int{0, 1, 4095, 4096, 4097, 100000, 300 * 4096} {
			w := newWork(t, 20, size)
			target := filepath.Join(dir, fmt.Sprint(size))
			p := w.open(t, target, k)
			if _, ok := p.Size(); ok || p.Complete() || p.Tree() != nil || p.Proven() {
				t.Fatalf("size %d: a new one knows its size, or is complete", size)
			}
			if _, err := p.Write(0, []byte{1}); err != ErrNoSize {
				t.Fatalf("size %d: write before SetSize: %v", size, err)
			}
			if _, err := p.ReadAt(make([]byte, 1), 0); err != ErrNotHeld {
				t.Fatalf("size %d: read before SetSize: %v", size, err)
			}
			if err := p.SetSize(w.size()); err != nil {
				t.Fatal(err)
			}
			if err := p.Finish(FinishOptions{}); size > 0 && err != ErrIncomplete {
				t.Fatalf("size %d: finish of nothing: %v", size, err)
			}
			if p.Tree() != nil {
				if n := p.Tree().Shape().Blocks(); n > 1 {
					if _, err := p.Write(0, w.blocks(0, 1)); err != ErrNoParent {
						t.Fatalf("size %d: write without leaves: %v", size, err)
					}
				}
				putAll(t, p.Tree(), w.tree)
			}
			n := ShapeOf(w.size()).Blocks()
			for at := int64(0); at < n; at += 3 {
				if bad, err := p.Write(at, w.blocks(at, min(at+3, n))); err != nil || len(bad) > 0 {
					t.Fatalf("size %d: bad %v, %v", size, bad, err)
				}
			}
			if !p.Complete() || p.DoneBytes() != w.size() || p.Proven() != (k == BLAKE3 || size == 0) {
				t.Fatalf("size %d: complete %v, %d bytes, proven %v", size, p.Complete(), p.DoneBytes(), p.Proven())
			}
			if err := p.Finish(FinishOptions{}); k == SHA256 && size > 0 && err != ErrUnchecked {
				t.Fatalf("size %d: finish unchecked: %v", size, err)
			}
			sums, err := p.Check(ctx, nil)
			want := w.sums
			if k == BLAKE3 {
				want.SHA256 = Hash{}
			}
			if err != nil || sums != want || !p.Proven() {
				t.Fatalf("size %d: check %+v, %v, want %+v", size, sums, err, want)
			}
			checkFinish(t, p, w, target)
		}
	})
}

// checkFinish finishes a complete one over a file that is in the way.
func checkFinish(t *testing.T, p *Partial, w *work, target string) {
	t.Helper()
	if !exists(target) {
		writeFile(t, target, []byte("the user's"))
		if err := p.Finish(FinishOptions{}); !errors.Is(err, ErrExists) {
			t.Fatalf("finish over a file: %v", err)
		}
	}
	for range 2 { // the second does nothing
		if err := p.Finish(FinishOptions{Replace: true}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, w.data) {
		t.Fatalf("the finished file differs: %v", err)
	}
	if exists(target+".part") || exists(target+".part.sharer") {
		t.Fatal("something is left over")
	}
	got := make([]byte, len(w.data)+1)
	if n, err := p.ReadAt(got, 0); n != len(w.data) || err != io.EOF || !bytes.Equal(got[:n], w.data) {
		t.Fatalf("read after finish: %d, %v", n, err)
	}
	if tree := p.Tree(); tree != nil && len(w.data) > BlockSize {
		if n, err := tree.ReadAt(got[:len(w.tree)], 0); err != nil || !bytes.Equal(got[:n], w.tree) {
			t.Fatalf("tree after finish: %d, %v", n, err)
		}
	}
	if _, err := p.Write(0, []byte{1}); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("write after finish: %v", err)
	}
	if len(w.data) > 0 {
		if err := os.Truncate(target, w.size()+1); err != nil {
			t.Fatal(err)
		}
		if n, err := p.ReadAt(got, 0); n != 0 || !errors.Is(err, ErrChanged) {
			t.Fatalf("read of a file that its user changed: %d, %v", n, err)
		}
	}
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestPartialBad(t *testing.T) {
	w := newWork(t, 21, 10*4096+5)
	p := w.ready(t, filepath.Join(t.TempDir(), "x"), BLAKE3)
	defer p.Close()
	wrong := bytes.Clone(w.data)
	wrong[3*4096]++
	wrong[9*4096+7]++
	wrong[10*4096]++
	bad, err := p.Write(2, wrong[2*4096:])
	if err != nil || fmt.Sprint(bad) != "[1 7 8]" || fmt.Sprint(p.Done().All()) != "[{2 3} {4 9}]" || p.Proven() {
		t.Fatalf("bad %v, %v, done %v, proven %v", bad, err, p.Done().All(), p.Proven())
	}
	if !p.HasBlocks(4, 9) || p.HasBlocks(3, 5) || p.DoneBytes() != 6*4096 {
		t.Errorf("HasBlocks, or %d bytes", p.DoneBytes())
	}
	got := make([]byte, 10*4096)
	if n, err := p.ReadAt(got, 5*4096-1); n != 4*4096+1 || err != ErrNotHeld || !bytes.Equal(got[:n], w.data[5*4096-1:9*4096]) {
		t.Errorf("read to a gap: %d, %v", n, err)
	}
	if n, err := p.ReadAt(got, w.size()); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}
	if n, err := p.ReadAt(got, -1); n != 0 || err != ErrNotHeld {
		t.Errorf("read before the start: %d, %v", n, err)
	}
	if _, err := p.Check(ctx, nil); err != ErrIncomplete {
		t.Errorf("check: %v", err)
	}
	for _, c := range []struct {
		first int64
		n     int
	}{{-1, 4096}, {0, 0}, {0, 1}, {0, 4095}, {0, 4097}, {10, 4}, {10, 6}, {10, 4096}, {11, 5}, {1 << 62, 4096}, {9, 4096 + 4}} {
		if _, err := p.Write(c.first, make([]byte, c.n)); err != ErrNotBlocks {
			t.Errorf("write of %d bytes at block %d: %v", c.n, c.first, err)
		}
	}
	one := newWork(t, 22, 100)
	q := one.ready(t, filepath.Join(t.TempDir(), "x"), BLAKE3)
	if bad, err := q.Write(0, make([]byte, 100)); err != nil || len(bad) != 1 || q.Complete() {
		t.Errorf("one wrong block: %v, %v", bad, err)
	}
	if err := q.Remove(); err != nil || exists(q.partName()) || exists(q.sideName()) {
		t.Errorf("remove: %v", err)
	}
}

func TestPartialMismatch(t *testing.T) {
	w := newWork(t, 23, 20*4096+1)
	target := filepath.Join(t.TempDir(), "x")
	p := w.ready(t, target, SHA256)
	wrong := bytes.Clone(w.data)
	wrong[7*4096]++
	if bad, err := p.Write(0, wrong); err != nil || len(bad) > 0 {
		t.Fatal(bad, err)
	}
	for range 2 {
		if s, err := p.Check(ctx, nil); err != ErrMismatch || s != (Sums{}) || p.Proven() {
			t.Fatalf("check: %v, %v", s, err)
		}
	}
	if err := p.Finish(FinishOptions{}); err != ErrUnchecked {
		t.Fatalf("finish: %v", err)
	}
	if _, err := p.Write(7, w.blocks(7, 8)); err != nil || p.HasBlocks(7, 8) == false {
		t.Fatal(err)
	}
	if _, err := p.Check(ctx, nil); err != ErrMismatch {
		t.Fatalf("a held block was written again: %v", err)
	}
	if err := p.Drop(Range{6, 9}); err != nil || p.HasBlocks(6, 7) || !p.HasBlocks(0, 6) || !p.HasBlocks(9, 21) {
		t.Fatalf("drop: %v, %v", err, p.Done().All())
	}
	crash(p)
	p = w.open(t, target, SHA256)
	if got := fmt.Sprint(p.Done().All()); got != "[{0 6} {9 21}]" {
		t.Fatalf("after drop and crash: %s", got)
	}
	if _, err := p.Write(6, w.blocks(6, 9)); err != nil {
		t.Fatal(err)
	}
	stop, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := p.Check(stop, nil); err != context.Canceled {
		t.Fatalf("stopped: %v", err)
	}
	progress := 0
	if s, err := p.Check(ctx, func(n int) { progress += n }); err != nil || s != w.sums || progress != len(w.data) {
		t.Fatalf("check: %+v, %v, progress %d", s, err, progress)
	}
	if err := p.Reset(); err != nil || p.Done().Len() != 0 || p.DoneBytes() != 0 {
		t.Fatalf("reset: %v", err)
	}
	if err := p.Finish(FinishOptions{}); err != ErrIncomplete {
		t.Fatalf("finish after reset: %v", err)
	}
	crash(p)
	if p = w.open(t, target, SHA256); p.Done().Len() != 0 {
		t.Fatalf("after reset and crash: %v", p.Done().All())
	}
	p.Close()
}

func TestPartialSizes(t *testing.T) {
	w := newWork(t, 24, 10*4096+5)
	dir := t.TempDir()
	p := w.open(t, filepath.Join(dir, "s"), SHA256)
	for _, size := range []int64{0, -1, MaxSize + 1, 1<<63 - 1} {
		if err := p.SetSize(size); err != ErrSize {
			t.Errorf("SetSize(%d): %v", size, err)
		}
	}
	if err := p.SetSize(12*4096 + 3); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(8, make([]byte, 4*4096+3)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		size int64
		want string
	}{{12*4096 + 3, "[{8 13}]"}, {w.size(), "[{8 10}]"}, {MaxSize, "[{8 10}]"}, {9*4096 + 1, "[{8 9}]"}, {20 * 4096, "[{8 9}]"}} {
		if err := p.SetSize(step.size); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(p.Done().All()); got != step.want {
			t.Errorf("size %d: done %s, want %s", step.size, got, step.want)
		}
	}
	if err := p.SetSize(w.size()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Reset(), fill(p, w)); err != nil {
		t.Fatal(err)
	}
	if s, err := p.Check(ctx, nil); err != nil || s != w.sums {
		t.Fatalf("check of a file that was longer: %+v, %v", s, err)
	}
	if err := errors.Join(p.Finish(FinishOptions{}), p.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "s")); err != nil || !bytes.Equal(got, w.data) {
		t.Errorf("a file that was longer: %d bytes, want %d, %v", len(got), len(w.data), err)
	}

	p = w.open(t, filepath.Join(dir, "s"), SHA256)
	if err := p.SetSize(20 * 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(8, w.blocks(8, 9)); err != nil {
		t.Fatal(err)
	}
	crash(p)
	p = w.open(t, filepath.Join(dir, "s"), SHA256)
	if size, ok := p.Size(); size != 20*4096 || !ok || fmt.Sprint(p.Done().All()) != "[{8 9}]" {
		t.Errorf("after a crash: size %d, done %v", size, p.Done().All())
	}
	p.ProveSize()
	if err := p.SetSize(5); err != ErrSize || !p.Proven() {
		t.Errorf("another size than the proven one: %v", err)
	}
	p.Close()

	// BLAKE3: a tree without its leaf level is one of half the height; an honest size after it must work.
	b := w.open(t, filepath.Join(dir, "b"), BLAKE3)
	if err := b.SetSize(5 * 4096); err != nil {
		t.Fatal(err)
	}
	old := b.Tree()
	if err := b.SetSize(MaxSize); err != nil || b.Tree() == old {
		t.Fatal(err)
	}
	if err := b.SetSize(w.size()); err != nil {
		t.Fatal(err)
	}
	putAll(t, b.Tree(), w.tree)
	if err := old.Put(0, w.tree); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the old tree: %v", err)
	}
	if bad, err := b.Write(0, w.data); err != nil || len(bad) > 0 || !b.Complete() || !b.Proven() {
		t.Errorf("bad %v, %v", bad, err)
	}
	if err := b.SetSize(w.size() + 1); err != ErrSize {
		t.Errorf("another size than the proven one: %v", err)
	}
	b.Close()

	nothing := sha256.Sum256(nil)
	e, err := OpenPartial(filepath.Join(dir, "e"), ID{SHA256, nothing}, PartialOptions{})
	if err != nil || e.SetSize(1) != ErrSize || e.SetSize(0) != nil || !e.Complete() || !e.Proven() {
		t.Errorf("empty content: %v", err)
	}
	if _, err := e.Check(ctx, nil); err != nil {
		t.Error(err)
	}
	if err := errors.Join(e.Finish(FinishOptions{}), e.Close()); err != nil {
		t.Error(err)
	}
}

func TestPartialOpening(t *testing.T) {
	w, v := newWork(t, 25, 5000), newWork(t, 26, 5000)
	dir := t.TempDir()
	target := filepath.Join(dir, "x")
	p := w.ready(t, target, BLAKE3)
	_, err := OpenPartial(target, w.id(BLAKE3), PartialOptions{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second opening: %v", err)
	}
	p.Close()
	for _, id := range []ID{v.id(BLAKE3), w.id(SHA256)} {
		if _, err := OpenPartial(target, id, PartialOptions{}); !errors.Is(err, ErrOtherContent) {
			t.Errorf("as another content: %v", err)
		}
	}
	for _, id := range []ID{{}, {Kind: BLAKE3Tree}} {
		if _, err := OpenPartial(target, id, PartialOptions{}); err != ErrBadID {
			t.Errorf("id %v: %v", id, err)
		}
	}
	p = w.open(t, target, BLAKE3)
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	writeFile(t, target+".part", []byte("the user's"))
	if _, err := OpenPartial(target, w.id(BLAKE3), PartialOptions{}); !errors.Is(err, ErrOtherContent) || exists(target+".part.sharer") {
		t.Errorf("a .part of the user's: %v", err)
	}
	if got, err := os.ReadFile(target + ".part"); err != nil || string(got) != "the user's" {
		t.Errorf("it holds %q, %v", got, err)
	}
	for _, name := range []string{".part", ".part.sharer"} {
		link := filepath.Join(dir, "link")
		if err := os.Symlink(filepath.Join(dir, "elsewhere"), link+name); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenPartial(link, w.id(BLAKE3), PartialOptions{}); !errors.Is(err, ErrNotRegular) {
			t.Errorf("a link in place of %s: %v", name, err)
		}
		os.Remove(link + name)
		os.Remove(link + ".part.sharer")
	}
	if exists(filepath.Join(dir, "elsewhere")) {
		t.Error("a link was followed")
	}
	if _, err := OpenPartial(filepath.Join(dir, "no", "folder"), w.id(BLAKE3), PartialOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// TestPartialMark sees that a mark of Close is believed only while the file is as it was, and the system did not start anew.
func TestPartialMark(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		w := newWork(t, 27, 300*4096+9)
		target := filepath.Join(t.TempDir(), "x")
		p := w.ready(t, target, k)
		if _, err := p.Write(0, w.data); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		reopen := func(marked bool) {
			t.Helper()
			if p = w.open(t, target, k); p.marked != marked || !p.Complete() || p.DoneBytes() != w.size() {
				t.Fatalf("marked %v, want %v; done %v", p.marked, marked, p.Done().All())
			}
		}
		reopen(bootID() != "")
		want := w.sums
		if k == BLAKE3 {
			want.SHA256 = Hash{}
		}
		if s, err := p.Check(ctx, nil); err != nil || s != want {
			t.Fatalf("%+v, %v", s, err)
		}
		crash(p)
		reopen(false)
		p.Close()
		if k == SHA256 { // leaves that were not hashed again may be wrong: they must not make a wrong BLAKE3
			side := must(os.ReadFile(target + ".part.sharer"))
			side[sidecarBase+7]++
			writeFile(t, target+".part.sharer", side)
			reopen(bootID() != "")
			if s, err := p.Check(ctx, nil); err != nil || s != want {
				t.Fatalf("with a wrong leaf: %+v, %v", s, err)
			}
			side[sidecarBase+7]--
			p.Close()
			copy(side, must(os.ReadFile(target + ".part.sharer"))[:sidecarBase])
			writeFile(t, target+".part.sharer", side)
		}
		writeFile(t, target+".part", w.data) // the same bytes, but who knows?
		reopen(false)
		p.Close()
		p, err := OpenPartial(target, w.id(k), PartialOptions{Fsync: true})
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
		rewriteHeader(t, target, func(h *header) { h.Clean.Boot = "another" })
		reopen(true)
		p.Close()
		rewriteHeader(t, target, func(h *header) { h.Clean.Boot = "another" })
		reopen(false)
		data := bytes.Clone(w.data)
		data[5]++
		crash(p)
		writeFile(t, target+".part", data)
		if p = w.open(t, target, k); fmt.Sprint(p.Done().All()) != "[{1 301}]" {
			t.Errorf("after a block has gone bad: %v", p.Done().All())
		}
		p.Close()
	})
}

func rewriteHeader(t testing.TB, target string, change func(h *header)) {
	t.Helper()
	f, err := os.OpenFile(target+".part.sharer", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := sidecar{f: f, dirty: true}
	if s.head, err = readHeader(f); err != nil {
		t.Fatal(err)
	}
	change(&s.head)
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
}

// TestPartialFragments has more runs than a header slot can say.
func TestPartialFragments(t *testing.T) {
	w := newWork(t, 28, 2000*4096)
	target := filepath.Join(t.TempDir(), "x")
	p := w.ready(t, target, BLAKE3)
	for i := int64(0); i < 2000; i += 2 {
		if _, err := p.Write(i, w.blocks(i, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if p = w.open(t, target, BLAKE3); p.marked || p.Done().Len() != 1000 {
		t.Errorf("%d runs, marked %v", p.Done().Len(), p.marked)
	}
	p.Close()
}

func TestPartialReplacedPart(t *testing.T) {
	w := newWork(t, 29, 5000)
	target := filepath.Join(t.TempDir(), "x")
	p := w.ready(t, target, BLAKE3)
	defer p.Close()
	if _, err := p.Write(0, w.data); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(target + ".part"); err != nil {
		t.Fatal(err)
	}
	for _, other := range []bool{false, true} {
		if other {
			writeFile(t, target+".part", []byte("another"))
		}
		if err := p.Finish(FinishOptions{}); !errors.Is(err, ErrChanged) || exists(target) {
			t.Errorf("finish when TARGET.part is not ours any more: %v", err)
		}
	}
}

func TestPartialConcurrent(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		w := newWork(t, 30, 500*4096)
		p := w.open(t, filepath.Join(t.TempDir(), "x"), k)
		if err := p.SetSize(w.size()); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if tree := p.Tree(); tree != nil {
				for q, data := range pieces(tree.Shape(), w.tree) {
					if err := tree.Put(q, data); err != nil {
						t.Error(err)
					}
				}
			}
		})
		for g := range int64(3) {
			wg.Go(func() {
				for i := int64(0); i < 500; {
					at := (i + g*170) % 500
					end := min(at+7, 500)
					_, err := p.Write(at, w.blocks(at, end))
					if err != nil && err != ErrNoParent {
						t.Error(err)
						return
					}
					if err == nil {
						i += 7
					}
				}
			})
			wg.Go(func() {
				got := make([]byte, 9000)
				for !p.Complete() {
					n, err := p.ReadAt(got, 40000*g)
					if err != nil && err != ErrNotHeld || !bytes.Equal(got[:n], w.data[40000*g:][:n]) {
						t.Errorf("%d bytes, %v", n, err)
						return
					}
				}
			})
		}
		wg.Wait()
		if _, err := p.Check(ctx, nil); err != nil {
			t.Error(err)
		}
		if err := errors.Join(p.Finish(FinishOptions{}), p.Close()); err != nil {
			t.Error(err)
		}
	})
}
