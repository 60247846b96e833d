package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// About says what answers, in the answer to GET /v1/version.
type About struct {
	API     int              `json:"api"`
	Release string           `json:"release"`
	PID     int              `json:"pid"`
	Started time.Time        `json:"started"`
	State   Path             `json:"state"` // folder
	Listen  []netip.AddrPort `json:"listen"`
	Notes   []string         `json:"notes,omitempty"`
	Web     netip.AddrPort   `json:"web,omitzero"` // where HTTP is answered

	// Foreground is what runs besides answering: a command that a person may end at any time, as "seed"; empty: a daemon.
	Foreground string `json:"foreground,omitempty"`

	Same bool `json:"same_user"` // the caller and the server are one user
}

// Bounds of what a client may take of the server; clients are the user himself.
const (
	maxRequest    = 1 << 20          // bytes of a request's body
	maxList       = 256 << 20        // of one that holds a list of files: a manifest of a million is 220 MB
	headerTimeout = 5 * time.Second  // to send a request's head
	idleTimeout   = 2 * time.Minute  // between two requests
	closeGrace    = time.Second / 2  // for answers that are being written when the server closes
	flushEvery    = time.Second / 10 // an event waits in a buffer so long at most
)

// Server answers on the socket. Handlers are registered before Serve.
type Server struct {
	about func() About
	mux   *http.ServeMux
	http  http.Server
	stop  context.CancelFunc
	ended sync.WaitGroup
}

// NewServer makes a server that answers /v1/version with what about says.
func NewServer(about func() About) *Server {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{about: about, mux: http.NewServeMux(), stop: stop}
	s.http = http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: withCaller,
	}
	handle(s, "GET /v1/version", func(ctx context.Context, _ struct{}) (About, error) { return s.aboutFor(ctx), nil })
	return s
}

// aboutFor is what a caller is told of who answers.
func (s *Server) aboutFor(ctx context.Context) About {
	a := s.about()
	a.API, a.Same = API, CallerOf(ctx).Same
	return a
}

// ServeHTTP routes a request. An unknown path is what a newer client asks for.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := s.mux.Handler(r); pattern == "" {
		fail(w, badf("this daemon (%s) does not know %s %s; restart it with the version that you call it with", s.about().Release, r.Method, r.URL.Path))
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Serve answers on l until Close.
func (s *Server) Serve(l net.Listener) {
	s.ended.Go(func() { _ = s.http.Serve(l) }) // it returns ErrServerClosed, or fails when l does
}

// Close ends all requests, and waits for their handlers, but for closeGrace at most: what they use refuses when it is closed, and a deletion
// of a million files is not worth an end by force.
func (s *Server) Close() error {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.ended.Wait()
	return err
}

// fail answers with an error.
func fail(w http.ResponseWriter, err error) {
	e := errorOf(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status())
	_ = json.NewEncoder(w).Encode(line{Error: e}) // the client that is gone does not miss it
}

// read decodes the body of a request. An empty one is the zero value.
func read(w http.ResponseWriter, r *http.Request, most int64, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return badf("%v", err)
	}
	return nil
}

// handle registers f for pattern: one JSON document in, one out.
func handle[In, Out any](s *Server, pattern string, f func(ctx context.Context, in In) (Out, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in In
		err := read(w, r, maxRequest, &in)
		var out Out
		if err == nil {
			out, err = f(r.Context(), in)
		}
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // as in fail
	})
}

// Handle is handle for other rooms: f answers requests that fit pattern, as "POST /v1/mirrors". In and Out are
// JSON documents; Client.Call asks.
func Handle[In, Out any](s *Server, pattern string, f func(ctx context.Context, in In) (Out, error)) {
	handle(s, pattern, f)
}
