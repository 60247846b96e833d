package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Client is the node of another process. Its methods are safe for concurrent use.
type Client struct {
	// Keep is how many seconds the daemon offers what is fetched by this client; negative: for ever; nil: as long as it has it.
	Keep *float64

	about About
	http  http.Client
	stop  context.CancelFunc // of what runs besides the calls
	ctx   context.Context
	wg    sync.WaitGroup
}

// dialTimeout bounds the wait for a daemon that is there and does not answer, such as one that is stopped.
const dialTimeout = 3 * time.Second

// Dial finds the daemon of a state folder. The error wraps ErrNone when there is none, fs.ErrPermission when the socket is
// another user's, ErrVersion when the daemon is too old or too new, os.ErrDeadlineExceeded when it does not answer.
func Dial(ctx context.Context, stateDir string) (*Client, error) {
	path, err := SocketPath(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	c := &Client{}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.http.Transport = &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) },
		DisableCompression: true,
	}
	if err := c.hello(ctx, path); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// hello asks who is there.
func (c *Client) hello(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	err := c.Call(ctx, "GET", "/v1/version", nil, &c.about)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTSOCK), errors.Is(err, ErrGone): // gone: it is ending
		return ErrNone
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the daemon at %s is another user's: %w", path, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the daemon at %s does not answer: %w", path, err)
	case err != nil:
		return err
	case c.about.API != API:
		return fmt.Errorf("%w: it is sharer %s (pid %d) and speaks version %d of the control interface, this one speaks %d", ErrVersion, c.about.Release, c.about.PID, c.about.API, API)
	}
	return nil
}

// About is what the daemon said of itself when it was dialed.
func (c *Client) About() About { return c.about }

// Addrs are the addresses that its node listens on.
func (c *Client) Addrs() []netip.AddrPort { return c.about.Listen }

// Notes are those of its start: its own log has them.
func (c *Client) Notes() []string { return nil }

// Close ends what the client has going.
func (c *Client) Close() error {
	c.stop()
	c.wg.Wait()
	c.http.CloseIdleConnections()
	return nil
}

// Call asks for one document. in and out may be nil.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	body, err := c.do(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		return c.gone(ctx, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// Stream asks for what takes long: each event goes to event, in the caller's goroutine, and bytes of content to data; the
// end to out. All three may be nil. An error of event or data ends it and is returned. When ctx ends the daemon is told so, and its answer
// is waited for a little: what it has stopped for that is stopped when Stream returns.
func (c *Client) Stream(ctx context.Context, path string, in any, event func(json.RawMessage) error, data io.Writer, out any) error {
	asking, end := hangUp(ctx)
	defer end()
	body, err := c.do(asking, "POST", path, in)
	if err == nil {
		defer body.Close()
		err = readAnswer(body, answer{event, data}, out)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// hangUpTime is how long a daemon that was told that its client goes is waited for.
const hangUpTime = 2 * time.Second

// hangUp is the context of a request of one who goes when ctx ends. Then no more is written, which the server sees as that, and what it
// says of it can still be read, for hangUpTime.
func hangUp(ctx context.Context) (asking context.Context, end func()) {
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var mu sync.Mutex
	var conn net.Conn
	asking = httptrace.WithClientTrace(asking, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		mu.Lock()
		defer mu.Unlock()
		conn = got.Conn
	}})
	detach := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		half, ok := conn.(*net.UnixConn)
		if !ok || half.CloseWrite() != nil { // there is no connection yet, or no more
			cancel()
			return
		}
		time.AfterFunc(hangUpTime, cancel)
	})
	return asking, func() {
		detach()
		mu.Lock()
		defer mu.Unlock()
		conn = nil // it may be another request's by now
		cancel()
	}
}

// do sends a request; an answer that is an error is returned as one.
func (c *Client) do(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://sharer"+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.gone(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var l line
	if err := json.NewDecoder(resp.Body).Decode(&l); err != nil || l.Error == nil {
		return nil, fmt.Errorf("control: the daemon answers %s", resp.Status)
	}
	return nil, l.Error
}

// gone is the error of a connection that broke: the caller's own end comes first.
func (c *Client) gone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, broken) {
			return ErrGone
		}
	}
	if strings.HasSuffix(err.Error(), "server closed idle connection") { // it accepted, and ended; net/http has no name for it
		return ErrGone
	}
	return err
}
