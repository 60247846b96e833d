// Package depot is a [mirror.Store] in another process of this machine, over HTTP on a unix socket, both ends:
//
//	PUT /HASH      the content h; Content-Length says its size; 204
//	GET /HASH      with a Range, one: 206; 404 for what is not there
//	DELETE /HASH   204, also for what is not there
//	HEAD /         204: it is there
//	GET /          all contents, a line each: hash, space, size; and at the end a line with a dot
//
// What it promises: the end of the node trusts the other one with nothing but the room; who speaks to strangers knows no
// credentials, and who has them speaks to no stranger.
//
// What it does not: it keeps nothing itself, and knows no password. Who can open the socket may do all of it.
package depot

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/mirror"
)

// Client is the end of the node.
type Client struct{ http *http.Client }

var _ mirror.Store = (*Client)(nil)

// answerWait is how long the other process may be silent before it answers: for a Put it writes meanwhile.
const (
	answerWait = 10 * time.Minute
	readyWait  = 10 * time.Second
)

// Dial returns the store behind a unix socket. It connects when it is used.
func Dial(socket string) *Client {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		ResponseHeaderTimeout: answerWait, MaxIdleConnsPerHost: 32, DisableCompression: true,
	}}}
}

// Ready says whether the other process answers. The error says why not.
func (c *Client) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	r, err := request(ctx, http.MethodHead, "", nil)
	if err != nil {
		return err
	}
	return c.done(r)
}

// Close lets the connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// do sends a request. An answer other than want is an error: fs.ErrNotExist for 404, else its first line.
func (c *Client) do(r *http.Request, want int) (*http.Response, error) {
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("the process of the store: %w", err)
	}
	if resp.StatusCode == want {
		return resp, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, fs.ErrNotExist
	}
	const longest = 500
	text, _ := io.ReadAll(io.LimitReader(resp.Body, longest)) // a reason that cannot be read is none
	line, _, _ := strings.Cut(string(text), "\n")
	return nil, fmt.Errorf("store: %s: %s", resp.Status, line)
}

func request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, method, "http://store/"+path, body)
}

// Put is that of mirror.Store.
func (c *Client) Put(ctx context.Context, h chunk.Hash, size int64, from io.ReadSeeker) error {
	body := io.Reader(io.NopCloser(from))
	if size == 0 {
		body = http.NoBody // else the length counts as unknown
	}
	r, err := request(ctx, http.MethodPut, h.String(), body)
	if err != nil {
		return err
	}
	r.ContentLength = size
	return c.done(r)
}

// Remove is that of mirror.Store.
func (c *Client) Remove(ctx context.Context, h chunk.Hash) error {
	r, err := request(ctx, http.MethodDelete, h.String(), nil)
	if err != nil {
		return err
	}
	return c.done(r)
}

func (c *Client) done(r *http.Request) error {
	resp, err := c.do(r, http.StatusNoContent)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Range is that of mirror.Store.
func (c *Client) Range(ctx context.Context, h chunk.Hash, off, n int64) (io.ReadCloser, error) {
	r, err := request(ctx, http.MethodGet, h.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	resp, err := c.do(r, http.StatusPartialContent)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Each is that of mirror.Store.
func (c *Client) Each(ctx context.Context, visit func(h chunk.Hash, size int64) error) error {
	r, err := request(ctx, http.MethodGet, "", nil)
	if err != nil {
		return err
	}
	resp, err := c.do(r, http.StatusOK)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if lines.Text() == "." {
			return nil
		}
		hex, digits, _ := strings.Cut(lines.Text(), " ")
		h, err := chunk.ParseHash(hex)
		if err != nil {
			return fmt.Errorf("store: a line of its list: %w", err)
		}
		size, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return fmt.Errorf("store: a line of its list: %w", err)
		}
		if err := visit(h, size); err != nil {
			return err
		}
	}
	return errors.Join(errors.New("store: its list has no end"), lines.Err())
}

// Handler is the other end.
type Handler struct {
	Store mirror.Store
	Spool string // a folder for what is being written, each content whole: as much as eight of them take; empty: that of the system for temporary files
}

func (s Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" && r.Method == http.MethodGet {
		s.list(w, r)
		return
	}
	if r.URL.Path == "/" && r.Method == http.MethodHead {
		answer(w, nil)
		return
	}
	h, err := chunk.ParseHash(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		http.Error(w, "not a hash", http.StatusBadRequest)
		return
	}
	switch r.Method {
	case http.MethodGet:
		s.get(w, r, h)
	case http.MethodPut:
		s.put(w, r, h)
	case http.MethodDelete:
		answer(w, s.Store.Remove(r.Context(), h))
	default:
		http.Error(w, "GET, PUT and DELETE", http.StatusMethodNotAllowed)
	}
}

// answer is that to a change.
func answer(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, "not there", http.StatusNotFound)
	default:
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}

func (s Handler) get(w http.ResponseWriter, r *http.Request, h chunk.Hash) {
	var first, last int64
	if n, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); n != 2 || err != nil || first < 0 || last < first {
		http.Error(w, "want Range: bytes=FIRST-LAST", http.StatusBadRequest)
		return
	}
	in, err := s.Store.Range(r.Context(), h, first, last-first+1)
	if err != nil {
		answer(w, err)
		return
	}
	defer in.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusPartialContent)
	if _, err := io.Copy(w, in); err != nil {
		panic(http.ErrAbortHandler) // the connection ends, so that nobody takes this for all
	}
}

func (s Handler) list(w http.ResponseWriter, r *http.Request) {
	out := bufio.NewWriter(w)
	err := s.Store.Each(r.Context(), func(h chunk.Hash, size int64) error {
		_, err := fmt.Fprintf(out, "%s %d\n", h, size)
		return err
	})
	if err != nil {
		panic(http.ErrAbortHandler) // as in get
	}
	fmt.Fprintln(out, ".")
	_ = out.Flush() // who has gone does not miss it
}
