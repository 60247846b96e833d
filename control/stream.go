package control

import (
	"bufio"
	"context"
	"encoding/json"
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

// Stream is the server's end of an answer that takes long. Its methods are safe for concurrent use; what cannot be
// written ends the request's context.
type Stream struct {
	mu    sync.Mutex
	w     *bufio.Writer
	rc    *http.ResponseController
	dirty bool
	err   error
}

// Event sends one event. It may wait in a buffer for a tenth of a second.
func (s *Stream) Event(e any) {
	text, err := json.Marshal(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.err = err
		return
	}
	s.lineLocked(line{Event: text})
}

// Write sends bytes of content, at once: somebody may wait for each.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p) == 0 {
		return 0, s.err
	}
	s.lineLocked(line{Data: len(p)})
	if s.err == nil {
		_, s.err = s.w.Write(p)
	}
	s.flushLocked()
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

func (s *Stream) lineLocked(l line) {
	text, err := json.Marshal(l)
	if s.err == nil {
		s.err = err
	}
	if s.err == nil {
		_, s.err = s.w.Write(append(text, '\n'))
	}
	s.dirty = true
}

func (s *Stream) flushLocked() {
	if s.err == nil && s.dirty {
		if s.err = s.w.Flush(); s.err == nil {
			s.err = s.rc.Flush()
		}
	}
	s.dirty = false
}

func (s *Stream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushLocked()
}

// stream registers f for pattern: one JSON document of most bytes at most in, and out events, then what f returns.
func stream[In, Out any](s *Server, pattern string, most int64, f func(ctx context.Context, in In, out *Stream) (Out, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := read(w, r, most, &in); err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/jsonl")
		out := &Stream{w: bufio.NewWriterSize(w, 32<<10), rc: http.NewResponseController(w), dirty: true}
		out.flush() // the head: the client knows that it was understood
		stop := out.flushing()
		end, err := f(r.Context(), in, out)
		stop()
		last := line{Error: errorOf(err)}
		if err == nil {
			last.End, err = json.Marshal(end)
			if err != nil {
				last.Error = errorOf(err)
			}
		}
		out.mu.Lock()
		defer out.mu.Unlock()
		out.lineLocked(last)
		out.flushLocked()
	})
}

// HandleStream is stream for other rooms; Client.Stream asks.
func HandleStream[In, Out any](s *Server, pattern string, f func(ctx context.Context, in In, out *Stream) (Out, error)) {
	stream(s, pattern, maxRequest, f)
}

// flushing sends what waits in the buffer, until stop.
func (s *Stream) flushing() (stop func()) {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(flushEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.flush()
			case <-done:
				return
			}
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
