package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"sharer/identity"
	"sharer/wire"
)

var (
	_ Node      = (*fakeNode)(nil)
	_ Directory = (*fakeNode)(nil)
)

// fakeNode records what it is asked to send, and finds no key until it is told where.
type fakeNode struct {
	key    identity.PublicKey
	seen   observers
	local  func(from netip.AddrPort, array []byte) []byte
	onSend func(sent)

	mu     sync.Mutex
	sent   []sent
	proven map[netip.AddrPort]bool
	nodes  map[netip.AddrPort]bool
	known  map[identity.PublicKey]bool
	found  map[identity.PublicKey]chan struct{} // Forward to such a key waits for it
}

type sent struct {
	to       Recipient
	messages string
	sign     bool
}

func newFakeNode() *fakeNode {
	return &fakeNode{
		key: identity.PublicKey{1}, proven: map[netip.AddrPort]bool{}, nodes: map[netip.AddrPort]bool{},
		known: map[identity.PublicKey]bool{}, found: map[identity.PublicKey]chan struct{}{},
	}
}

func (n *fakeNode) Observe(f func(Arrival)) (stop func()) { return n.seen.add(f) }
func (n *fakeNode) HandleLocal(a netip.AddrPort, b []byte) []byte {
	if n.local == nil {
		return nil
	}
	return n.local(a, b)
}

func (n *fakeNode) Forward(ctx context.Context, to Recipient, messages []byte, sign bool) error {
	n.mu.Lock()
	found := n.found[to.Key]
	n.mu.Unlock()
	if found != nil {
		select {
		case <-found:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if !json.Valid(messages) {
		return errors.New("no JSON")
	}
	s := sent{to, string(messages), sign}
	n.mu.Lock()
	n.sent = append(n.sent, s)
	n.mu.Unlock()
	if n.onSend != nil {
		n.onSend(s)
	}
	return nil
}

func (n *fakeNode) Deliver(to netip.AddrPort, messages []byte) error {
	return n.Forward(context.Background(), Recipient{Addr: to}, messages, false)
}

func (n *fakeNode) Proven(a netip.AddrPort) bool    { return n.has(func() bool { return n.proven[a] }) }
func (n *fakeNode) Node(a netip.AddrPort) bool      { return n.has(func() bool { return n.nodes[a] }) }
func (n *fakeNode) Known(k identity.PublicKey) bool { return n.has(func() bool { return n.known[k] }) }

func (n *fakeNode) has(f func() bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return f()
}

// took returns what was sent since the last call.
func (n *fakeNode) took() []sent {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.sent
	n.sent = nil
	return s
}

// site is a bridge behind a server whose connections are pipes, so that time is virtual.
type site struct {
	t      *testing.T
	node   *fakeNode
	bridge *Bridge
	stays  func() bool
	conns  chan net.Conn
	server *http.Server
	done   chan struct{}
}

func newSite(t *testing.T) *site {
	t.Helper()
	n := newFakeNode()
	s := &site{t: t, node: n, bridge: New(Config{Key: n.key, Node: n, Directory: n}), conns: make(chan net.Conn), done: make(chan struct{})}
	s.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.bridge.ServePage(w, r, Visitor{Origin: r.Header.Get("Origin"), Stays: s.stays})
	})}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(s) // http.ErrServerClosed
	}()
	return s
}

// close ends everything; in a bubble, what is left would be told.
func (s *site) close() {
	s.bridge.Close()
	_ = s.server.Close()
	<-s.done
}

func (s *site) Accept() (net.Conn, error) {
	c, ok := <-s.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (s *site) Close() error {
	close(s.conns)
	return nil
}

func (s *site) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// tab is a page's end of a connection.
type tab struct {
	*websocket.Conn
	t   *testing.T
	raw net.Conn
}

// dial opens a connection from an origin.
func (s *site) dial(origin string) (*tab, *http.Response, error) {
	var raw net.Conn
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		s.conns <- theirs
		raw = ours
		return ours, nil
	}}}
	c, resp, err := websocket.Dial(s.t.Context(), "ws://node/wt", &websocket.DialOptions{
		HTTPClient: client, HTTPHeader: http.Header{"Origin": {origin}}, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		client.CloseIdleConnections()
		return nil, resp, err
	}
	c.SetReadLimit(1 << 30)
	return &tab{c, s.t, raw}, resp, nil
}

// open is dial where it must succeed; it reads the greeting.
func (s *site) open(origin string) *tab {
	s.t.Helper()
	tab, _, err := s.dial(origin)
	if err != nil {
		s.t.Fatal(err)
	}
	if got, want := tab.read(), string(wire.AppendArray(nil, wire.YourEd25519{Ed25519: s.node.key})); got != want {
		s.t.Fatalf("greeted by %s, want %s", got, want)
	}
	return tab
}

// read reads one text.
func (p *tab) read() string {
	p.t.Helper()
	kind, text, err := p.Read(p.t.Context())
	if err != nil || kind != websocket.MessageText {
		p.t.Fatalf("%v %q %v", kind, text, err)
	}
	return string(text)
}

// say writes one text.
func (p *tab) say(text string) {
	p.t.Helper()
	if err := p.Write(p.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// ends reads to the end, and returns how many texts came and why it ended.
func (p *tab) ends() (n int, err error) {
	for {
		_, r, err := p.Reader(p.t.Context())
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return n, err
		}
		n++
	}
}

func equalJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	for text, to := range map[string]*any{a: &x, b: &y} {
		d := json.NewDecoder(bytes.NewReader([]byte(text)))
		d.UseNumber()
		if err := d.Decode(to); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return a == b || reflect.DeepEqual(x, y)
}

// observers are those who observe a fake node.
type observers struct {
	mu  sync.Mutex
	fns map[int]func(Arrival)
	n   int
}

func (o *observers) add(f func(Arrival)) (stop func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fns == nil {
		o.fns = map[int]func(Arrival){}
	}
	o.n++
	n := o.n
	o.fns[n] = f
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.fns, n)
	}
}

func (o *observers) tell(a Arrival) {
	o.mu.Lock()
	fns := maps.Clone(o.fns)
	o.mu.Unlock()
	for _, f := range fns {
		f(a)
	}
}

func (o *observers) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.fns)
}
