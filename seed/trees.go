package seed

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"sharer/chunk"
)

// ErrNotTheContent is returned when a tree could not be made because the bytes that
// were read are not those of its root.
var ErrNotTheContent = errors.New("file does not hold the content of this tree")

const (
	// smallTree is the most bytes of content whose tree is not kept on disk: it is made
	// anew from 64 blocks in 0.1 ms, and so checked against its root as well.
	smallTree = 64 * chunk.BlockSize
	// openTrees is how many trees are kept at hand: descriptors, or 4 KiB of memory each.
	openTrees = 32
	// syncedTree is from how many bytes on a tree is flushed before it gets its name:
	// beside hashing 64 MiB that is nothing. Shorter ones are searched for holes when
	// they are opened.
	syncedTree = 1 << 20

	draftPrefix = "draft-"
	treeSuffix  = ".b3t"
)

// Opener opens a content from its start, for a tree that has to be made again.
type Opener func() (io.ReadCloser, error)

// Trees owns the folder with the tree files of seeded contents,
// <2 hex>/<62 hex>.b3t by BLAKE3. It holds nothing that cannot be made again from the
// contents. Methods may be called from several goroutines.
type Trees struct {
	dir   string
	other func() bool

	making sync.Mutex // one tree is made at a time: that is the load on the disk, too

	mu     sync.Mutex
	lru    list.List // of *tree, the last used first
	byRoot map[chunk.Hash]*list.Element
}

// tree is a tree at hand. refs counts the list and those who read.
type tree struct {
	root chunk.Hash
	size int64 // of the content
	r    io.ReaderAt
	f    *os.File // nil: it is in memory
	refs int      // guarded by Trees.mu
}

// OpenTrees creates the folder if need be, and clears away what an earlier process
// left unfinished; one process uses it at a time.
func OpenTrees(dir string) (*Trees, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open trees: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(escapeGlob(dir), draftPrefix+"*"))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	if err != nil {
		return nil, fmt.Errorf("open trees: %w", err)
	}
	return &Trees{dir: dir, byRoot: map[chunk.Hash]*list.Element{}}, nil
}

// escapeGlob makes a pattern that only fits s.
func escapeGlob(s string) string {
	if filepath.Separator == '\\' {
		return s // there is no escape, nor may a name hold * or ?
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

func (t *Trees) path(root chunk.Hash) string {
	hex := root.String()
	return filepath.Join(t.dir, hex[:2], hex[2:]+treeSuffix)
}

// Draft is a tree file in the making.
type Draft struct {
	t    *Trees
	f    *os.File
	over bool
}

// Create begins a tree file. It ends with Commit or Abort.
func (t *Trees) Create() (*Draft, error) {
	f, err := os.CreateTemp(t.dir, draftPrefix)
	for chunk.IsTooMany(err) && t.spare() {
		f, err = os.CreateTemp(t.dir, draftPrefix)
	}
	if err != nil {
		return nil, fmt.Errorf("create tree: %w", err)
	}
	return &Draft{t: t, f: f}, nil
}

// WriteAt writes a part of the tree file.
func (d *Draft) WriteAt(p []byte, off int64) (int, error) { return d.f.WriteAt(p, off) }

// Commit gives the tree of the content with this BLAKE3 and size its name.
func (d *Draft) Commit(root chunk.Hash, size int64) error {
	f, err := d.name(root, size)
	if err != nil {
		return err
	}
	return f.Close()
}

// name is Commit, and returns the file still open: by its name another Drop may have removed it already.
func (d *Draft) name(root chunk.Hash, size int64) (f *os.File, err error) {
	defer d.Abort()
	if chunk.ShapeOf(size).FileSize() >= syncedTree {
		if err := d.f.Sync(); err != nil {
			return nil, fmt.Errorf("write tree: %w", err)
		}
	}
	path := d.t.path(root)
	err = os.Rename(d.f.Name(), path)
	if errors.Is(err, fs.ErrNotExist) { // the first one of these 256 folders
		if err = os.Mkdir(filepath.Dir(path), 0o700); err == nil || errors.Is(err, fs.ErrExist) {
			err = os.Rename(d.f.Name(), path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("write tree: %w", err)
	}
	d.over = true
	return d.f, nil
}

// Abort removes the draft; after Commit it does nothing.
func (d *Draft) Abort() {
	if d.over {
		return
	}
	d.over = true
	d.f.Close()
	os.Remove(d.f.Name())
}

// ReadAt reads from the tree file of the content with this BLAKE3 and size, like
// io.ReaderAt. A tree that is not there, or is damaged in a way that shows when it is
// opened, is made again from open; the result is checked against root. Other
// damage is for those who asked to find: they verify what they get, and Drop makes it
// new. The error is ErrNotTheContent, ctx.Err(), that of open, or of the system.
func (t *Trees) ReadAt(ctx context.Context, root chunk.Hash, size int64, p []byte, off int64, open Opener) (int, error) {
	tr, err := t.get(ctx, root, size, open)
	if err != nil {
		return 0, err
	}
	defer t.release(tr)
	return tr.r.ReadAt(p, off)
}

// ReadNow is ReadAt for a tree that is at hand, and of that for what can be read without waiting for a disk. The error is
// chunk.ErrWouldWait for everything else.
func (t *Trees) ReadNow(root chunk.Hash, size int64, p []byte, off int64) (int, error) {
	tr := t.atHand(root, size)
	if tr == nil {
		return 0, chunk.ErrWouldWait
	}
	defer t.release(tr)
	if tr.f != nil {
		return chunk.ReadNow(tr.f, p, off, chunk.ShapeOf(size).FileSize())
	}
	return tr.r.ReadAt(p, off)
}

// Drop removes a tree: it is damaged, or its content is no longer seeded.
func (t *Trees) Drop(root chunk.Hash) error {
	t.forget(root)
	if err := os.Remove(t.path(root)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop tree: %w", err)
	}
	return nil
}

// Sweep removes the tree files of contents that are not known any more, but for those that were written after the time before: their
// content may be noted only now. known must not call Trees. The error is ctx.Err(), or that of the system.
func (t *Trees) Sweep(ctx context.Context, before time.Time, known func(root chunk.Hash) bool) (removed int, err error) {
	subs, err := os.ReadDir(t.dir)
	if err != nil {
		return 0, fmt.Errorf("sweep trees: %w", err)
	}
	for _, sub := range subs {
		if !sub.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(t.dir, sub.Name()))
		if err != nil {
			return removed, fmt.Errorf("sweep trees: %w", err)
		}
		for _, f := range files {
			if ctx.Err() != nil {
				return removed, ctx.Err()
			}
			root, err := chunk.ParseHash(sub.Name() + strings.TrimSuffix(f.Name(), treeSuffix))
			if err != nil || filepath.Base(t.path(root)) != f.Name() || known(root) {
				continue
			}
			if fi, err := f.Info(); err != nil || !fi.ModTime().Before(before) {
				continue
			}
			if err := t.Drop(root); err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

// Close lets go of all trees at hand.
func (t *Trees) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.lru.Len() > 0 {
		t.evictLocked(t.lru.Back())
	}
}

// get returns a tree with a reference.
func (t *Trees) get(ctx context.Context, root chunk.Hash, size int64, open Opener) (*tree, error) {
	if tr := t.atHand(root, size); tr != nil {
		return tr, nil
	}
	if size > smallTree {
		if f, err := t.openFile(root, size); err == nil {
			return t.keep(&tree{root: root, size: size, r: f, f: f}), nil
		}
	}
	t.making.Lock()
	defer t.making.Unlock()
	if tr := t.atHand(root, size); tr != nil { // somebody else made it
		return tr, nil
	}
	return t.make(ctx, root, size, open)
}

// make makes a tree from its content, in memory if it is small.
func (t *Trees) make(ctx context.Context, root chunk.Hash, size int64, open Opener) (*tree, error) {
	r, err := open()
	if err != nil {
		return nil, fmt.Errorf("make tree: %w", err)
	}
	defer r.Close()
	if size <= smallTree {
		mem := make(memory, chunk.ShapeOf(size).FileSize())
		if err := sumTree(ctx, r, root, size, mem); err != nil {
			return nil, err
		}
		return t.keep(&tree{root: root, size: size, r: bytes.NewReader(mem)}), nil
	}
	d, err := t.Create()
	if err != nil {
		return nil, err
	}
	defer d.Abort()
	if err := sumTree(ctx, r, root, size, d); err != nil {
		return nil, err
	}
	f, err := d.name(root, size)
	if err != nil {
		return nil, err
	}
	return t.keep(&tree{root: root, size: size, r: f, f: f}), nil
}

// sumTree writes the tree of a content to w and checks its root.
func sumTree(ctx context.Context, r io.Reader, root chunk.Hash, size int64, w io.WriterAt) error {
	sums, err := chunk.Sum(ctx, r, size, w, nil)
	if err == nil && sums.BLAKE3 != root || errors.Is(err, chunk.ErrSize) {
		err = ErrNotTheContent
	}
	if err != nil {
		return fmt.Errorf("make tree: %w", err)
	}
	return nil
}

// errTree is why a tree file is made again.
var errTree = errors.New("tree file is damaged")

// openFile opens a tree file and looks at what a crash or another program may have
// done to it: its length, its head, and holes.
func (t *Trees) openFile(root chunk.Hash, size int64) (*os.File, error) {
	f, stamp, err := chunk.OpenRegular(t.path(root))
	for chunk.IsTooMany(err) && t.spare() {
		f, stamp, err = chunk.OpenRegular(t.path(root))
	}
	if err != nil {
		return nil, err
	}
	if stamp.Size != chunk.ShapeOf(size).FileSize() || !goodHead(f, root) || stamp.Size < syncedTree && hasHoles(f, stamp.Size) {
		f.Close()
		return nil, errTree
	}
	return f, nil
}

// goodHead checks the header and the two highest nodes (wire.md section 5).
func goodHead(f io.ReaderAt, root chunk.Hash) bool {
	var head [64 + 2*32]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return false
	}
	var want [32]byte
	copy(want[:], "B3T\x02")
	return [32]byte(head[:32]) == want && chunk.Hash(head[32:64]) == root &&
		chunk.RootOf(chunk.Hash(head[64:96]), chunk.Hash(head[96:128])) == root
}

// hasHoles looks for a node of zeros: no hash is that, but a page that was not written
// before the power went is.
func hasHoles(f io.ReaderAt, size int64) bool {
	buf := make([]byte, 64<<10)
	var zero [32]byte
	for off := int64(64); off < size; off += int64(len(buf)) {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		if err != nil && err != io.EOF {
			return true
		}
		for node := range slices.Chunk(buf[:n], 32) {
			if bytes.Equal(node, zero[:]) {
				return true
			}
		}
	}
	return false
}

// atHand returns a tree that is open, with a reference.
func (t *Trees) atHand(root chunk.Hash, size int64) *tree {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byRoot[root]
	if e == nil || e.Value.(*tree).size != size {
		return nil
	}
	t.lru.MoveToFront(e)
	tr := e.Value.(*tree)
	tr.refs++
	return tr
}

// keep puts a tree into the list, and returns it with a reference.
func (t *Trees) keep(tr *tree) *tree {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byRoot[tr.root]; e != nil {
		t.evictLocked(e)
	}
	tr.refs = 2
	t.byRoot[tr.root] = t.lru.PushFront(tr)
	for t.lru.Len() > openTrees {
		t.evictLocked(t.lru.Back())
	}
	return tr
}

func (t *Trees) release(tr *tree) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unrefLocked(tr)
}

func (t *Trees) forget(root chunk.Hash) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byRoot[root]; e != nil {
		t.evictLocked(e)
	}
}

// Borrow tells where to ask for a descriptor when none is left and no tree can be closed. It must be called
// before the first read; spare returns false when it has none.
func (t *Trees) Borrow(spare func() bool) { t.other = spare }

func (t *Trees) spare() bool { return t.Spare() || t.other != nil && t.other() }

// Spare closes the least recently used tree file that nobody reads; false when there is none.
func (t *Trees) Spare() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := t.lru.Back(); e != nil; e = e.Prev() {
		if tr := e.Value.(*tree); tr.refs == 1 && tr.f != nil {
			t.evictLocked(e)
			return true
		}
	}
	return false
}

func (t *Trees) evictLocked(e *list.Element) {
	tr := t.lru.Remove(e).(*tree)
	delete(t.byRoot, tr.root)
	t.unrefLocked(tr)
}

func (t *Trees) unrefLocked(tr *tree) {
	if tr.refs--; tr.refs == 0 && tr.f != nil {
		tr.f.Close()
	}
}

// memory is a tree file of a small content.
type memory []byte

func (m memory) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(m)) {
		return 0, io.ErrShortBuffer
	}
	return copy(m[off:], p), nil
}
