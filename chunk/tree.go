package chunk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

var (
	// ErrBadTree is returned for bytes of a tree that contradict its root, or its size.
	ErrBadTree = errors.New("hash tree contradicts its root")
	// ErrNoParent is returned when a node is needed that was not verified yet.
	ErrNoParent = errors.New("node of the hash tree not held yet")
	// ErrNotHeld is returned by a read that came to a byte that is not held and verified.
	ErrNotHeld = errors.New("not held")

	errTreeClosed = fmt.Errorf("hash tree: %w", fs.ErrClosed)
)

// Backing is where a Tree keeps its bytes.
type Backing interface {
	io.ReaderAt
	io.WriterAt
}

// Tree is a tree file that is verified piece by piece, from the root down, in a backing file. Safe for concurrent use.
//
// Its size is a claim until the last block of the content has matched its leaf. A false one makes Put fail sooner or
// later, or yields leaves that nothing matches: a tree without its lowest levels is a consistent tree of a smaller
// content. Memory: two words for each level that was touched and one bit a verified piece, in pages of 64 bytes.
//
// The tree of an empty content or of one block has no node that a parent covers: it is complete from the start, holds
// no leaf, and gives out its header only. Such content is checked against the root itself, by RootOfBlock.
type Tree struct {
	root  Hash
	shape Shape
	valid bool // the size was one
	f     Backing
	base  int64

	mu     sync.Mutex
	closed bool
	have   pieceSet
	nodes  [pieceSize]byte // scratch: the nodes above a piece, or the piece itself

	early     [earlyPaths]earlyPath // of paths that came before their pieces; the oldest gives way
	nextEarly int
}

// NewTree returns the tree of a content with that BLAKE3 and, as it is said, size, in which no piece is verified. f
// keeps the tree file from byte base on; nothing is written or read before Put. A size that is none gives a tree that
// takes nothing.
func NewTree(root Hash, size int64, f Backing, base int64) *Tree {
	t := &Tree{root: root, shape: ShapeOf(size), valid: validSize(size), f: f, base: base}
	if t.valid && t.shape.Blocks() <= 1 {
		t.have.add(0)
	}
	return t
}

// Root is the BLAKE3 of the content.
func (t *Tree) Root() Hash { return t.root }

// Shape is the geometry of the tree.
func (t *Tree) Shape() Shape { return t.shape }

// Put verifies one piece and writes it. data must be exactly the piece. The error is ErrBadTree when the piece
// contradicts what is known, ErrNoParent when nothing is known to compare it with (neither its parent nor a path above it), fs.ErrClosed when the tree was
// given up for that of another size, or that of the backing. A piece that is already verified is left alone, whatever
// data is.
func (t *Tree) Put(piece int, data []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errTreeClosed
	}
	if !t.valid || piece < 0 || piece >= t.shape.Pieces() {
		return ErrBadTree
	}
	if t.have.has(piece) {
		return nil
	}
	off, n := t.shape.Piece(piece)
	if len(data) != n {
		return ErrBadTree
	}
	if err := t.verifyLocked(piece, data); err != nil {
		return err
	}
	if err := writeAt(t.f, data, t.base+off); err != nil {
		return fmt.Errorf("write tree: %w", err)
	}
	t.have.add(piece)
	return nil
}

// verifyLocked compares every node of a piece of the right length with the nodes above it.
func (t *Tree) verifyLocked(piece int, data []byte) error {
	if piece == 0 {
		return t.verifyHead(data)
	}
	if !t.have.has(t.shape.Parent(piece)) {
		return t.verifyEarlyLocked(piece, data)
	}
	level, j, _ := t.shape.place(piece)
	above := t.nodes[:(len(data)/nodeSize+1)/2*nodeSize]
	if err := t.readLocked(above, t.shape.Offset(level+1, j*pieceNodes/2)); err != nil {
		return err
	}
	if !verifyNodes(above, data) {
		return ErrBadTree
	}
	return nil
}

// verifyHead checks the header, the two top nodes against the root, and each further level against the one above.
func (t *Tree) verifyHead(data []byte) error {
	if [headerSize]byte(data) != treeHeader(t.root) {
		return ErrBadTree
	}
	var above []byte
	for k := t.shape.Levels() - 1; k >= t.shape.head; k-- {
		off := t.shape.Offset(k, 0)
		nodes := data[off : off+t.shape.LevelLen(k)*nodeSize]
		if above == nil {
			if RootOf(Hash(nodes), Hash(nodes[nodeSize:])) != t.root {
				return ErrBadTree
			}
		} else if !verifyNodes(above, nodes) {
			return ErrBadTree
		}
		above = nodes
	}
	return nil
}

// verifyNodes reports whether above holds the parents of nodes; an odd last node is its own parent.
func verifyNodes(above, nodes []byte) bool {
	for len(nodes) > nodeSize {
		if ParentCV(Hash(nodes), Hash(nodes[nodeSize:])) != Hash(above) {
			return false
		}
		nodes, above = nodes[2*nodeSize:], above[nodeSize:]
	}
	return len(nodes) == 0 || Hash(nodes) == Hash(above)
}

// readLocked fills p from the backing.
func (t *Tree) readLocked(p []byte, off int64) error {
	if n, err := t.f.ReadAt(p, t.base+off); n < len(p) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read tree: %w", err)
	}
	return nil
}

// Has reports whether a piece is verified.
func (t *Tree) Has(piece int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.have.has(piece)
}

// HasLeaf reports whether the leaf of a block is verified.
func (t *Tree) HasLeaf(block int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hasLeafLocked(block) {
		return true
	}
	_, early := t.earlyLocked(0, block)
	return early
}

func (t *Tree) hasLeafLocked(block int64) bool {
	return t.valid && t.shape.Blocks() > 1 && t.have.has(t.shape.LeafPiece(block))
}

// Complete reports whether every piece is verified.
func (t *Tree) Complete() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.valid && t.have.n == t.shape.Pieces()
}

// Leaves appends the verified leaves of the blocks [first, first+n). The error is ErrNoParent when one of them is not
// verified, or that of the backing; then dst is returned as it was.
func (t *Tree) Leaves(first int64, n int, dst []Hash) ([]Hash, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return dst, errTreeClosed
	}
	if first < 0 || n < 0 || first > t.shape.Blocks()-int64(n) {
		return dst, ErrNoParent
	}
	end := first + int64(n)
	had := len(dst)
	for first < end {
		if !t.hasLeafLocked(first) {
			cv, ok := t.earlyLocked(0, first)
			if !ok {
				return dst[:had], ErrNoParent
			}
			dst = append(dst, cv)
			first++
			continue
		}
		p := t.nodes[:min(pieceNodes-first%pieceNodes, end-first)*nodeSize]
		if err := t.readLocked(p, t.shape.Offset(0, first)); err != nil {
			return dst[:had], err
		}
		for ; len(p) > 0; p = p[nodeSize:] {
			dst = append(dst, Hash(p))
			first++
		}
	}
	return dst, nil
}

// Recover verifies anew, from the root down, what the backing holds, as after a restart. It takes time proportional
// to what it finds, not to the size. Bytes that are missing or wrong are simply not held; the error is that of a
// failed read.
func (t *Tree) Recover() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.valid || t.closed || t.shape.Blocks() <= 1 {
		return nil
	}
	t.have = pieceSet{}
	var buf [pieceSize]byte
	return t.recoverLocked(buf[:], 0, t.shape.head, 0)
}

// recoverLocked tries piece j of a level, and the two below it when it is good; level Shape.head is the head itself.
func (t *Tree) recoverLocked(buf []byte, piece, level int, j int64) error {
	off, n := t.shape.Piece(piece)
	data := buf[:n]
	if got, err := t.f.ReadAt(data, t.base+off); got < n {
		if err == nil || err == io.EOF {
			return nil
		}
		return fmt.Errorf("read tree: %w", err)
	}
	if err := t.verifyLocked(piece, data); err == ErrBadTree {
		return nil
	} else if err != nil {
		return err
	}
	t.have.add(piece)
	for below := 2 * j; level > 0 && below <= 2*j+1 && below < t.shape.levelPieces(level-1); below++ {
		if err := t.recoverLocked(buf, t.shape.number(level-1, below), level-1, below); err != nil {
			return err
		}
	}
	return nil
}

// ReadAt reads bytes of the tree file, verified ones only. It stops with ErrNotHeld at the first byte that is not,
// with io.EOF at the end of the file. The header is always there.
func (t *Tree) ReadAt(p []byte, off int64) (n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.readAtLocked(p, off, t.readLocked)
}

// ReadNow is ReadAt for what can be read without waiting, neither for a disk nor for who reads or writes the tree; the error is
// ErrWouldWait for what may not.
func (t *Tree) ReadNow(p []byte, off int64) (n int, err error) {
	f, ok := t.f.(*os.File)
	if !ok || !t.mu.TryLock() {
		return 0, ErrWouldWait
	}
	defer t.mu.Unlock()
	return t.readAtLocked(p, off, func(p []byte, off int64) error {
		_, err := sharedNow(f, p, t.base+off)
		return err
	})
}

func (t *Tree) readAtLocked(p []byte, off int64, read func(p []byte, off int64) error) (n int, err error) {
	if t.closed {
		return 0, errTreeClosed
	}
	if !t.valid || off < 0 {
		return 0, ErrNotHeld
	}
	for n < len(p) {
		pos := off + int64(n)
		switch {
		case pos >= t.shape.FileSize():
			return n, io.EOF
		case pos < headerSize:
			head := treeHeader(t.root)
			n += copy(p[n:], head[pos:])
			continue
		}
		piece := t.shape.PieceAt(pos)
		if t.shape.Blocks() <= 1 || !t.have.has(piece) {
			return n, ErrNotHeld
		}
		start, size := t.shape.Piece(piece)
		run := p[n:min(int64(len(p)), int64(n)+start+int64(size)-pos)]
		if err := read(run, pos); err != nil {
			return n, err
		}
		n += len(run)
	}
	return n, nil
}

// close makes every later call fail with fs.ErrClosed, so that whoever still has the tree of another size cannot
// write over its successor.
func (t *Tree) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed, t.have, t.early = true, pieceSet{}, [earlyPaths]earlyPath{}
}

// pieceSet is a sparse set of piece numbers.
type pieceSet struct {
	pages map[int]*[8]uint64 // 512 pieces a page: content of 256 MiB
	n     int
}

func (s *pieceSet) has(p int) bool {
	page := s.pages[p>>9]
	return p >= 0 && page != nil && page[p>>6&7]>>(p&63)&1 != 0
}

func (s *pieceSet) add(p int) {
	if s.has(p) {
		return
	}
	if s.pages == nil {
		s.pages = make(map[int]*[8]uint64)
	}
	page := s.pages[p>>9]
	if page == nil {
		page = new([8]uint64)
		s.pages[p>>9] = page
	}
	page[p>>6&7] |= 1 << (p & 63)
	s.n++
}
