package gateway

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	maxConns   = 256 // in all: a descriptor and some 10 KB each
	maxPerHost = 32  // of one address (IPv6: of one /64) that is not this machine
	headerTime = 5 * time.Second
	idleTime   = time.Minute
	maxHeader  = 16 << 10
	closeTime  = time.Second // requests that run get so long at the end
)

// Listen opens the socket of a gateway. Its address goes into the Config.
func Listen(addr string) (net.Listener, error) {
	network := "tcp"
	if a, err := netip.ParseAddrPort(addr); err == nil && a.Addr().Is4() {
		network = "tcp4" // or 0.0.0.0 would be all addresses of IPv6 too
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, fmt.Errorf("HTTP: %w", err)
	}
	return l, nil
}

// Server serves a gateway on a listener, with bounds on connections. When there is no room, those that wait longest without a
// request make it: slow headers keep nobody out.
type Server struct {
	http *http.Server
	l    *door
	done chan struct{}
	err  error // after done
}

// Serve answers on l until Close.
func Serve(l net.Listener, h http.Handler) *Server {
	d := &door{Listener: l, guests: map[net.Conn]*guest{}, perHost: map[netip.Prefix]int{}, most: maxConns, mostPerHost: maxPerHost}
	s := &Server{l: d, done: make(chan struct{})}
	s.http = &http.Server{
		Handler:           d.busy(h),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ConnState:         d.state,
		ConnContext:       d.context,
		ErrorLog:          log.New(discard{}, "", 0), // what strangers do wrong
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(d); !errors.Is(err, http.ErrServerClosed) {
			s.err = err
		}
	}()
	return s
}

// Close ends it: requests that run are given a moment.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close() // its error is that of the listener, which is closed already
	}
	<-s.done
	return s.err
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// guest is one connection.
type guest struct {
	conn  net.Conn
	host  netip.Prefix // zero: of this machine, which has no bound of its own
	since time.Time    // it has been without a request
	busy  bool         // a handler runs
}

// door counts connections. It hands out plain TCP connections, so that the kernel can send files.
type door struct {
	net.Listener
	most, mostPerHost int

	mu      sync.Mutex
	guests  map[net.Conn]*guest // at most `most`
	perHost map[netip.Prefix]int
}

// Accept returns the next connection that there is room for.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if d.admit(c, time.Now()) {
			return c, nil
		}
		c.Close() // nothing was said yet
	}
}

// admit makes room for a connection, if need be at the cost of one that waits.
func (d *door) admit(c net.Conn, now time.Time) bool {
	host := hostOf(c)
	d.mu.Lock()
	defer d.mu.Unlock()
	if host.IsValid() && d.perHost[host] >= d.mostPerHost && !d.evictLocked(func(g *guest) bool { return g.host == host }) {
		return false
	}
	if len(d.guests) >= d.most && !d.evictLocked(func(*guest) bool { return true }) {
		return false
	}
	d.guests[c] = &guest{conn: c, host: host, since: now}
	if host.IsValid() {
		d.perHost[host]++
	}
	return true
}

// evictLocked closes the one that has waited longest of those that may be closed.
func (d *door) evictLocked(may func(*guest) bool) bool {
	var oldest *guest
	for _, g := range d.guests {
		if !g.busy && may(g) && (oldest == nil || g.since.Before(oldest.since)) {
			oldest = g
		}
	}
	if oldest == nil {
		return false
	}
	d.forgetLocked(oldest.conn)
	oldest.conn.Close() // its request has not been heard
	return true
}

func (d *door) forgetLocked(c net.Conn) {
	g := d.guests[c]
	if g == nil {
		return
	}
	delete(d.guests, c)
	if g.host.IsValid() {
		if d.perHost[g.host]--; d.perHost[g.host] == 0 {
			delete(d.perHost, g.host)
		}
	}
}

// hostOf is whose connection counts together with others; zero for those of this machine.
func hostOf(c net.Conn) netip.Prefix {
	a, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil || a.Addr().Unmap().IsLoopback() {
		return netip.Prefix{}
	}
	bits := 64
	if a.Addr().Unmap().Is4() {
		bits = 32
	}
	p, err := a.Addr().Unmap().WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// state is told what becomes of connections. One that was taken over by the bridge is counted there.
func (d *door) state(c net.Conn, s http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch s {
	case http.StateClosed, http.StateHijacked:
		d.forgetLocked(c)
	case http.StateIdle:
		if g := d.guests[c]; g != nil {
			g.since = time.Now()
		}
	}
}

type guestKey struct{}

func (d *door) context(ctx context.Context, c net.Conn) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return context.WithValue(ctx, guestKey{}, d.guests[c])
}

// busy marks connections whose request is being answered.
func (d *door) busy(h http.Handler) http.Handler {
	mark := func(g *guest, busy bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		g.busy, g.since = busy, time.Now()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g, _ := r.Context().Value(guestKey{}).(*guest); g != nil {
			mark(g, true)
			defer mark(g, false)
		}
		h.ServeHTTP(w, r)
	})
}
