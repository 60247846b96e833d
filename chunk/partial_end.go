package chunk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// FinishOptions are the options of Finish.
type FinishOptions struct {
	Replace bool // put the content in the place of a file that has the name of the target
}

// Check verifies the complete content as a whole. With a BLAKE3 id every block was verified already, so it returns at
// once, and Sums.SHA256 is zero. With a SHA-256 id the file is read: ErrMismatch when it is another content, whose
// blocks are still held then; see Drop. When it is the right one, its BLAKE3 comes from the kept leaves; from the
// same reading when some leaves were taken over unhashed. progress, if not nil, gets the bytes newly done. Other
// errors: ErrIncomplete, ctx.Err(), those of the file system.
func (p *Partial) Check(ctx context.Context, progress func(n int)) (Sums, error) {
	p.writing.Lock() // the writer waits: what is checked must stay as it is
	defer p.writing.Unlock()
	p.mu.Lock()
	sums, complete, closed, size, marked := p.sums, p.completeLocked(), p.closed, p.side.head.Size, p.marked
	p.mu.Unlock()
	switch {
	case closed:
		return Sums{}, fs.ErrClosed
	case !complete:
		return Sums{}, ErrIncomplete
	case p.id.Kind == BLAKE3:
		return Sums{BLAKE3: p.id.Hash, Size: size}, nil
	case sums != nil:
		return *sums, nil
	}
	// The file may be longer than the content, after a larger size was given up: Finish cuts it.
	whole := io.NewSectionReader(p.part, 0, size)
	var found Sums
	var err error
	if marked || p.shape.Blocks() <= 1 {
		found, err = Sum(ctx, whole, size, nil, progress)
	} else if found, err = sumSHA256(ctx, whole, size, progress); err == nil && found.SHA256 == p.id.Hash {
		found.BLAKE3, err = p.keptRoot()
	}
	switch {
	case errors.Is(err, ErrSize):
		return Sums{}, fmt.Errorf("read partial file: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return Sums{}, err
	case found.SHA256 != p.id.Hash:
		return Sums{}, ErrMismatch
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sums = &found
	p.proveLocked()
	return found, p.side.flush()
}

// sumSHA256 is Sum without the tree.
func sumSHA256(ctx context.Context, r io.Reader, size int64, progress func(n int)) (Sums, error) {
	sha := sha256.New()
	err := sumSerial(size, func(b []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, b); err != nil {
			return readError(err)
		}
		if progress != nil {
			progress(len(b))
		}
		return nil
	}, func(b []byte) error {
		sha.Write(b)
		return nil
	})
	s := Sums{Size: size}
	sha.Sum(s.SHA256[:0])
	return s, err
}

// keptRoot computes the BLAKE3 of a content of at least two blocks from the leaves in the sidecar.
func (p *Partial) keptRoot() (Hash, error) {
	b := newTreeBuilder(p.shape, nil)
	for first := int64(0); first < p.shape.Blocks(); first += pieceNodes {
		leaves, err := p.side.keptLeaves(first, int(min(pieceNodes, p.shape.Blocks()-first)))
		if err != nil {
			return Hash{}, err
		}
		if err := b.addLeaves(leaves); err != nil {
			return Hash{}, err
		}
	}
	if err := b.finish(); err != nil {
		return Hash{}, err
	}
	return b.root, nil
}

// Drop forgets blocks, so that they are written again: those of a peer that is not believed any more.
func (p *Partial) Drop(blocks Range) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.finished {
		return fs.ErrClosed
	}
	var held Ranges
	held.Add(max(0, blocks.From), min(blocks.To, p.shape.Blocks()))
	for _, g := range p.done.Gaps(max(0, blocks.From), min(blocks.To, p.shape.Blocks())) {
		held.Remove(g.From, g.To)
	}
	p.forgetLocked(blocks.From, blocks.To)
	if p.id.Kind == BLAKE3 {
		return nil // found again after a crash, they will have been verified again
	}
	for _, r := range held.rs {
		if err := p.side.dropLeaves(r); err != nil {
			return err
		}
	}
	return nil
}

// Reset forgets all blocks. Size and tree stay.
func (p *Partial) Reset() error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.finished {
		return fs.ErrClosed
	}
	return p.resetLocked()
}

func (p *Partial) resetLocked() error {
	p.forgetLocked(0, p.shape.Blocks())
	p.marked = false
	if p.id.Kind == SHA256 {
		return p.side.cut(0)
	}
	return nil
}

// Finish gives the content its name: the file is cut to size, synced if wanted, renamed, and the sidecar removed. It
// replaces no file unless told so: ErrExists. Other errors: ErrIncomplete, ErrUnchecked with a SHA-256 id, ErrChanged
// when TARGET.part is no longer our file, ErrLeftover when the content is in place and only the sidecar is left over,
// and those of the file system. After any but ErrLeftover it may be tried again; only when syncing failed nothing is
// held any more, as the kernel may have thrown away what it could not write.
//
// Afterwards ReadAt and Tree go on working until Close.
func (p *Partial) Finish(o FinishOptions) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	ready := p.readyLocked()
	finished := p.finished
	p.mu.Unlock()
	if ready != nil || finished {
		return ready
	}
	if err := p.part.Truncate(p.side.head.Size); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	if p.fsync {
		if err := p.part.Sync(); err != nil {
			return p.lost(err)
		}
	}
	if err := p.fsys.Publish(p.part, p.partName(), p.target, PublishOptions{Replace: o.Replace, Fsync: p.fsync}); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	fi, err := p.part.Stat()
	if err == nil {
		err = p.fsys.Remove(p.sideName())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished, p.side.dirty = true, false
	if fi != nil {
		p.stamp = StampOf(fi)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLeftover, err)
	}
	return nil
}

func (p *Partial) readyLocked() error {
	switch {
	case p.closed:
		return fs.ErrClosed
	case p.finished:
		return nil
	case !p.completeLocked():
		return ErrIncomplete
	case p.id.Kind == SHA256 && p.sums == nil && p.side.head.Size > 0:
		return ErrUnchecked
	}
	return nil
}

// lost is the answer to a sync that failed: what the kernel could not write it may have dropped, and a second sync
// would not say so again. So nothing counts as held, and the file is emptied, that the pages in memory may not pass
// for the bytes on disk.
func (p *Partial) lost(cause error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := errors.Join(p.resetLocked(), p.part.Truncate(0))
	return errors.Join(fmt.Errorf("sync partial file: %w", cause), err)
}

// Close closes the files and keeps them; a mark in the sidecar spares the next OpenPartial the hashing. The error
// tells that the mark could not be written, or that syncing failed. Closing twice is no error.
func (p *Partial) Close() error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	closed, finished := p.closed, p.finished
	p.closed = true
	p.mu.Unlock()
	if closed {
		return nil
	}
	var err error
	if !finished {
		err = p.mark()
	}
	return p.closeFiles(err)
}

func (p *Partial) closeFiles(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tree != nil {
		p.tree.close()
	}
	return errors.Join(err, p.part.Close(), p.side.f.Close())
}

// mark writes what is held, and how the data file looks, into the header. Where there are too many runs for a slot it
// does not, and the next OpenPartial hashes.
func (p *Partial) mark() error {
	if p.fsync {
		if err := p.part.Sync(); err != nil {
			return p.lost(err)
		}
		if err := p.side.f.Sync(); err != nil {
			return fmt.Errorf("sync sidecar: %w", err)
		}
	}
	fi, err := p.part.Stat()
	if err != nil {
		return fmt.Errorf("close partial file: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &clean{Done: [][2]int64{}, Stamp: StampOf(fi), Boot: bootID(), Synced: p.fsync}
	for _, r := range p.done.rs {
		c.Done = append(c.Done, [2]int64{r.From, r.To})
	}
	p.side.head.PID, p.side.head.Clean, p.side.dirty = 0, c, true
	err = p.side.flush()
	if err == errHeaderSpace {
		p.side.head.Clean = nil
		err = p.side.flush()
	}
	if err == nil && p.fsync {
		err = p.side.f.Sync()
	}
	return err
}

// Remove gives the download up: both files are removed and closed. After Finish it only closes.
func (p *Partial) Remove() error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	closed, finished := p.closed, p.finished
	p.closed = true
	p.mu.Unlock()
	if closed {
		return nil
	}
	var err error
	if !finished {
		// The sidecar last, and only then: a TARGET.part without one would pass for a file of the user's.
		if err = p.fsys.Remove(p.partName()); err == nil {
			err = p.fsys.Remove(p.sideName())
		}
	}
	return p.closeFiles(err)
}
