package gateway

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	leastRate  = 1 << 10          // bytes a second that a reader must take
	slowest    = 30 * time.Second // over this time
	firstChunk = leastRate * 30   // so much must be taken in that time: slower readers are dropped
	mostChunk  = 1 << 20          // bytes that are handed over at once
	copyBuffer = 256 << 10
)

// send serves ranges of a content. The type and the validators are in the header already.
func send(w http.ResponseWriter, r *http.Request, body Content) {
	oneRange(r)
	out := &sender{ResponseWriter: w, ctl: http.NewResponseController(w), body: body}
	http.ServeContent(out, r, "", time.Time{}, body)
	// The deadline was of this answer only.
	_ = out.ctl.SetWriteDeadline(time.Time{})
}

// sender writes with a deadline for each chunk, which does not run while the content is waited for, and
// lets the kernel send what is a file.
type sender struct {
	http.ResponseWriter
	ctl  *http.ResponseController
	body Content
}

var _ io.ReaderFrom = (*sender)(nil)

// Unwrap is for http.ResponseController.
func (s *sender) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// ReadFrom is called by http.ServeContent with the part of the content that is wanted.
func (s *sender) ReadFrom(src io.Reader) (n int64, err error) {
	part, ok := src.(*io.LimitedReader)
	if !ok {
		part = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	if ok && part.R == io.Reader(s.body) {
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
	return s.copy(part)
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
	for chunk := pace(firstChunk); part.N > 0; {
		began := time.Now()
		if err := s.deadline(began.Add(slowest)); err != nil {
			return n, err
		}
		k, err := to.ReadFrom(&io.LimitedReader{R: part.R, N: min(int64(chunk), part.N)})
		n += k
		part.N -= k
		if err != nil {
			return n, err
		}
		if k == 0 {
			return n, io.ErrUnexpectedEOF // the file is shorter than it was
		}
		chunk.took(time.Since(began))
	}
	return n, nil
}

// copy reads what is there and writes it. It waits as long as it must for the content, and not long for the reader.
func (s *sender) copy(part *io.LimitedReader) (n int64, err error) {
	buf := make([]byte, min(copyBuffer, max(part.N, 1)))
	for chunk := pace(firstChunk); part.N > 0; {
		k, rerr := part.Read(buf)
		for out := buf[:k]; len(out) > 0; {
			began := time.Now()
			if err := s.deadline(began.Add(slowest)); err != nil {
				return n, err
			}
			m, err := s.ResponseWriter.Write(out[:min(len(out), int(chunk))])
			n += int64(m)
			if err != nil {
				return n, err
			}
			chunk.took(time.Since(began))
			out = out[m:]
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
