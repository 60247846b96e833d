package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"sharer/mirror"
)

const (
	fetchSilence  = 30 * time.Second // without a byte
	fetchPatience = 2 * time.Minute  // for a stretch, and so long as it takes at fetchLeast
	fetchLeast    = 8 << 10          // bytes a second; half of the limit, if that is less
	fetchHops     = 5                // redirects
	slowBurst     = 16 << 10         // bytes
)

// Fetch reads a stretch of a file of a plain copy of a folder, and hands it over in order: p.Len bytes, or an error, which is
// mirror.ErrNoRanges when the server gives no stretches and p.Off is not 0. Whether they are right the caller checks. Nothing
// is sent but the request. A redirect may lead to another host only if that is a public one, and never from https to http.
func Fetch(ctx context.Context, p mirror.Plain) error {
	least := float64(fetchLeast)
	if p.Down > 0 {
		least = min(least, float64(p.Down)/2)
	}
	ctx, stop := context.WithTimeoutCause(ctx, fetchPatience+time.Duration(float64(p.Len)/least*float64(time.Second)), errors.New("the server is too slow"))
	defer stop()
	ctx, hangUp := context.WithCancelCause(ctx)
	defer hangUp(nil)
	silence := time.AfterFunc(fetchSilence, func() { hangUp(fmt.Errorf("the server said nothing for %v", fetchSilence)) })
	defer silence.Stop()
	err := fetch(ctx, p, func() { silence.Reset(fetchSilence) })
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

func fetch(ctx context.Context, p mirror.Plain, alive func()) error {
	u := url.URL{Path: p.File}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Base+"/"+strings.TrimPrefix(u.EscapedPath(), "./"), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept-Encoding", "identity") // bytes are counted
	if p.Off > 0 || p.Len < p.Size {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", p.Off, p.Off+p.Len-1))
	}
	client := http.Client{Transport: near{r.URL.Host}, CheckRedirect: checkRedirect}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := checkAnswer(resp, p); err != nil {
		return err
	}
	body := io.LimitReader(resp.Body, p.Len)
	if p.Down > 0 {
		body = &slow{ctx, body, rate.NewLimiter(rate.Limit(p.Down), slowBurst)}
	}
	buf := make([]byte, 2*slowBurst)
	for left := p.Len; left > 0; {
		n, err := body.Read(buf)
		if n > 0 {
			alive()
			if err := p.Write(buf[:n]); err != nil {
				return err
			}
			left -= int64(n)
		}
		if left > 0 && err == io.EOF {
			return fmt.Errorf("%s: %d bytes less than there should be", r.URL, left)
		}
		if left > 0 && err != nil {
			return err
		}
	}
	return nil
}

// checkAnswer says whether an answer begins with the bytes that were asked for, of a file of that size.
func checkAnswer(resp *http.Response, p mirror.Plain) error {
	where := resp.Request.URL
	switch resp.StatusCode {
	case http.StatusOK:
		if p.Off > 0 {
			return mirror.ErrNoRanges
		}
		if resp.ContentLength >= 0 && resp.ContentLength != p.Size {
			return fmt.Errorf("%s has %d bytes, not %d", where, resp.ContentLength, p.Size)
		}
		return nil
	case http.StatusPartialContent:
		var first, last, size int64
		if n, _ := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &size); n != 3 || first != p.Off || last < first || size != p.Size {
			return fmt.Errorf("%s: what was sent are bytes %q, not %d on of %d", where, resp.Header.Get("Content-Range"), p.Off, p.Size)
		}
		return nil
	}
	return fmt.Errorf("%s: %s", where, resp.Status)
}

func checkRedirect(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) > fetchHops:
		return fmt.Errorf("more than %d redirects", fetchHops)
	case r.URL.Scheme != "https" && (r.URL.Scheme != "http" || via[len(via)-1].URL.Scheme == "https"):
		return fmt.Errorf("a redirect to %s", r.URL.Scheme)
	}
	r.Header.Del("Referer") // of nobody's concern
	return nil
}

// near sends requests to the host that the operator named wherever that is, and to others only if they are public: a
// server may not aim this node at the operator's own network.
type near struct{ host string }

var far = func() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil // it would be what is connected to
	t.DialContext = (&net.Dialer{Timeout: fetchSilence, Control: onlyPublic}).DialContext
	return t
}()

func (n near) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == n.host {
		return http.DefaultTransport.RoundTrip(r)
	}
	return far.RoundTrip(r)
}

// onlyPublic refuses addresses that not everybody can reach. It is asked with the address that is connected to, after
// names were looked up.
func onlyPublic(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if a := at.Addr().Unmap(); !a.IsGlobalUnicast() || a.IsPrivate() {
		return fmt.Errorf("a redirect to %s, which is not public", a)
	}
	return nil
}

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
