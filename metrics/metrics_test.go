package metrics

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

func text(t *testing.T, r *Registry) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrite(t *testing.T) {
	var r Registry
	r.Counter(Desc{Name: "a_total", Help: `A \ and` + "\na line"})
	c := r.Counter(Desc{Name: "b_total", Help: "Bytes.", Labels: []string{"dir", "who"}})
	c.Add(2, "up", "x\n\"\\\xff")
	c.Add(3, "down", "y")
	c.Add(1<<40, "down", "y")
	g := r.Gauge(Desc{Name: "g", Help: "Gauge."})
	g.Set(1.5)
	n := 0.0
	r.GaugeFunc(Desc{Name: "f", Help: "Asked.", Labels: []string{"l"}}, func(set func(float64, ...string)) {
		n++
		set(n, fmt.Sprint(n)) // another label each time: the old ones are not kept
		set(math.Inf(1), "inf")
	})
	r.CounterFunc(Desc{Name: "h_total", Help: "Asked."}, func(set func(float64, ...string)) { set(7) })
	text(t, &r)
	want := `# HELP a_total A \\ and\na line
# TYPE a_total counter
a_total 0
# HELP b_total Bytes.
# TYPE b_total counter
b_total{dir="down",who="y"} 1099511627779
b_total{dir="up",who="x\n\"\\` + "\uFFFD" + `"} 2
# HELP g Gauge.
# TYPE g gauge
g 1.5
# HELP f Asked.
# TYPE f gauge
f{l="2"} 2
f{l="inf"} +Inf
# HELP h_total Asked.
# TYPE h_total counter
h_total 7
# HELP sharer_metrics_dropped_total Series that were not kept since their family has too many.
# TYPE sharer_metrics_dropped_total counter
sharer_metrics_dropped_total 0
`
	if got := text(t, &r); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if names := r.Names(); !slices.Equal(names, []string{"a_total", "b_total", "f", "g", "h_total", droppedName}) {
		t.Errorf("names %q", names)
	}
}

// TestForm: every line of what is written has the form of the format, whatever labels hold.
func TestForm(t *testing.T) {
	var r Registry
	c := r.Counter(Desc{Name: "c_total", Help: "C.", Labels: []string{"l"}})
	for i := range 256 {
		c.Add(1, string([]byte{byte(i)})+"}")
	}
	form := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="([^"\\\n]|\\[\\n"])*",?)+\})? [0-9.e+-]+)$`)
	for line := range strings.Lines(text(t, &r)) {
		if !form.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("%q", line)
		}
	}
}

func TestSeriesAreBounded(t *testing.T) {
	var r Registry
	c := r.Counter(Desc{Name: "c_total", Help: "C.", Labels: []string{"l"}})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2 * MaxSeries {
				c.Add(1, fmt.Sprint(g, i))
			}
		})
	}
	wg.Wait()
	got := text(t, &r)
	if n := strings.Count(got, "c_total{"); n != MaxSeries || !strings.Contains(got, fmt.Sprintf("\n%s %d\n", droppedName, 7*MaxSeries)) {
		t.Errorf("%d series; %s", n, got[len(got)-200:])
	}
}

func TestMistakesOfTheProgramPanic(t *testing.T) {
	for name, f := range map[string]func(r *Registry){
		"no total":   func(r *Registry) { r.Counter(Desc{Name: "a", Help: "A."}) },
		"total":      func(r *Registry) { r.Gauge(Desc{Name: "a_total", Help: "A."}) },
		"name":       func(r *Registry) { r.Gauge(Desc{Name: "a-b", Help: "A."}) },
		"no help":    func(r *Registry) { r.Gauge(Desc{Name: "a"}) },
		"label":      func(r *Registry) { r.Gauge(Desc{Name: "a", Help: "A.", Labels: []string{"x-y"}}) },
		"reserved":   func(r *Registry) { r.Gauge(Desc{Name: "a", Help: "A.", Labels: []string{"__x"}}) },
		"same twice": func(r *Registry) { r.Gauge(Desc{Name: "a", Help: "A."}); r.Gauge(Desc{Name: "a", Help: "A."}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f(new(Registry))
		}()
	}
}

type health struct{ alive, ready error }

func (h health) Alive() error { return h.alive }
func (h health) Ready() error { return h.ready }

func TestHandlers(t *testing.T) {
	var r Registry
	r.Gauge(Desc{Name: "g", Help: "G."})
	mux := http.NewServeMux()
	Register(mux, &r, health{ready: errors.New("still hashing")})
	for _, c := range []struct {
		method, path, host string
		status             int
		body               string
	}{
		{"GET", "/metrics", "127.0.0.1:9", 200, "g 0\n"},
		{"GET", "/metrics", "localhost:9", 200, "g 0\n"},
		{"GET", "/metrics", "[::1]:9", 200, "g 0\n"},
		{"GET", "/healthz", "127.0.0.1", 200, "ok\n"},
		{"GET", "/readyz", "127.0.0.1", 503, "still hashing\n"},
		{"POST", "/metrics", "127.0.0.1", 405, ""},
		{"GET", "/metrics", "evil.example:9", 403, ""},
		{"GET", "/metrics", "127.0.0.1.evil.example", 403, ""},
		{"GET", "/metrics", "", 403, ""},
	} {
		req := httptest.NewRequest(c.method, c.path, nil)
		req.Host = c.host
		w := httptest.NewRecorder()
		LoopbackOnly(mux).ServeHTTP(w, req)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%+v: %d %q", c, w.Code, w.Body)
		}
	}
}
