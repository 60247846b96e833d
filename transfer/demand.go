package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"

	"sharer/chunk"
)

// readAhead is how much of what follows a reader's position is wanted before all else:
// two seconds of a video of 16 Mbit/s.
const readAhead = 4 << 20

// Demand is what readers of a content that arrives wait for. A download that is given
// one asks for their windows first. Safe for concurrent use.
type Demand struct {
	file    *chunk.Partial
	claimed bool // a size that is only claimed will do, and so will bytes that nothing has verified

	mu      sync.Mutex
	readers []*Reader     // the most recent last
	change  chan struct{} // closed when more is there, or the download has ended
	ended   bool
	err     error // why
	news    chan struct{}
}

// NewDemand returns the demand for a content that arrives in file, which must be one
// by a BLAKE3 id: bytes of others are not verified before the end.
func NewDemand(file *chunk.Partial) *Demand {
	return &Demand{file: file, change: make(chan struct{}), news: make(chan struct{}, 1)}
}

// NewUnverifiedDemand returns the demand for a content that arrives by a sha256 id: nothing is verified before the end,
// the size least of all. What is read may turn out to be wrong.
func NewUnverifiedDemand(file *chunk.Partial) *Demand {
	d := NewDemand(file)
	d.claimed = true
	return d
}

// End says that nothing more will arrive; err is why, nil if all is there. Readers get
// what is there, and then err.
func (d *Demand) End(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended {
		d.ended, d.err = true, err
		close(d.change)
	}
}

// arrived wakes readers.
func (d *Demand) arrived() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended {
		close(d.change)
		d.change = make(chan struct{})
	}
}

// windows appends the blocks that are wanted first, the most urgent first: those of the
// reader that moved last, since somebody seeks there.
func (d *Demand) windows(dst []chunk.Range) []chunk.Range {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := len(d.readers) - 1; i >= 0 && len(dst) < maxReaders; i-- {
		r := d.readers[i]
		dst = append(dst, chunk.Range{From: r.at / chunk.BlockSize, To: (r.at + readAhead + chunk.BlockSize - 1) / chunk.BlockSize})
	}
	return dst
}

// Reader reads a content in order while it arrives: it waits for verified bytes. It is
// for one goroutine.
type Reader struct {
	demand *Demand
	ctx    context.Context

	at   int64 // guarded by demand.mu; of the next byte
	gone bool  // closed
}

var _ io.ReadSeekCloser = (*Reader)(nil)

// NewReader returns a reader at the beginning. Its waits end with ctx.
func (d *Demand) NewReader(ctx context.Context) *Reader {
	r := &Reader{demand: d, ctx: ctx}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readers = append(d.readers, r)
	d.tellLocked()
	return r
}

// tellLocked has the download look at the windows.
func (d *Demand) tellLocked() {
	select {
	case d.news <- struct{}{}:
	default:
	}
}

// wait waits for the next change after ready has said no. The error is why there will
// be none.
func (r *Reader) wait(ready func() bool) error {
	for {
		r.demand.mu.Lock()
		change, ended, err := r.demand.change, r.demand.ended, r.demand.err
		r.demand.mu.Unlock()
		if ready() { // after the channel was taken: what comes from now on closes it
			return nil
		}
		if ended {
			return errors.Join(io.ErrUnexpectedEOF, err)
		}
		select {
		case <-r.ctx.Done():
			return r.ctx.Err()
		case <-change:
		}
	}
}

// Size waits until the size is proven; of an unverified demand, until there is a claim.
func (r *Reader) Size() (int64, error) {
	ready := r.demand.file.Proven
	if r.demand.claimed {
		ready = func() bool { _, ok := r.demand.file.Size(); return ok }
	}
	if err := r.wait(ready); err != nil {
		return 0, err
	}
	size, _ := r.demand.file.Size()
	return size, nil
}

// Read waits for the byte at its position and returns what is there from it on.
func (r *Reader) Read(p []byte) (n int, err error) {
	if r.gone {
		return 0, fs.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	size, err := r.Size()
	if err != nil {
		return 0, err
	}
	at := r.at // only this goroutine changes it
	if at >= size {
		return 0, io.EOF
	}
	if err := r.wait(func() bool { return r.demand.file.HasBlocks(at/chunk.BlockSize, at/chunk.BlockSize+1) }); err != nil {
		return 0, err
	}
	n, err = r.demand.file.ReadAt(p, at)
	if n > 0 {
		err = nil
		r.moveTo(at + int64(n))
	}
	return n, err
}

// Seek sets the position; from there on is wanted first. Relative to the end it waits for the size.
func (r *Reader) Seek(off int64, whence int) (int64, error) {
	if r.gone {
		return 0, fs.ErrClosed
	}
	switch whence {
	case io.SeekCurrent:
		off += r.at
	case io.SeekEnd:
		size, err := r.Size()
		if err != nil {
			return 0, err
		}
		off += size
	case io.SeekStart:
	default:
		return 0, errors.New("transfer: no such whence")
	}
	if off < 0 {
		return 0, errors.New("transfer: seek before the beginning")
	}
	r.moveTo(off)
	return off, nil
}

// moveTo changes the window; a jump out of it makes it the most urgent.
func (r *Reader) moveTo(at int64) {
	d := r.demand
	d.mu.Lock()
	defer d.mu.Unlock()
	jump := at < r.at || at > r.at+readAhead
	r.at = at
	if jump {
		d.removeLocked(r)
		d.readers = append(d.readers, r)
	}
	d.tellLocked()
}

func (d *Demand) removeLocked(r *Reader) {
	for i, o := range d.readers {
		if o == r {
			d.readers = append(d.readers[:i], d.readers[i+1:]...)
			return
		}
	}
}

// Close withdraws the demand.
func (r *Reader) Close() error {
	if r.gone {
		return fs.ErrClosed
	}
	r.gone = true
	r.demand.mu.Lock()
	defer r.demand.mu.Unlock()
	r.demand.removeLocked(r)
	r.demand.tellLocked()
	return nil
}
