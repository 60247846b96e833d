package chunk

import "math/bits"

// Constants of the format (wire.md, section 5).
const (
	BlockSize  = 4096 // bytes of content under one leaf
	headerSize = 64   // bytes of the tree file before its levels
	nodeSize   = 32   // bytes of one node
)

// Constants of how a tree is fetched: a piece is one block of the tree file at most.
const (
	pieceNodes = BlockSize / nodeSize // 128: even, so siblings never part
	pieceSize  = pieceNodes * nodeSize
)

// MaxSize is the largest content dealt with: 1 PiB (256 TiB where int has 32 bits, so that a piece number fits).
const MaxSize int64 = 1 << (48 + 2*(^uint(0)>>63))

// Shape is the geometry of the tree of a content of a given size. Pure arithmetic: a value of a few words, whatever
// the size.
//
// Level 0 are the leaves, one a block. Level k+1 pairs level k, an odd last node is carried up unchanged, until a
// level has two nodes. So level k has ceil(n / 2^k) nodes, and there are ceil(log2 n) levels for n > 1 blocks, one
// for one block, none for empty content.
//
// Pieces are how a tree is fetched and verified. Piece 0, the head, is the header and as many whole levels from the
// top as fit into 4096 bytes with it. Every further level is cut into pieces of 128 nodes, its last one shorter, and
// the pieces are numbered in the order of the file, so that each begins where the one before it ends. The parents of
// a piece lie in one piece.
type Shape struct {
	size   int64
	blocks int64
	levels int
	head   int // the lowest level that lies in the head; levels when none does
}

// ShapeOf returns the shape for size bytes, 0 <= size <= MaxSize. A size outside is taken as 0: callers refuse it
// before.
func ShapeOf(size int64) Shape {
	if !validSize(size) {
		size = 0
	}
	s := Shape{size: size, blocks: (size + BlockSize - 1) / BlockSize}
	switch {
	case s.blocks == 1:
		s.levels = 1
	case s.blocks > 1:
		s.levels = bits.Len64(uint64(s.blocks - 1))
	}
	s.head = s.levels
	for nodes := int64(0); s.head > 0; s.head-- {
		if nodes += s.LevelLen(s.head - 1); headerSize+nodes*nodeSize > pieceSize {
			break
		}
	}
	return s
}

func validSize(size int64) bool { return size >= 0 && size <= MaxSize }

// Size is the number of bytes of the content.
func (s Shape) Size() int64 { return s.size }

// Blocks is the number of 4 KiB blocks, the last one perhaps shorter.
func (s Shape) Blocks() int64 { return s.blocks }

// BlockLen is the number of bytes in block i, 0 when there is no such block.
func (s Shape) BlockLen(i int64) int {
	if i < 0 || i >= s.blocks {
		return 0
	}
	return int(min(BlockSize, s.size-i*BlockSize))
}

// Levels is the number of levels, leaves counted, root not.
func (s Shape) Levels() int { return s.levels }

// LevelLen is the number of nodes of a level, 0 when there is no such level.
func (s Shape) LevelLen(level int) int64 {
	if level < 0 || level >= s.levels {
		return 0
	}
	return (s.blocks + 1<<level - 1) >> level
}

// Offset is the byte of the tree file where node i of a level begins.
func (s Shape) Offset(level int, i int64) int64 {
	nodes := i
	for k := s.levels - 1; k > level; k-- {
		nodes += s.LevelLen(k)
	}
	return headerSize + nodes*nodeSize
}

// FileSize is the number of bytes of the tree file.
func (s Shape) FileSize() int64 { return s.Offset(-1, 0) }

// levelPieces is the number of pieces of a level below the head.
func (s Shape) levelPieces(level int) int64 { return (s.LevelLen(level) + pieceNodes - 1) / pieceNodes }

// Pieces is the number of pieces, at least 1.
func (s Shape) Pieces() int {
	n := int64(1)
	for k := s.head - 1; k >= 0; k-- {
		n += s.levelPieces(k)
	}
	return int(n)
}

// place returns the level of a piece and its index in it; ok is false for the head and for what is no piece.
func (s Shape) place(p int) (level int, j int64, ok bool) {
	j = int64(p) - 1
	if j < 0 {
		return 0, 0, false
	}
	for k := s.head - 1; k >= 0; k-- {
		n := s.levelPieces(k)
		if j < n {
			return k, j, true
		}
		j -= n
	}
	return 0, 0, false
}

// number is the reverse of place; a level in the head gives the head.
func (s Shape) number(level int, j int64) int {
	if level >= s.head {
		return 0
	}
	n := 1 + j
	for k := s.head - 1; k > level; k-- {
		n += s.levelPieces(k)
	}
	return int(n)
}

// Piece returns where in the tree file piece p begins and how many bytes it has; 0, 0 when there is no such piece.
func (s Shape) Piece(p int) (off int64, n int) {
	if p == 0 {
		return 0, int(s.Offset(s.head-1, 0))
	}
	level, j, ok := s.place(p)
	if !ok {
		return 0, 0
	}
	nodes := min(pieceNodes, s.LevelLen(level)-j*pieceNodes)
	return s.Offset(level, j*pieceNodes), int(nodes * nodeSize)
}

// PieceAt returns the piece that holds byte off of the tree file; -1 when off lies outside.
func (s Shape) PieceAt(off int64) int {
	if off < 0 || off >= s.FileSize() {
		return -1
	}
	for k := 0; k < s.head; k++ {
		if start := s.Offset(k, 0); off >= start {
			return s.number(k, (off-start)/pieceSize)
		}
	}
	return 0
}

// Parent returns the piece that verifies piece p; -1 for the head and for what is no piece.
func (s Shape) Parent(p int) int {
	level, j, ok := s.place(p)
	if !ok {
		return -1
	}
	return s.number(level+1, j/2)
}

// LeafPiece returns the piece that holds the leaf of a block; -1 when there is no such block.
func (s Shape) LeafPiece(block int64) int {
	if block < 0 || block >= s.blocks {
		return -1
	}
	return s.number(0, block/pieceNodes)
}

// PathPieces appends the pieces that verify a block, from the head down to the one with its leaf.
func (s Shape) PathPieces(block int64, dst []int) []int {
	if block < 0 || block >= s.blocks {
		return dst
	}
	dst = append(dst, 0)
	for k := s.head - 1; k >= 0; k-- {
		dst = append(dst, s.number(k, (block>>k)/pieceNodes))
	}
	return dst
}
