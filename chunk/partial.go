package chunk

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

var (
	// ErrOtherContent is returned when the partial file on disk is of another content, or not a partial file of ours.
	ErrOtherContent = errors.New("partial file of another content")
	// ErrNoSize is returned while the size of the content is not known.
	ErrNoSize = errors.New("size of the content not known yet")
	// ErrNotBlocks is returned for bytes that are not consecutive whole blocks of the content.
	ErrNotBlocks = errors.New("not whole blocks of the content")
	// ErrIncomplete is returned when blocks are missing.
	ErrIncomplete = errors.New("content is not complete")
	// ErrMismatch is returned when a complete content has not the SHA-256 it was asked for by.
	ErrMismatch = errors.New("content does not match its id")
	// ErrUnchecked is returned when a content with a SHA-256 id is to be finished that Check has not passed.
	ErrUnchecked = errors.New("content was not checked yet")
	// ErrLeftover is returned when the finished file is in place, but something of ours beside it could not be removed.
	ErrLeftover = errors.New("sidecar could not be removed")
)

// PartialOptions are the options of OpenPartial.
type PartialOptions struct {
	FS    FS   // nil: the real one
	Fsync bool // bring everything to the disk at Finish and Close
	Also  ID   // noted beside the id, for PartialIDs; may be invalid
}

// Partial is a content on its way to disk. TARGET.part holds its bytes, each block where it belongs;
// TARGET.part.sharer, the sidecar, what is known about it. Safe for concurrent use; one writer works at a time.
//
// With a BLAKE3 id no byte is written that was not verified. With a SHA-256 id a block is written as it came, and its
// leaf is kept: only Check tells whether the content is the right one, and Finish insists on it.
//
// A size is a claim until ProveSize, or until, with a BLAKE3 id, the last block has been verified, which fixes it:
// its leaf is bound to its position, its length and the right edge of the tree.
//
// What a crash loses: what was not handed to the kernel. What was is hashed again at the next OpenPartial, unless
// Close had left a mark and the file is as it was then.
type Partial struct {
	id     ID
	also   ID
	target string
	fsys   FS
	fsync  bool
	part   File // TARGET.part, later TARGET

	writing sync.Mutex // whoever changes the content or its geometry
	leaves  []Hash     // scratch of the writer

	mu       sync.Mutex // taken after writing; everything below may be read under either, and is changed under both
	side     sidecar    // but for head.Proven, which mu alone guards
	closed   bool
	finished bool
	shape    Shape  // of side.head.Size
	tree     *Tree  // nil: SHA-256, or no size
	done     Ranges // blocks
	doneLen  int64  // bytes of done
	marked   bool   // some of done was taken over from a mark of Close, unhashed
	sums     *Sums  // what Check found; nil after any change
	stamp    Stamp  // of the finished file
}

// OpenPartial opens the partial files of a target, or makes them. The errors are ErrLocked; ErrOtherContent, when
// they are of another id, or when there is a TARGET.part without a sidecar, which then is not ours and stays
// untouched; ErrBadID for an id that is neither BLAKE3 nor SHA256; ErrNotRegular; and those of the file system. It
// may take as long as hashing what is on disk.
func OpenPartial(target string, id ID, o PartialOptions) (*Partial, error) {
	if id.Kind != BLAKE3 && id.Kind != SHA256 {
		return nil, ErrBadID
	}
	p := &Partial{id: id, also: o.Also, target: target, fsys: o.FS, fsync: o.Fsync}
	if p.fsys == nil {
		p.fsys = osFS{}
	}
	side, made, err := p.fsys.OpenLocked(p.sideName())
	if err != nil {
		return nil, fmt.Errorf("what is kept of %s while it arrives: %w", filepath.Base(target), err)
	}
	p.side.f = side
	if err := p.open(made); err != nil {
		if made { // what the next attempt finds is then told apart from a partial file of ours
			err = errors.Join(err, p.fsys.Remove(p.sideName()))
		}
		if p.part != nil {
			err = errors.Join(err, p.part.Close())
		}
		return nil, errors.Join(err, p.side.f.Close())
	}
	return p, nil
}

// PartialIDs returns the id of the partial files of a target, and the other one that was noted with it; invalid ones
// when there are none of ours.
func PartialIDs(target string) (id, also ID) {
	f, _, err := OpenRegular(PartName(target) + ".sharer")
	if err != nil {
		return ID{}, ID{}
	}
	defer f.Close()
	head, err := readHeader(f)
	if err != nil {
		return ID{}, ID{}
	}
	id, _ = ParseID(head.ID) // parseSlot has seen that it is one
	also, _ = ParseID(head.Also)
	return id, also
}

func (p *Partial) partName() string { return PartName(p.target) }
func (p *Partial) sideName() string { return PartName(p.target) + ".sharer" }

// maxName is the longest file name that common file systems take, in bytes.
const maxName = 255

// PartName is where the bytes of a target lie while it arrives: TARGET.part. When that, or the sidecar's name, would be
// longer than a file system takes, the middle gives way to a hash, so that two long names stay apart.
func PartName(target string) string {
	dir, base := filepath.Split(target)
	if len(base)+len(".part.sharer") > maxName {
		sum := RootOfBlock([]byte(base[:min(len(base), BlockSize)]))
		base = strings.ToValidUTF8(base[:200], "") + "~" + sum.String()[:16]
	}
	return dir + base + ".part"
}

// open reads the header, opens the data, and takes over what is there.
func (p *Partial) open(made bool) error {
	head, err := readHeader(p.side.f)
	known := err == nil
	if err != nil && err != errNoHeader {
		return err
	}
	if known && head.ID != p.id.String() {
		return fmt.Errorf("%w: %s", ErrOtherContent, head.ID)
	}
	part, err := p.fsys.Open(p.partName())
	if err != nil {
		return fmt.Errorf("open partial file: %w", err)
	}
	p.part = part
	fi, err := part.Stat()
	if err != nil {
		return fmt.Errorf("open partial file: %w", err)
	}
	if made && fi.Size() > 0 {
		return fmt.Errorf("%w: %s has no sidecar", ErrOtherContent, p.partName())
	}
	p.side.head = header{ID: p.id.String(), Size: -1}
	if known {
		p.side.head = head
	} else if p.id.Kind == SHA256 {
		// Without a header the leaves may be of any content. A tree is verified by its root, and stays for SetSize.
		if err := p.side.cut(0); err != nil {
			return err
		}
	}
	if p.also.Valid() {
		p.side.head.Also = p.also.String()
	}
	mark := p.side.head.Clean
	p.side.head.Clean, p.side.head.PID = nil, os.Getpid()
	if falseSize(p.id, p.side.head.Size) {
		p.side.head.Size, p.side.head.Proven = -1, false
	} else if err := p.takeOver(mark, StampOf(fi)); err != nil {
		return err
	}
	// The mark goes before the first write, from both slots: from here on a crash means hashing again. A new sidecar has none.
	slots := 2
	if made {
		slots = 1
	}
	for range slots {
		p.side.dirty = true
		if err := p.side.flush(); err != nil {
			return err
		}
	}
	return nil
}

// falseSize reports whether a size is wrong for sure: only the hash of nothing is the hash of nothing.
func falseSize(id ID, size int64) bool {
	nothing := RootOfBlock(nil)
	if id.Kind == SHA256 {
		nothing = sha256.Sum256(nil)
	}
	return !validSize(size) || (size == 0) != (id.Hash == nothing)
}

// Size returns the size of the content in bytes, which may be a mere claim; ok is false while there is none.
func (p *Partial) Size() (size int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.side.head.Size, 0), p.side.head.Size >= 0
}

// SetSize takes a size for the content's, until another is set; nothing is allocated for it. Another size than before
// drops what it contradicts: with a BLAKE3 id everything, with a SHA-256 id the blocks that do not lie wholly below
// both. The error is ErrSize for a size that is impossible, or other than the proven one.
func (p *Partial) SetSize(size int64) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return fs.ErrClosed
	case falseSize(p.id, size):
		return ErrSize
	case size == p.side.head.Size:
		return nil
	case p.side.head.Proven || p.finished:
		return ErrSize
	}
	if p.side.head.Size >= 0 {
		if err := p.shrinkLocked(size); err != nil {
			return err
		}
	}
	p.side.head.Size, p.side.dirty = size, true
	if err := p.takeOver(nil, Stamp{}); err != nil {
		return err
	}
	return p.side.flush()
}

// shrinkLocked forgets what another size contradicts, in memory first.
func (p *Partial) shrinkLocked(size int64) error {
	keep := min(size, p.side.head.Size) / BlockSize
	if p.id.Kind == BLAKE3 {
		keep = 0
	}
	p.forgetLocked(keep, p.shape.Blocks())
	if err := p.side.cut(keep * nodeSize); err != nil {
		return err
	}
	if p.tree != nil {
		p.tree.close()
	}
	return nil
}

// ProveSize says that the size is certain; it cannot be changed from now on.
func (p *Partial) ProveSize() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proveLocked()
}

func (p *Partial) proveLocked() {
	if p.side.head.Size >= 0 && !p.side.head.Proven {
		p.side.head.Proven, p.side.dirty = true, true
	}
}

// Proven reports whether the size is certain.
func (p *Partial) Proven() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.side.head.Proven
}

// Tree returns the tree of the content, which lives in the sidecar; nil for a SHA-256 id, and before SetSize. With
// another size it is another tree, and the old one takes nothing more.
func (p *Partial) Tree() *Tree {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tree
}

// holdLocked notes blocks [from, to) as held.
func (p *Partial) holdLocked(from, to int64) {
	for _, g := range p.done.Gaps(from, to) {
		p.doneLen += p.lenLocked(g)
	}
	p.done.Add(from, to)
	if p.id.Kind == BLAKE3 && to == p.shape.Blocks() {
		p.proveLocked()
	}
}

// forgetLocked is its reverse.
func (p *Partial) forgetLocked(from, to int64) {
	p.done.Remove(from, to)
	p.doneLen, p.sums = 0, nil
	for _, r := range p.done.rs {
		p.doneLen += p.lenLocked(r)
	}
}

// lenLocked is the number of bytes in blocks.
func (p *Partial) lenLocked(blocks Range) int64 {
	return min(blocks.To*BlockSize, p.shape.Size()) - min(blocks.From*BlockSize, p.shape.Size())
}

// Done returns the blocks that are held, as a copy.
func (p *Partial) Done() Ranges {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done.Clone()
}

// HeldAround returns at most n of the byte ranges that are held: those that end behind off first, then those from
// the start on, sorted. all says that nothing is missing of a content whose size is certain.
func (p *Partial) HeldAround(off int64, n int) (held []Range, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.side.head.Proven && p.completeLocked() {
		return nil, true
	}
	held = p.done.Around(off/BlockSize, n)
	for i, r := range held {
		held[i] = Range{From: r.From * BlockSize, To: min(r.To*BlockSize, p.shape.Size())}
	}
	slices.SortFunc(held, func(a, b Range) int { return cmp.Compare(a.From, b.From) })
	return held, false
}

// HasBlocks reports whether all blocks [from, to) are held.
func (p *Partial) HasBlocks(from, to int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done.Contains(from, to)
}

// DoneBytes is the number of bytes that are held.
func (p *Partial) DoneBytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doneLen
}

// Complete reports whether the size is known and every block is held. With a SHA-256 id that is not yet the end: see
// Check.
func (p *Partial) Complete() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.completeLocked()
}

func (p *Partial) completeLocked() bool {
	return p.side.head.Size >= 0 && p.done.Contains(0, p.shape.Blocks())
}

// ReadAt reads bytes of held blocks. It stops with ErrNotHeld at the first byte of another, with io.EOF at the end of
// the content. After Finish the file is the user's: when it was changed, the error is ErrChanged and no byte is given
// out.
func (p *Partial) ReadAt(b []byte, off int64) (int, error) { return p.read(b, off, p.part.ReadAt) }

// ReadNow is ReadAt for what can be read without waiting for a disk; the error is ErrWouldWait for what may not.
func (p *Partial) ReadNow(b []byte, off int64) (int, error) {
	f, ok := p.part.(*os.File)
	if !ok {
		return 0, ErrWouldWait
	}
	return p.read(b, off, func(b []byte, off int64) (int, error) { return sharedNow(f, b, off) })
}

// sharedNow fills b from what is in memory of a file that another may close meanwhile.
func sharedNow(f *os.File, b []byte, off int64) (n int, err error) {
	conn, err := f.SyscallConn() // for as long as the file is read it is not closed
	if err != nil {
		return 0, err
	}
	closed := conn.Control(func(uintptr) { n, err = ReadNow(f, b, off, off+int64(len(b))) })
	return n, errors.Join(closed, err)
}

func (p *Partial) read(b []byte, off int64, read func([]byte, int64) (int, error)) (int, error) {
	p.mu.Lock()
	size, finished, stamp := p.side.head.Size, p.finished, p.stamp
	end := int64(0)
	if off >= 0 && off < size {
		end = min(p.done.End(off/BlockSize)*BlockSize, size)
	}
	closed := p.closed
	p.mu.Unlock()

	if closed {
		return 0, fs.ErrClosed
	}
	if len(b) == 0 {
		return 0, nil
	}
	if size >= 0 && off >= size {
		return 0, io.EOF
	}
	if off < 0 || off >= end {
		return 0, ErrNotHeld
	}
	want := min(int64(len(b)), end-off)
	n, err := read(b[:want], off)
	if finished {
		if fi, statErr := p.part.Stat(); statErr != nil || StampOf(fi) != stamp {
			clear(b[:n])
			return 0, errors.Join(ErrChanged, statErr)
		}
	}
	switch {
	case errors.Is(err, ErrWouldWait):
		return 0, ErrWouldWait
	case int64(n) < want && (err == nil || err == io.EOF):
		return n, fmt.Errorf("read partial file: %w", io.ErrUnexpectedEOF)
	case int64(n) < want:
		return n, fmt.Errorf("read partial file: %w", err)
	case n == len(b):
		return n, nil
	case end == size:
		return n, io.EOF
	}
	return n, ErrNotHeld
}
