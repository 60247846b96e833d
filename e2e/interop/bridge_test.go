//go:build linux

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// page is a connection to the bridge of a node.
type page struct {
	conn *websocket.Conn
	key  string

	mu    sync.Mutex
	heard []letter
}

// letter is what a node tells its pages.
type letter struct {
	From     *string `json:"from_ed25519"`
	Messages string  `json:"messages"`
	Spoofed  bool    `json:"might_be_ip_spoofing"`
}

// open opens a connection to the bridge of the node in a place, and is greeted.
func (p *place) open() (*page, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (c net.Conn, err error) {
		err = p.inside(func() error { c, err = net.Dial("tcp4", "127.0.0.1:24255"); return err })
		return c, err
	}}}
	conn, _, err := websocket.Dial(p.t.Context(), "ws://127.0.0.1:24255/wt", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(1 << 20)
	p.t.Cleanup(func() { _ = conn.CloseNow() }) // it may be closed
	w := &page{conn: conn}
	greeted := make(chan error, 1)
	go w.read(greeted)
	select {
	case err := <-greeted:
		return w, err
	case <-time.After(patience):
		return nil, fmt.Errorf("the page is not greeted")
	}
}

func (w *page) read(greeted chan<- error) {
	for {
		_, text, err := w.conn.Read(context.Background())
		if err != nil {
			select {
			case greeted <- err:
			default:
			}
			return
		}
		var ms []map[string]json.RawMessage
		if json.Unmarshal(text, &ms) != nil {
			continue
		}
		for _, m := range ms {
			for name, payload := range m {
				var key struct{ Ed25519 string }
				var l letter
				switch {
				case (name == "YourEd25519" || name == "PleaseSignYourPub") && json.Unmarshal(payload, &key) == nil:
					w.key = strings.TrimPrefix(key.Ed25519, "0x")
					greeted <- nil
				case name == "Forwarded" && json.Unmarshal(payload, &l) == nil:
					w.mu.Lock()
					w.heard = append(w.heard, l)
					w.mu.Unlock()
				}
			}
		}
	}
}

// tells says something to a key, again and again, until another page hears it from this one's key.
func (w *page) tells(other *page, what string, sign bool) (string, error) {
	begun := time.Now()
	text := fmt.Sprintf(`[{"Forward":{"to_ed25519":"%s","messages":[{"Move":"%s"}],"sign":%t}}]`, other.key, what, sign)
	said := 0
	for time.Since(begun) < patience {
		if err := w.conn.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
			return "", err
		}
		said++
		if until(2*time.Second, func() bool { return other.hears(w.key, what) }) {
			return fmt.Sprintf("%.1f s, said %d times", time.Since(begun).Seconds(), said), nil
		}
	}
	return "", fmt.Errorf("said %d times, and never heard", said)
}

func (w *page) hears(from, what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.heard {
		if l.From != nil && strings.TrimPrefix(*l.From, "0x") == from && strings.HasPrefix(l.Messages, `[{"Move":"`+what) {
			return true
		}
	}
	return false
}

// TestBridge lets a page of ours and a page of a Rust node talk by the keys of their nodes.
func TestBridge(t *testing.T) {
	needs(t)
	_, absent := program("SHARER_RUST")
	var ours, theirs *page
	if absent == nil {
		here, there := newPlace(t), newPlace(t)
		_, ip := wire(here, there, "10.88.1")
		path := filepath.Join(folder(t), "content")
		generate(t, path, 1000, 7)
		_, err := there.rust()
		check(t, err)
		here.seed(":24254", path, "--http", "127.0.0.1:24255", "--peer", ip+":"+rustPort)
		ours, err = here.open()
		check(t, err)
		theirs, err = there.open()
		check(t, err)
	}
	for _, c := range []struct {
		row, col string
		from, to **page
		sign     bool
	}{
		{"a page of ours", "a page of Rust's, by key", &ours, &theirs, false},
		{"a page of ours, signed", "a page of Rust's, by key", &ours, &theirs, true},
		{"a page of Rust's", "a page of ours, by key", &theirs, &ours, false},
		{"a page of Rust's, signed", "a page of ours, by key", &theirs, &ours, true},
	} {
		cell(t, c.row, c.col, func(*testing.T) (string, error) {
			if absent != nil {
				return "", absent
			}
			return (*c.from).tells(*c.to, fmt.Sprintf("%s %t", c.row[:len("a page of o")], c.sign), c.sign)
		})
	}
}
