package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sharer/chunk"
	"sharer/folder"
)

// Plain copies of a folder, over HTTP, are asked when the swarm is empty or slow: when nobody has given a content for
// plainFind, or all that a group waits for came slower than slowRate for slowWindow. Where the swarm has left a partial file
// with the leaves of what is missing in its tree, only that is asked for, and each block is checked as it comes; else the file
// comes whole, goes on where it was after an interruption, and is checked at the end.
const (
	plainFind  = 15 * time.Second
	slowWindow = 30 * time.Second
	slowRate   = 64 << 10 // bytes a second; half of the mirror's own limit, if that is less
	plainJobs  = 4        // files at the same time
	plainWrite = 256 << 10

	plainSuffix = ".http" // of a file that arrives whole
)

var (
	// ErrNoRanges is wrapped by the error of a source that gives whole files only.
	ErrNoRanges = errors.New("the server gives whole files only")

	errSlow  = errors.New("the swarm is slow")
	errWrong = errors.New("the copy is another content")
)

// pace says whether what comes is slow. It is pure.
type pace struct {
	least int64 // bytes a second
	since time.Time
	had   int64
}

func newPace(down int64, now time.Time) *pace {
	p := &pace{least: slowRate, since: now}
	if down > 0 {
		p.least = min(p.least, down/2)
	}
	return p
}

// slow is told what has come in all, and looks at a window at a time.
func (p *pace) slow(now time.Time, bytes int64) bool {
	took := now.Sub(p.since)
	if took < slowWindow {
		return false
	}
	slow := float64(bytes-p.had) < float64(p.least)*took.Seconds()
	p.since, p.had = now, bytes
	return slow
}

// fromSwarm fetches contents from the swarm. With plain copies to fall back on it ends with errSlow when they come slowly.
func (m *Mirror) fromSwarm(ctx context.Context, o Order, done func(folder.File, error), watched bool) error {
	if !watched {
		return m.set.cfg.Fetcher.Contents(ctx, o, done)
	}
	inner, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var moved atomic.Int64
	o.Find, o.Moved = plainFind, moved.Store
	var wg sync.WaitGroup
	wg.Go(func() {
		p, tick := newPace(o.Down, time.Now()), time.NewTicker(slowWindow/6)
		defer tick.Stop()
		for {
			select {
			case <-inner.Done():
				return
			case <-tick.C:
				if p.slow(time.Now(), moved.Load()) {
					stop(errSlow)
				}
			}
		}
	})
	err := m.set.cfg.Fetcher.Contents(inner, o, done)
	if err != nil && context.Cause(inner) == errSlow {
		err = errSlow
	}
	stop(nil)
	wg.Wait()
	return err
}

// fromPlain brings what it can of some contents from plain copies, to where they arrive. brought is called for each, never
// concurrently.
func (m *Mirror) fromPlain(ctx context.Context, spec Spec, files []folder.File, brought func(folder.File)) {
	down := spec.Rules.Down
	if limit := m.set.cfg.HTTPDown; limit != nil {
		switch most := limit(); {
		case most < 0:
			return // the node fetches nothing now
		case most > 0 && (down == 0 || most < down):
			down = most
		}
	}
	jobs := min(plainJobs, len(files))
	work := make(chan folder.File)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range jobs {
		wg.Go(func() {
			for f := range work {
				if m.fromHTTP(ctx, spec, f, down/int64(jobs)) == nil {
					mu.Lock()
					brought(f)
					mu.Unlock()
				}
			}
		})
	}
	for _, f := range files {
		if ctx.Err() != nil {
			break
		}
		work <- f
	}
	close(work)
	wg.Wait()
}

// fromHTTP brings one content from the first copy that has it, and checks it before it counts.
func (m *Mirror) fromHTTP(ctx context.Context, spec Spec, f folder.File, down int64) (err error) {
	to := filepath.Join(m.set.cfg.Blobs.New(), NewName(f.BLAKE3))
	for _, base := range spec.HTTP {
		p := Plain{Base: strings.TrimSuffix(base, "/"), File: f.Path, Size: f.Size, Down: down}
		if err = m.fill(ctx, p, f, to); errors.Is(err, errUnknown) || errors.Is(err, ErrNoRanges) {
			err = m.whole(ctx, p, f, to)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		m.log(Event{What: "error", Text: base + ": " + f.Path + ": " + err.Error()})
	}
	return err
}

// errUnknown: nothing is known that blocks could be checked against.
var errUnknown = errors.New("no tree")

// fill brings what is missing in the partial file that the swarm has left, each block checked against the tree.
func (m *Mirror) fill(ctx context.Context, p Plain, f folder.File, to string) (err error) {
	id := f.ID()
	target := filepath.Join(m.set.cfg.Blobs.New(), folder.Stage, f.BLAKE3.String()) // where a Fetcher that goes on with partial files has them
	if there, _ := chunk.PartialIDs(target); there != id {
		return errUnknown
	}
	part, err := chunk.OpenPartial(target, id, chunk.PartialOptions{})
	if err != nil {
		return errUnknown // in use, or none of ours: the file comes beside it
	}
	defer func() { err = errors.Join(err, part.Close()) }()
	missing, err := gapsWithLeaves(part, f.Size)
	if err != nil {
		return err
	}
	for _, gap := range missing {
		w := &blockWriter{to: part, at: gap.From}
		p.Off, p.Len, p.Write = gap.From*chunk.BlockSize, min(gap.To*chunk.BlockSize, f.Size)-gap.From*chunk.BlockSize, w.write
		if err := m.set.cfg.HTTP(ctx, p); err != nil {
			return errors.Join(err, w.flush())
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	if err := part.Finish(chunk.FinishOptions{Replace: true}); err != nil {
		return err
	}
	if err := checkWhole(ctx, target, f); err != nil {
		return errors.Join(err, os.Remove(target))
	}
	return os.Rename(target, to)
}

// gapsWithLeaves are the blocks that are missing, if the leaves of all of them are known.
func gapsWithLeaves(part *chunk.Partial, size int64) ([]chunk.Range, error) {
	if part.SetSize(size) != nil {
		return nil, errUnknown
	}
	done, tree := part.Done(), part.Tree()
	missing := done.Gaps(0, tree.Shape().Blocks())
	for _, gap := range missing {
		for b := gap.From; b < gap.To; b++ {
			if !tree.HasLeaf(b) {
				return nil, errUnknown
			}
		}
	}
	return missing, nil
}

// blockWriter gathers whole blocks, and writes those that are good.
type blockWriter struct {
	to  *chunk.Partial
	at  int64 // block
	buf []byte
}

func (w *blockWriter) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), plainWrite-len(w.buf))
		w.buf, p = append(w.buf, p[:n]...), p[n:]
		if len(w.buf) == plainWrite {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes what is there; of what was cut in the middle of a block only the whole ones.
func (w *blockWriter) flush() error {
	size, _ := w.to.Size()
	n := len(w.buf)
	if w.at*chunk.BlockSize+int64(n) != size {
		n -= n % chunk.BlockSize
	}
	if n == 0 {
		return nil
	}
	bad, err := w.to.Write(w.at, w.buf[:n])
	w.at, w.buf = w.at+int64(n/chunk.BlockSize), append(w.buf[:0], w.buf[n:]...)
	if err == nil && len(bad) > 0 {
		err = errWrong
	}
	return err
}

// whole brings a file from where an earlier attempt has ended, and checks it at the end. If that was another copy's beginning,
// all of it comes once more.
func (m *Mirror) whole(ctx context.Context, p Plain, f folder.File, to string) error {
	part := to + plainSuffix
	for {
		off, err := m.resume(ctx, p, f, part)
		if errors.Is(err, ErrNoRanges) && off > 0 {
			if err = os.Remove(part); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		err = checkWhole(ctx, part, f)
		if err == nil {
			return os.Rename(part, to)
		}
		if ctx.Err() != nil {
			return err
		}
		if gone := os.Remove(part); gone != nil || off == 0 {
			return errors.Join(err, gone)
		}
	}
}

// resume brings what is missing behind what is there, and returns how much that was.
func (m *Mirror) resume(ctx context.Context, p Plain, f folder.File, part string) (off int64, err error) {
	out, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	fi, err := out.Stat()
	if err != nil {
		return 0, err
	}
	if off = fi.Size(); off > f.Size {
		off = 0
		if err := out.Truncate(0); err != nil {
			return 0, err
		}
	}
	if off == f.Size {
		return off, nil
	}
	p.Off, p.Len, p.Write = off, f.Size-off, func(b []byte) error { _, err := out.Write(b); return err }
	return off, m.set.cfg.HTTP(ctx, p)
}

// checkWhole reads a file and compares its hashes.
func checkWhole(ctx context.Context, path string, f folder.File) error {
	sums, err := sumFile(ctx, path, f.Size)
	if err == nil && !f.Is(sums) {
		err = fmt.Errorf("%w: %s", errWrong, f.Path)
	}
	return err
}
