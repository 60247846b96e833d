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
)

const fetchTimeout = 10 * time.Minute // for one file

// Fetch gets a file of a plain copy of a folder to a path: size bytes, or an error. Whether it is the right content the caller
// checks. Redirects are followed as far as HTTP goes, and nothing is sent but the request.
func Fetch(ctx context.Context, base, file string, size int64, to string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	u := url.URL{Path: file}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/"+strings.TrimPrefix(u.EscapedPath(), "./"), nil)
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
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(resp.Body, size+1))
	if err = errors.Join(err, out.Close()); err == nil && n != size {
		err = fmt.Errorf("%s has not %d bytes", r.URL, size)
	}
	return err
}
