//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// caller is a connection to a node's bridge, as a local program has one.
type caller struct {
	*websocket.Conn
	key string
}

// dialBridge opens one; origin is empty for a program.
func dialBridge(t *testing.T, base, origin string) (*caller, *http.Response, error) {
	t.Helper()
	h := http.Header{}
	if origin != "" {
		h.Set("Origin", origin)
	}
	c, resp, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(base, "http")+"/wt", &websocket.DialOptions{HTTPHeader: h})
	if err != nil {
		return nil, resp, err
	}
	c.SetReadLimit(1 << 20)
	_, text, err := c.Read(t.Context())
	check(t, err)
	var m []map[string]struct{ Ed25519 string }
	check(t, json.Unmarshal(text, &m))
	t.Cleanup(func() { _ = c.CloseNow() }) // it may be closed
	return &caller{c, m[0]["YourEd25519"].Ed25519}, resp, nil
}

func (l *caller) say(to, message string) error {
	return l.Write(context.Background(), websocket.MessageText, []byte(`[{"Forward":{"to_ed25519":"`+to+`","messages":[`+message+`]}}]`))
}

// hear calls f with what is forwarded until the connection ends.
func (l *caller) hear(f func(from, messages string)) {
	for {
		_, text, err := l.Read(context.Background())
		if err != nil {
			return
		}
		var ms []struct {
			Forwarded *struct {
				From     string `json:"from_ed25519"`
				Messages string `json:"messages"`
			}
		}
		if json.Unmarshal(text, &ms) == nil {
			for _, m := range ms {
				if m.Forwarded != nil {
					f(m.Forwarded.From, m.Forwarded.Messages)
				}
			}
		}
	}
}

// delays gathers how long frames were on their way.
type delays struct {
	mu  sync.Mutex
	all []time.Duration
}

func (d *delays) add(sent time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, time.Since(sent))
}

func (d *delays) at(percent int) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) == 0 {
		return 0
	}
	slices.Sort(d.all)
	return d.all[min(len(d.all)-1, len(d.all)*percent/100)]
}

// pair are two nodes that know each other, and a connection to the bridge of each.
func pair(t *testing.T) (a, b *webNode, la, lb *caller) {
	t.Helper()
	path := filepath.Join(folder(t), "small")
	generate(t, path, 1000, 2)
	a = web(t, path)
	b = web(t, path, "--peer", a.udp)
	var err error
	la, _, err = dialBridge(t, a.base, "")
	check(t, err)
	lb, _, err = dialBridge(t, b.base, "")
	check(t, err)
	return a, b, la, lb
}

// TestFrames films both ways between pages of two nodes at 2 Mbit/s each, sealed by key, and says how long frames take from one
// page's socket to the other's.
func TestFrames(t *testing.T) {
	needs(t)
	_, _, la, lb := pair(t)
	const (
		every = 10 * time.Millisecond
		size  = 2500 // 100 a second are 2 Mbit/s
	)
	frames := 1000
	pad := strings.Repeat("x", size-100)
	var took [2]delays
	var wg sync.WaitGroup
	for i, l := range []*caller{la, lb} {
		to := []*caller{la, lb}[1-i]
		met := make(chan struct{})
		meet := sync.OnceFunc(func() { close(met) })
		go to.hear(func(from, messages string) {
			if from != l.key {
				return
			}
			if strings.Contains(messages, "Hello") {
				meet()
			}
			_, rest, ok := strings.Cut(messages, `{"VideoFrame":{"at":`)
			if !ok {
				return
			}
			digits, _, _ := strings.Cut(rest, ",")
			if at, err := strconv.ParseInt(digits, 10, 64); err == nil {
				took[i].add(time.Unix(0, at))
			}
		})
		wg.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for waiting := true; waiting; {
				select {
				case <-met:
					waiting = false
				case <-tick.C:
					if err := l.say(to.key, `{"Hello":1}`); err != nil {
						t.Error(err)
						return
					}
				}
			}
			for range frames {
				<-tick.C
				if err := l.say(to.key, fmt.Sprintf(`{"VideoFrame":{"at":%d,"data":"%s"}}`, time.Now().UnixNano(), pad)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for i := range took {
		until(t, func() bool { took[i].mu.Lock(); defer took[i].mu.Unlock(); return len(took[i].all) >= frames*99/100 })
		p99 := took[i].at(99)
		t.Logf("way %d: %d of %d frames of %d bytes, 2 Mbit/s: %.2f ms half of them, %.2f ms 99 of 100, %.2f ms the slowest", i, len(took[i].all), frames, size,
			ms(took[i].at(50)), ms(p99), ms(took[i].at(100)))
		if p99 > 5*time.Millisecond && os.Getenv("SHARER_E2E_BARS") == "1" {
			t.Errorf("99 of 100 frames take up to %s, more than 5 ms", p99)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// until waits for what must come true soon.
func until(t *testing.T, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience / 5)
	for !yes() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it does not come true")
		}
	}
}

// TestBridgeOrigins opens the bridge from where no page of the user's is (W1), and from where one is.
func TestBridgeOrigins(t *testing.T) {
	needs(t)
	path := filepath.Join(folder(t), "small")
	generate(t, path, 1000, 2)
	n := web(t, path, "--http-origin", "https://app.example")
	_, port, _ := strings.Cut(strings.TrimPrefix(n.base, "http://"), ":")
	for _, origin := range []string{
		"https://evil.example", "http://evil.example:" + port, "null", "file://", "http://localhost.evil.example:" + port, "http://127.0.0.1", "http://127.0.0.1:1",
		"https://127.0.0.1:" + port, "http://localhost", "http://127.0.0.1:" + port + ".evil.example", "http://127.0.0.1.evil.example:" + port, "http://evil@127.0.0.1:" + port,
		"http://127.0.0.1:" + port + "/", "http://0.0.0.0:" + port, "http://b" + strings.Repeat("a", 52) + ".localhost:" + port, "https://app.example.evil.example", "http://app.example",
		"chrome-extension://abcdefghijklmnop",
	} {
		if _, resp, err := dialBridge(t, n.base, origin); err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("origin %q: %v, %v", origin, err, resp)
		}
	}
	for _, origin := range []string{"", n.base, "http://localhost:" + port, "https://app.example"} {
		if _, _, err := dialBridge(t, n.base, origin); err != nil {
			t.Errorf("origin %q: %v", origin, err)
		}
	}
}

// TestBridgeFlood lets eight connections say as much as they can, with messages, frames of nothing, and pings, and compares what the
// node's other traffic has of it: questions over UDP at a steady rate.
func TestBridgeFlood(t *testing.T) {
	needs(t)
	a, b, la, _ := pair(t)
	steady := func() (answers int, d *delays) { return questions(t, a.udp, 2000, 2*time.Millisecond) }
	quiet, quietDelays := steady()
	stop := make(chan struct{})
	var said atomic.Int64
	var wg sync.WaitGroup
	letter := []byte(`[{"Forward":{"to_ed25519":"` + keyOf(t, b.state) + `","messages":[{"Flood":"` + strings.Repeat("x", 500) + `"}]}},{"PleaseSendPeers":{}}]`)
	for i := range 8 {
		l := la
		if i > 0 {
			var err error
			l, _, err = dialBridge(t, a.base, "")
			check(t, err)
		}
		wg.Go(func() {
			for {
				select {
				case <-stop:
					_ = l.CloseNow()
					return
				default:
				}
				if l.Write(context.Background(), websocket.MessageText, letter) != nil {
					return
				}
				said.Add(1)
			}
		})
		go l.hear(func(string, string) {})
	}
	until(t, func() bool { return said.Load() > 1000 })
	begun, before := time.Now(), said.Load()
	flooded, floodDelays := steady()
	rate := float64(said.Load()-before) / time.Since(begun).Seconds()
	close(stop)
	wg.Wait()
	t.Logf("of 2000 questions over UDP %d are answered, and %d while eight pages flood (%.0f messages a second were taken); half within %.2f and %.2f ms, 99 of 100 within %.2f and %.2f ms",
		quiet, flooded, rate, ms(quietDelays.at(50)), ms(floodDelays.at(50)), ms(quietDelays.at(99)), ms(floodDelays.at(99)))
	if flooded < quiet*95/100 {
		t.Errorf("%d of %d answers are left while pages flood", flooded, quiet)
	}
	a.alive()
}

// questions asks a node n pings at a steady rate and returns how many were answered, and how fast.
func questions(t *testing.T, addr string, n int, every time.Duration) (answers int, took *delays) {
	t.Helper()
	c, err := net.Dial("udp4", addr)
	check(t, err)
	defer c.Close()
	took = &delays{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for {
			m, err := c.Read(buf)
			if err != nil {
				return
			}
			if _, rest, ok := strings.Cut(string(buf[:m]), `"ReturnedMessage":{"cookie":"`); ok {
				digits, _, _ := strings.Cut(rest, `"`)
				if at, err := strconv.ParseInt(digits, 10, 64); err == nil {
					took.add(time.Unix(0, at))
				}
			}
		}
	}()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range n {
		<-tick.C
		_, err := fmt.Fprintf(c, `[{"PleaseReturnThisMessage":{"cookie":"%d"}}]`, time.Now().UnixNano())
		check(t, err)
	}
	check(t, c.SetReadDeadline(time.Now().Add(time.Second)))
	<-done
	return len(took.all), took
}
