package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sharer/chunk"
	"sharer/identity"
)

const (
	maxUploads    = 4    // at a time: each writes to the same disk
	maxUploadName = 1024 // bytes
)

// upload takes a content in: its bytes are the body, its name is the header X-Filename, percent-encoded.
func (g *Gateway) upload(w http.ResponseWriter, r *http.Request) {
	name, err := uploadName(r.Header.Get("X-Filename"))
	if err != nil {
		refuse(w, http.StatusBadRequest, oneLine(err))
		return
	}
	if sums, ok := g.take(w, r, name); ok {
		answer(w, struct {
			SHA256 string `json:"sha256"`
			BLAKE3 string `json:"blake3"`
			Size   int64  `json:"size"`
		}{sums.SHA256.String(), sums.BLAKE3.String(), sums.Size})
	}
}

// publish takes a content in and signs that the name means it now: /latest/<own key>/<name>.
func (g *Gateway) publish(w http.ResponseWriter, r *http.Request) {
	name, err := uploadName(r.Header.Get("X-Filename"))
	if err == nil {
		err = identity.CheckName(name)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "the header X-Filename is no name that can be published: "+oneLine(err))
		return
	}
	sums, ok := g.take(w, r, name)
	if !ok {
		return
	}
	if err := g.cfg.Names.Publish(r.Context(), name, sums); err != nil {
		g.cfg.Log.Warn("publish", "name", name, "err", err)
		refuse(w, http.StatusInternalServerError, "it is kept, but could not be published: "+oneLine(err))
		return
	}
	answer(w, struct {
		Filename string `json:"filename"`
	}{name})
}

// uploadName is the name that a header says, for people to read: without what would break a line. It may be empty.
func uploadName(header string) (string, error) {
	name, err := url.PathUnescape(header)
	if err != nil {
		return "", errors.New("the header X-Filename has a broken percent escape")
	}
	if len(name) > maxUploadName {
		return "", fmt.Errorf("the name has %d bytes, at most %d", len(name), maxUploadName)
	}
	if !utf8.ValidString(name) {
		return "", errors.New("the header X-Filename is no UTF-8")
	}
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.C, r) {
			return -1
		}
		return r
	}, name), nil
}

// take reads the body into the store, or answers why not.
func (g *Gateway) take(w http.ResponseWriter, r *http.Request, name string) (chunk.Sums, bool) {
	tooLarge := fmt.Sprintf("an upload may have %s at most", bytesText(g.cfg.MaxUpload))
	if r.ContentLength > g.cfg.MaxUpload {
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusRequestEntityTooLarge, tooLarge)
		return chunk.Sums{}, false
	}
	select {
	case g.uploads <- struct{}{}:
		defer func() { <-g.uploads }()
	default:
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("%d uploads are under way; try again when one has ended", maxUploads))
		return chunk.Sums{}, false
	}
	body := &steady{r: http.MaxBytesReader(w, r.Body, g.cfg.MaxUpload), ctl: http.NewResponseController(w), since: time.Now()}
	sums, err := g.cfg.Uploads.Put(r.Context(), name, body)
	if err == nil {
		return sums, true
	}
	w.Header().Set("Connection", "close") // the rest of the body is not read
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long), errors.Is(err, ErrTooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, tooLarge)
	case errors.Is(err, ErrQuota), errors.Is(err, ErrDiskFull):
		refuse(w, http.StatusInsufficientStorage, oneLine(err)+"; remove something, or raise the quota of the store")
	case errors.Is(err, errSlow):
		refuse(w, http.StatusRequestTimeout, oneLine(err))
	case body.failed:
		refuse(w, http.StatusBadRequest, "the body ended early")
	default:
		g.cfg.Log.Warn("upload", "err", err)
		refuse(w, http.StatusInternalServerError, "the upload could not be kept: "+oneLine(err))
	}
	return chunk.Sums{}, false
}

var errSlow = fmt.Errorf("the body came slower than %d bytes a second", leastRate)

// steady reads a body that must keep coming.
type steady struct {
	r      io.Reader
	ctl    *http.ResponseController
	since  time.Time // of got
	got    int64
	failed bool // the sender's fault
}

func (s *steady) Read(p []byte) (int, error) {
	now := time.Now()
	if now.Sub(s.since) >= slowest {
		if s.got < firstChunk {
			return 0, errSlow
		}
		s.since, s.got = now, 0
	}
	// Where there is no such deadline, as in a test, a body is as slow as it likes.
	_ = s.ctl.SetReadDeadline(s.since.Add(slowest))
	n, err := s.r.Read(p)
	s.got += int64(n)
	if err == io.EOF {
		// From here on the server listens whether the sender goes away, and takes a deadline for that: what follows, such as
		// hashing gigabytes, may take longer.
		_ = s.ctl.SetReadDeadline(time.Time{})
	}
	if err != nil && err != io.EOF {
		if time.Since(s.since) >= slowest {
			err = errSlow
		}
		s.failed = true
	}
	return n, err
}
