package metrics

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Health is asked by /healthz and /readyz. Both return at once.
type Health interface {
	Alive() error // why the program should be restarted; nil: it works
	Ready() error // why nobody should be sent here now; nil: send them
}

// Register serves /metrics, /healthz and /readyz on mux. An error of h is a line of text with status 503. They
// name numbers of this machine and are for this machine: whoever serves mux elsewhere than on loopback has to say so.
func Register(mux *http.ServeMux, r *Registry, h Health) {
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		r.Write(w) // the error is that of a client that left
	})
	mux.HandleFunc("GET /healthz", answer(h.Alive))
	mux.HandleFunc("GET /readyz", answer(h.Ready))
}

func answer(ask func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		text := "ok"
		if err := ask(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			text = err.Error()
		}
		w.Write([]byte(text + "\n"))
	}
}

// LoopbackOnly refuses requests whose Host is no loopback address and no name of one. A page of the web may let a name of
// its own lead to 127.0.0.1 and ask in its visitor's browser; the Host is then that name.
func LoopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			http.Error(w, "ask by the name localhost, or by a loopback address", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
