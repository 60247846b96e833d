package bridge

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	readRate  = 4 << 20   // bytes a second that are read of one page, whatever frames they are
	readBurst = 256 << 10 // one message
)

// throttled hands out a connection that is read no faster than readRate. Counting messages does not bound what
// frames without content and control frames cost.
type throttled struct{ http.ResponseWriter }

// Hijack implements http.Hijacker.
func (t throttled) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err := c.SetDeadline(time.Time{}); err != nil { // the server's are for requests
		return nil, nil, err
	}
	return &slowConn{Conn: c, limit: rate.NewLimiter(readRate, readBurst), closed: make(chan struct{})}, rw, nil
}

type slowConn struct {
	net.Conn
	limit  *rate.Limiter
	once   sync.Once
	closed chan struct{}
}

// Read reads, and waits for what it has read to be paid.
func (c *slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), readBurst)])
	now := time.Now()
	if wait := c.limit.ReserveN(now, n).DelayFrom(now); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.closed:
		}
	}
	return n, err
}

// Close ends the connection, and a Read that waits.
func (c *slowConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
