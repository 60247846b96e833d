package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"sharer/mirror"
)

const fetchTimeout = 10 * time.Minute // for one file

// Fetch gets a file of a plain copy of a folder: p.Size bytes, or an error. Whether it is the right content the caller
// checks. Redirects are followed as far as HTTP goes, and nothing is sent but the request.
func Fetch(ctx context.Context, p mirror.Plain) (err error) {
	patience := fetchTimeout
	if p.Down > 0 {
		patience += time.Duration(float64(p.Size) / float64(p.Down) * float64(time.Second))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u := url.URL{Path: p.File}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Base+"/"+strings.TrimPrefix(u.EscapedPath(), "./"), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", r.URL, resp.Status)
	}
	out, err := os.OpenFile(p.To, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	body := io.LimitReader(resp.Body, p.Size+1)
	if p.Down > 0 {
		body = &slow{ctx, body, rate.NewLimiter(rate.Limit(p.Down), slowBurst)}
	}
	n, err := io.Copy(out, body)
	if err = errors.Join(err, out.Close()); err == nil && n != p.Size {
		err = fmt.Errorf("%s has not %d bytes", r.URL, p.Size)
	}
	return err
}

const slowBurst = 16 << 10 // bytes

// slow is a reader that keeps to a rate.
type slow struct {
	ctx context.Context
	in  io.Reader
	lim *rate.Limiter
}

func (s *slow) Read(p []byte) (int, error) {
	n, err := s.in.Read(p[:min(len(p), slowBurst)])
	if n > 0 {
		if late := s.lim.WaitN(s.ctx, n); late != nil {
			return n, late
		}
	}
	return n, err
}
