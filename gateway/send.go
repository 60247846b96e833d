package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	leastRate  = 1 << 10          // bytes a second that a reader must take
	slowest    = 30 * time.Second // over this time
	firstChunk = leastRate * 30   // so much must be taken in that time: slower readers are dropped
	mostChunk  = 1 << 20          // bytes that are handed over at once
	copyBuffer = 256 << 10
)

// send serves a content, or the range of it that is asked for. The type and the validators are in the header already.
func send(w http.ResponseWriter, r *http.Request, body Content) {
	http.ServeContent(&fromFile{paced(w), body}, r, "", time.Time{}, body)
}

// sender writes with a deadline for each chunk, which does not run while the content is waited for, and
// lets the kernel send what is a file. All answers go through one: who does not take his would keep a connection for ever.
type sender struct {
	http.ResponseWriter
	ctl   *http.ResponseController
	pace  pace
	spend func(most int) (int, error) // nil: nothing is counted or held back
}

// paced is a sender to w.
func paced(w http.ResponseWriter) *sender {
	if s, ok := w.(*sender); ok {
		return s
	}
	s := &sender{ResponseWriter: w, ctl: http.NewResponseController(w), pace: firstChunk}
	_ = s.deadline(time.Time{}) // that of the answer before; what is written next says it better if it cannot be set
	return s
}

var _ io.ReaderFrom = (*sender)(nil)

// Unwrap is for http.ResponseController.
func (s *sender) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Write hands over chunk by chunk.
func (s *sender) Write(p []byte) (n int, err error) {
	for {
		k, err := s.next(len(p) - n)
		if err != nil {
			return n, err
		}
		began := time.Now()
		if err := s.deadline(began.Add(slowest)); err != nil {
			return n, err
		}
		m, err := s.ResponseWriter.Write(p[n : n+k])
		n += m
		s.pace.took(time.Since(began))
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// next is how many bytes of what is left may be handed over now.
func (s *sender) next(left int) (int, error) {
	n := min(left, int(s.pace))
	if s.spend == nil || n == 0 {
		return n, nil
	}
	return s.spend(n)
}

// ReadFrom sends what comes from a file by way of the kernel.
func (s *sender) ReadFrom(src io.Reader) (int64, error) {
	part, ok := src.(*io.LimitedReader)
	if !ok {
		part = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	if _, file := part.R.(*os.File); file && ok { // whoever says no length has the end found by copy
		return s.chunks(part)
	}
	return s.copy(part)
}

// fromFile sends a content, of its file if it has one.
type fromFile struct {
	*sender
	body Content
}

// ReadFrom is called by http.ServeContent with the part of the content that is wanted.
func (s *fromFile) ReadFrom(src io.Reader) (int64, error) {
	if part, ok := src.(*io.LimitedReader); ok && part.R == io.Reader(s.body) {
		if f := s.body.File(); f != nil {
			at, err := s.body.Seek(0, io.SeekCurrent)
			if err == nil {
				_, err = f.Seek(at, io.SeekStart)
			}
			if err != nil {
				return 0, err
			}
			return s.chunks(&io.LimitedReader{R: f, N: part.N})
		}
	}
	return s.sender.ReadFrom(src)
}

// deadline is for what is written next. Where there are none, as in front of a buffer, nobody can be slow.
func (s *sender) deadline(t time.Time) error {
	if err := s.ctl.SetWriteDeadline(t); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// pace is how much is handed over at once: as much as the reader took before in some seconds.
type pace int64

func (p *pace) took(t time.Duration) {
	switch {
	case t < time.Second:
		*p = min(2**p, mostChunk)
	case t > slowest/3:
		*p = max(*p/2, firstChunk)
	}
}

// chunks hands over a file chunk by chunk.
func (s *sender) chunks(part *io.LimitedReader) (n int64, err error) {
	to, ok := s.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return s.copy(part)
	}
	for part.N > 0 {
		most, err := s.next(int(min(part.N, mostChunk)))
		if err != nil {
			return n, err
		}
		began := time.Now()
		if err := s.deadline(began.Add(slowest)); err != nil {
			return n, err
		}
		k, err := to.ReadFrom(&io.LimitedReader{R: part.R, N: int64(most)})
		n += k
		part.N -= k
		if err != nil {
			return n, err
		}
		if k == 0 {
			return n, io.ErrUnexpectedEOF // the file is shorter than it was
		}
		s.pace.took(time.Since(began))
	}
	return n, nil
}

// copy reads what is there and writes it. It waits as long as it must for the content, and not long for the reader.
func (s *sender) copy(part *io.LimitedReader) (n int64, err error) {
	buf := make([]byte, min(copyBuffer, max(part.N, 1)))
	for part.N > 0 {
		k, rerr := part.Read(buf)
		m, err := s.Write(buf[:k])
		n += int64(m)
		if err != nil {
			return n, err
		}
		switch {
		case rerr == io.EOF:
			return n, nil
		case rerr != nil:
			return n, rerr
		case k < len(buf) && part.N > 0:
			// What has arrived is seen at once, not when a buffer is full.
			if err := s.ctl.Flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}
