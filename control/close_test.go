package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Close returns when all handlers have ended, also those that take longer than an answer gets: what they use is closed next.
func TestCloseWaitsForHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(func() About { return About{} })
		var told, ended atomic.Bool
		handle(s, "GET /v1/slow", func(ctx context.Context, _ struct{}) (struct{}, error) {
			<-ctx.Done()
			told.Store(true)
			time.Sleep(time.Minute)
			ended.Store(true)
			return struct{}{}, nil
		})
		ours, theirs := net.Pipe()
		s.Serve(&oneConn{conn: theirs, closed: make(chan struct{})})
		if _, err := io.WriteString(ours, "GET /v1/slow HTTP/1.1\r\nHost: sharer\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := s.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if !told.Load() || !ended.Load() {
			t.Errorf("Close returned before a handler had ended; it was told so: %t", told.Load())
		}
		ours.Close()
	})
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	close(l.closed)
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "control.sock", Net: "unix"} }
