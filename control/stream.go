package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// line is one line of an answer that takes long. Data: so many bytes of content follow it. The last line has an End or an
// Error.
type line struct {
	Event json.RawMessage `json:"event,omitempty"`
	Data  int             `json:"data,omitempty"`
	End   json.RawMessage `json:"end,omitempty"`
	Error *Error          `json:"error,omitempty"`
}

// Stream is the server's end of an answer that takes long. Its methods are safe for concurrent use. Nobody who tells of an
// event waits for the client: lines are queued, and a client that lets maxPending bytes pile up is not told any more.
type Stream struct {
	mu      sync.Mutex
	written sync.Cond // of mu: pending was taken, or err was set
	pending []byte
	busy    bool // what was taken is being written
	err     error
	now     chan struct{} // one token: write at once
}

const maxPending = 64 << 20 // bytes: what becomes of each of 200,000 files

var errSlow = errors.New("control: the client does not read")

func newStream() *Stream {
	s := &Stream{now: make(chan struct{}, 1)}
	s.written.L = &s.mu
	return s
}

// Event sends one event. It waits in a queue for a tenth of a second at most, if the client reads.
func (s *Stream) Event(e any) {
	text, err := json.Marshal(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.failLocked(err)
	case len(s.pending) > maxPending:
		s.failLocked(errSlow)
	default:
		s.lineLocked(line{Event: text})
	}
}

// Write sends bytes of content, and returns when they are on their way.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p) > 0 {
		s.lineLocked(line{Data: len(p)})
		s.pending = append(s.pending, p...)
		s.hurry()
	}
	for s.err == nil && (len(s.pending) > 0 || s.busy) {
		s.written.Wait()
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

func (s *Stream) hurry() {
	select {
	case s.now <- struct{}{}:
	default:
	}
}

func (s *Stream) failLocked(err error) {
	if s.err == nil {
		s.err = err
	}
	s.written.Broadcast()
}

func (s *Stream) lineLocked(l line) {
	text, err := json.Marshal(l)
	if err != nil {
		s.failLocked(err)
	} else if s.err == nil {
		s.pending = append(append(s.pending, text...), '\n')
	}
}

// flush writes what is queued; it is called by one goroutine.
func (s *Stream) flush(w io.Writer, rc *http.ResponseController) {
	s.mu.Lock()
	text := s.pending
	s.pending, s.busy = nil, true
	failed := s.err != nil
	s.mu.Unlock()
	var err error
	if len(text) > 0 && !failed {
		if _, err = w.Write(text); err == nil {
			err = rc.Flush()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	if err != nil {
		s.failLocked(err)
	}
	s.written.Broadcast()
}

// stream registers f for pattern: one JSON document of most bytes at most in, and out events, then what f returns.
func stream[In, Out any](s *Server, pattern string, most int64, f func(ctx context.Context, in In, out *Stream) (Out, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := read(w, r, most, &in); err != nil {
			fail(w, err)
			return
		}
		out := newStream()
		serve(w, out, func() (Out, error) { return f(r.Context(), in, out) })
	})
}

// serve sends what goes to out while f runs, then what f returns.
func serve[Out any](w http.ResponseWriter, out *Stream, f func() (Out, error)) {
	w.Header().Set("Content-Type", "application/jsonl")
	rc := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	_ = rc.Flush() // the client knows that it was understood; one that is gone is noticed by what follows
	stop := out.flushing(w, rc)
	end, err := f()
	last := line{Error: errorOf(err)}
	if err == nil {
		if last.End, err = json.Marshal(end); err != nil {
			last.Error = errorOf(err)
		}
	}
	out.mu.Lock()
	out.lineLocked(last)
	out.mu.Unlock()
	stop()
}

// subscribe registers listen for pattern: what it sends out as events reaches the client, until that ends it or the server does. The
// client is answered when it misses nothing any more.
func subscribe(s *Server, pattern string, listen func(out *Stream) (stop func())) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var nothing struct{}
		if err := read(w, r, maxRequest, &nothing); err != nil {
			fail(w, err)
			return
		}
		out := newStream()
		defer listen(out)()
		serve(w, out, func() (struct{}, error) {
			<-r.Context().Done()
			return struct{}{}, r.Context().Err()
		})
	})
}

// HandleStream is stream for other rooms; Client.Stream asks.
func HandleStream[In, Out any](s *Server, pattern string, f func(ctx context.Context, in In, out *Stream) (Out, error)) {
	stream(s, pattern, maxRequest, f)
}

// flushing writes what is queued, until stop, which writes the rest.
func (s *Stream) flushing(w io.Writer, rc *http.ResponseController) (stop func()) {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(flushEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-s.now:
			case <-done:
				s.flush(w, rc)
				return
			}
			s.flush(w, rc)
		}
	})
	return func() {
		close(done)
		ended.Wait()
	}
}

// answer reads the lines of an answer.
type answer struct {
	event func(json.RawMessage) error // nil: events are passed over
	data  io.Writer                   // nil: there is none
}

// maxLine bounds one line: the largest is the file list of a folder.
const maxLine = maxList

// readAnswer reads until the end, which goes to out.
func readAnswer(r io.Reader, a answer, out any) error {
	b := bufio.NewReaderSize(r, 64<<10)
	for {
		text, err := readLine(b)
		if err != nil {
			return fmt.Errorf("%w in the middle of its answer", ErrGone)
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("control: the daemon answers what is no JSON: %w", err)
		}
		switch {
		case l.Error != nil:
			return l.Error
		case l.Data > 0:
			w := a.data
			if w == nil {
				w = io.Discard
			}
			switch n, err := io.CopyN(w, b, int64(l.Data)); {
			case err == io.EOF || err == io.ErrUnexpectedEOF || n < int64(l.Data) && err == nil:
				return fmt.Errorf("%w in the middle of its answer", ErrGone)
			case err != nil:
				return err
			}
		case l.Event != nil:
			if a.event != nil {
				if err := a.event(l.Event); err != nil {
					return err
				}
			}
		case l.End != nil:
			if out == nil {
				return nil
			}
			return json.Unmarshal(l.End, out)
		}
	}
}

// readLine reads one line, of maxLine bytes at most.
func readLine(b *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := b.ReadSlice('\n')
		text = append(text, part...)
		if err == bufio.ErrBufferFull && len(text) < maxLine {
			continue
		}
		return text, err
	}
}
