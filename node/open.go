package node

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"sharer/chunk"
	"sharer/transfer"
)

// ErrNotHeld is returned for a content that is not complete here, where only such are wanted.
var ErrNotHeld = errors.New("node: not held here")

// OpenRequest names a content that is to be read.
type OpenRequest struct {
	ID, Also    chunk.ID         // SHA256 or BLAKE3; the other one may be invalid
	Name        string           // under which the store lists it
	Size        int64            // hint of the link, -1: not known
	Peers       []netip.AddrPort // hints of the link
	FindTimeout time.Duration    // how long somebody is looked for who has it; 0: 60 s
	Held        bool             // only what is complete here
}

// Open gives a reader of a content: of what is seeded or stored, or of what arrives, in which case it waits for the size, for
// FindTimeout at most. Several readers of a content share its download, which goes into the store; what each of them waits
// for is asked for first. When the last one has left it goes on for some seconds, and then stops; what came is kept. The error is ErrNotFound,
// ErrNotHeld, ErrNoState for a node that has no place for what it does not fetch already, one of package store, or the context's. The reader's waits end with ctx.
func (n *Node) Open(ctx context.Context, r OpenRequest) (*Reader, error) {
	if r.FindTimeout <= 0 {
		r.FindTimeout = defaultFindTimeout
	}
	if n.DeniesContent(r.ID, r.Also) {
		return nil, ErrDenied
	}
	rd := &Reader{node: n, ctx: ctx, ids: []chunk.ID{r.ID, r.Also}}
	if ok, err := rd.openHeld(); ok || err != nil {
		return rd, err
	}
	switch {
	case r.Held:
		return nil, ErrNotHeld
	case r.ID.Kind != chunk.BLAKE3 && r.ID.Kind != chunk.SHA256:
		return nil, ErrNotHeld // a tree is fetched with its content only
	}
	a, err := n.arrivals.join(ctx, rd.ids, false, func() (*arrival, error) {
		if n.state == nil {
			return nil, ErrNoState
		}
		return n.fetchToStore(r)
	})
	if err != nil {
		return nil, err
	}
	rd.arrival = a
	if err := rd.awaitSize(r.FindTimeout); err != nil {
		return nil, errors.Join(err, rd.Close())
	}
	return rd, nil
}

// Bring has a content fetched into the store, and stay; it returns at once. The error is one of Open.
func (n *Node) Bring(r OpenRequest) error {
	if n.state == nil {
		return ErrNoState
	}
	if n.state.store.Has(r.ID) {
		return n.state.store.Pin(r.ID, PinKept)
	}
	_, err := n.arrivals.join(context.Background(), []chunk.ID{r.ID, r.Also}, true, func() (*arrival, error) { return n.fetchToStore(r) })
	return err
}

// Fetch is Bring that waits until the content is here.
func (n *Node) Fetch(ctx context.Context, r OpenRequest) (chunk.Sums, error) {
	rd, err := n.Open(ctx, r)
	if err != nil {
		return chunk.Sums{}, err
	}
	err = errors.Join(rd.Whole(ctx), rd.Close())
	if err != nil {
		return chunk.Sums{}, err
	}
	if n.state != nil {
		if e, ok := n.state.store.Find(r.ID); ok {
			return e.Sums, nil
		}
		c, _, err := n.state.index.Lookup(r.ID)
		return chunk.Sums{SHA256: c.SHA256, BLAKE3: c.BLAKE3, Size: c.Size}, err
	}
	return chunk.Sums{Size: rd.size}, nil
}

// Reader reads one content. It is for one goroutine.
type Reader struct {
	node *Node
	ctx  context.Context
	ids  []chunk.ID

	at   int64
	size int64
	gone bool

	held    io.ReaderAt // complete; nil: it arrives
	file    *os.File    // of the store, if held is one
	release func()

	arrival  *arrival
	demand   *transfer.Demand
	live     *transfer.Reader
	verified bool
}

var _ io.ReadSeekCloser = (*Reader)(nil)

// openHeld opens what is complete here.
func (r *Reader) openHeld() (bool, error) {
	for _, id := range r.ids {
		if !id.Valid() {
			continue
		}
		if ok, err := r.openStored(id); ok || err != nil {
			return ok, err
		}
		c, ok := r.node.library.Find(id)
		if !ok || c.Size() < 0 || len(c.Have(0, 1)) > 0 || r.size > 0 && c.Size() != r.size {
			continue
		}
		r.held, r.size, r.verified = c, c.Size(), true
		return true, nil
	}
	return false, nil
}

// openStored opens a file of the store, as long as it is the one that was verified.
func (r *Reader) openStored(id chunk.ID) (bool, error) {
	if r.node.state == nil {
		return false, nil
	}
	e, release, err := r.node.state.store.Hold(id)
	if err != nil {
		return false, nil
	}
	if r.node.DeniesContent(chunk.ID{Kind: chunk.BLAKE3, Hash: e.Sums.BLAKE3}, chunk.ID{Kind: chunk.SHA256, Hash: e.Sums.SHA256}) {
		release()
		return false, ErrDenied
	}
	f, stamp, err := chunk.OpenRegular(e.Path)
	for chunk.IsTooMany(err) && r.node.library.sources.Spare() {
		f, stamp, err = chunk.OpenRegular(e.Path)
	}
	if err != nil || stamp != e.Stamp || r.size > 0 && stamp.Size != r.size {
		release()
		if err == nil {
			err = f.Close()
		}
		if chunk.IsTooMany(err) {
			return false, err
		}
		return false, nil // damaged, or gone: somebody else may have it
	}
	r.held, r.file, r.release, r.size, r.verified = f, f, release, stamp.Size, true
	return true, nil
}

// awaitSize waits until the size is certain, or, by sha256, until somebody has said one.
func (r *Reader) awaitSize(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	for {
		if err := r.follow(ctx); err != nil {
			if ctx.Err() != nil && r.ctx.Err() == nil {
				err = &NotFoundError{ID: r.ids[0], Asked: r.arrival.look().Progress.Peers, After: patience}
			}
			return err
		}
		if r.held != nil {
			return nil
		}
		probe := r.demand.NewReader(ctx)
		size, err := probe.Size()
		if err = errors.Join(err, probe.Close()); err == nil {
			r.size = size
			return nil
		}
	}
}

// follow makes sure that there is something to read from: a demand other than the last one, which has ended, or what is
// complete by now.
func (r *Reader) follow(ctx context.Context) error {
	if r.live != nil {
		r.live.Close() // once
		r.live = nil
	}
	s, err := r.arrival.next(ctx, r.demand)
	if err != nil {
		return err
	}
	r.demand, r.verified = s.demand, s.verified
	if s.demand != nil {
		return nil
	}
	if s.landed != "" {
		f, stamp, err := chunk.OpenRegular(s.landed)
		if err == nil && (r.size == 0 || r.size == stamp.Size) {
			r.held, r.file, r.size = f, f, stamp.Size
			return nil
		} else if err == nil {
			err = f.Close() // a size that was only claimed
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // that is in the store by now
			return err
		}
		if err := r.arrival.done(ctx); err != nil {
			return err
		}
	}
	if ok, err := r.openHeld(); err != nil {
		return err
	} else if !ok {
		return ErrNotHeld // it came, and had to leave again, or it was moved
	}
	return nil
}

// Size is the size in bytes.
func (r *Reader) Size() int64 { return r.size }

// File is the file of the store that has the content; nil where there is none.
func (r *Reader) File() *os.File { return r.file }

// Verified says whether what Read returns was verified: by a sha256 that arrives it was not.
func (r *Reader) Verified() bool { return r.verified }

// Whole waits until all is here and verified.
func (r *Reader) Whole(ctx context.Context) error {
	if r.held != nil {
		return nil
	}
	if err := r.arrival.done(ctx); err != nil {
		return err
	}
	r.drop()
	if ok, err := r.openHeld(); err != nil {
		return err
	} else if !ok {
		return ErrNotHeld
	}
	return nil
}

// Read returns what is there from its position on, and waits until something is.
func (r *Reader) Read(p []byte) (int, error) {
	switch {
	case r.gone:
		return 0, fs.ErrClosed
	case len(p) == 0:
		return 0, nil
	case r.at >= r.size:
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.size-r.at)]
	for r.held == nil {
		n, err := r.readLive(p)
		if n > 0 {
			r.at += int64(n)
			return n, nil
		}
		if r.ctx.Err() != nil {
			return 0, r.ctx.Err()
		}
		if err != nil { // it has ended, one way or the other, or starts over
			if err := r.follow(r.ctx); err != nil {
				return 0, err
			}
		}
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.held.ReadAt(p, r.at)
	if n == 0 && errors.Is(err, fs.ErrClosed) { // of a download that is served from its place by now
		if ok, again := r.openHeld(); again != nil {
			err = again
		} else if ok {
			n, err = r.held.ReadAt(p, r.at)
		}
	}
	r.at += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// readLive reads from the download.
func (r *Reader) readLive(p []byte) (int, error) {
	if r.live == nil {
		r.live = r.demand.NewReader(r.ctx)
		if size, err := r.live.Size(); err != nil || size != r.size {
			return 0, errors.Join(err, io.ErrUnexpectedEOF)
		}
	}
	if _, err := r.live.Seek(r.at, io.SeekStart); err != nil {
		return 0, err
	}
	return r.live.Read(p)
}

// Seek sets the position; nothing is asked for before the next Read.
func (r *Reader) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += r.at
	case io.SeekEnd:
		off += r.size
	case io.SeekStart:
	default:
		return 0, errors.New("node: no such whence")
	}
	if r.gone {
		return 0, fs.ErrClosed
	}
	if off < 0 {
		return 0, errors.New("node: seek before the beginning")
	}
	r.at = off
	return off, nil
}

// drop leaves the download.
func (r *Reader) drop() {
	if r.live != nil {
		r.live.Close() // once
		r.live = nil
	}
	if r.arrival != nil {
		r.arrival.leave()
		r.arrival = nil
	}
}

// Close withdraws what was wanted.
func (r *Reader) Close() error {
	if r.gone {
		return fs.ErrClosed
	}
	r.gone = true
	r.drop()
	var err error
	if r.file != nil {
		err = r.file.Close()
	}
	if r.release != nil {
		r.release()
	}
	return err
}
