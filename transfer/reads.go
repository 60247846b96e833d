package transfer

import (
	"context"
	"errors"
	"sync"

	"sharer/chunk"
)

// A disk may sleep, or be slow, or a tree may have to be made again, which takes a reading of the whole: the loop that
// answers everybody waits for none of that. It reads what is in memory itself. What is not is read by one of a few
// readers, and answered when it is there. Of one peer one turn is read at a time: its other requests wait, as in its
// queue, and nobody else's do.
const readers = 4

// nowReader is what a Content can do that knows what is in memory. Of one that does not, everything counts as being there.
type nowReader interface {
	// ReadNow is ReadAt for what can be read without waiting; the error is chunk.ErrWouldWait for what cannot.
	ReadNow(p []byte, off int64) (int, error)
}

// reading is a run of requests of one peer that one read serves.
type reading struct {
	p    *upPeer
	ws   []want
	buf  []byte
	data []byte
	err  error
}

// readJobs has reads done beside the loop that owns it.
type readJobs struct {
	waiting []*reading // first in, first out; at most the runs of one turn for each peer
	jobs    chan *reading
	done    chan *reading
	wg      sync.WaitGroup
	spare   [][]byte // at most readers
}

// start starts the readers.
func (r *readJobs) start() {
	r.jobs, r.done = make(chan *reading, readers), make(chan *reading)
	for range readers {
		r.wg.Go(func() {
			for j := range r.jobs {
				j.data, j.err = readContent(j.ws[0].content, j.buf, j.ws[0].offset)
				r.done <- j
			}
		})
	}
}

// stop waits for the readers. What they read is lost: who asked asks again.
func (r *readJobs) stop() {
	close(r.jobs)
	go func() {
		r.wg.Wait()
		close(r.done)
	}()
	for range r.done {
	}
}

// hand gives readers what waits, as far as they have time.
func (r *readJobs) hand() {
	for len(r.waiting) > 0 {
		j := r.waiting[0]
		if j.buf == nil {
			j.buf = r.room(runBytes(j.ws))
		}
		select {
		case r.jobs <- j:
			r.waiting[0] = nil
			r.waiting = r.waiting[1:]
		default:
			return
		}
	}
}

// room is memory for n bytes, at most a turn's.
func (r *readJobs) room(n int64) []byte {
	var b []byte
	if k := len(r.spare); k > 0 {
		b, r.spare = r.spare[k-1], r.spare[:k-1]
	} else {
		b = make([]byte, turnBytes)
	}
	return b[:n]
}

// free takes the memory of a read back.
func (r *readJobs) free(j *reading) {
	if len(r.spare) < readers {
		r.spare = append(r.spare, j.buf[:turnBytes])
	}
}

// runBytes is the length of a run of requests.
func runBytes(ws []want) (n int64) {
	for _, w := range ws {
		n += w.length
	}
	return n
}

// readNow reads what there is of a content at off, if that takes no waiting.
func readNow(c Content, p []byte, off int64) ([]byte, error) {
	if n, ok := c.(nowReader); ok {
		return readWith(c, n.ReadNow, p, off)
	}
	return readContent(c, p, off)
}

// later has a run read beside the loop. Its peer has no turn until then.
func (a *answerer) later(p *upPeer, ws []want) {
	a.u.waited.Add(1)
	a.u.mu.Lock()
	p.reads++
	a.u.mu.Unlock()
	a.reads.waiting = append(a.reads.waiting, &reading{p: p, ws: append([]want(nil), ws...)})
	a.reads.hand()
}

// ready answers what was read. False: ctx has ended.
func (a *answerer) ready(ctx context.Context, j *reading) bool {
	a.u.mu.Lock()
	j.p.reads--
	a.u.mu.Unlock()
	a.u.serving = j.p
	ok := a.read(ctx, j.p, j.ws, j.data, j.err)
	a.flush()
	a.reads.free(j)
	a.reads.hand()
	return ok
}

// wouldWait says whether a read is to be done beside the loop.
func wouldWait(err error) bool { return errors.Is(err, chunk.ErrWouldWait) }
