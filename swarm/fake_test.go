package swarm

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sharer/wire"
)

var (
	_ Conn = (*fakeConn)(nil)
	_ LAN  = (*lanConn)(nil)
)

// fakeConn records what is sent, or hands it to onSend. It fails on demand.
type fakeConn struct {
	mu     sync.Mutex
	sent   []sentDatagram
	onSend func(wire.Datagram)
	fail   func(wire.Datagram) error
	local  []netip.AddrPort
	quiet  bool // counts only
	n      int
}

type sentDatagram struct {
	wire.Datagram
	at time.Time
}

func (c *fakeConn) Readers() []Reader            { return nil }
func (c *fakeConn) LocalAddrs() []netip.AddrPort { return c.local }
func (c *fakeConn) Close() error                 { return nil }

func (c *fakeConn) WriteBatch(ds []wire.Datagram) (int, error) {
	for i, d := range ds {
		if c.fail != nil {
			if err := c.fail(d); err != nil {
				return i, err
			}
		}
		c.mu.Lock()
		c.n++
		if !c.quiet {
			d.Data = append([]byte(nil), d.Data...)
			c.sent = append(c.sent, sentDatagram{d, time.Now()})
		}
		c.mu.Unlock()
		if c.onSend != nil {
			c.onSend(d)
		}
	}
	return len(ds), nil
}

// take returns what was sent since the last call.
func (c *fakeConn) take() []sentDatagram {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sent
	c.sent = nil
	return s
}

type lanConn struct {
	fakeConn
	prefixes []netip.Prefix
	announce []netip.Addr
}

func (c *lanConn) Prefixes() []netip.Prefix { return c.prefixes }
func (c *lanConn) AnnounceTo() []netip.Addr { return c.announce }

// seeded is a deterministic source of secrets.
func seeded(n uint64) *rand.ChaCha8 {
	return rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), 1})
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func newTestSwarm(t testing.TB, conn Conn, c Config) *Swarm {
	t.Helper()
	if c.Rand == nil {
		c.Rand = seeded(1)
	}
	s, err := New(conn, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// peer is a swarm with the few lines that node has around it, and greedy handlers of content and
// chat, as an uploader without limits of its own would be.
type peer struct {
	*Swarm
	mux *wire.Mux
}

func newPeer(t testing.TB, conn Conn, c Config) *peer {
	p := &peer{newTestSwarm(t, conn, c), wire.NewMux()}
	p.Register(p.mux)
	content := make([]byte, 4096)
	greedy := func(from wire.Sender, e wire.Element) []wire.Message {
		m, err := wire.ParsePleaseSendContent(e.Payload)
		if err != nil {
			return nil
		}
		// A large one, a small one, and one that fills the room to the last byte.
		fit := make([]byte, max(0, (from.Room-120-len(m.ID))/4*3))
		return []wire.Message{
			wire.Content{ID: m.ID, Offset: m.Offset, Data: content, EOF: 1 << 20},
			wire.Content{ID: m.ID, Offset: m.Offset, Data: fit[:min(len(fit), 4096)], EOF: 1 << 20},
			wire.Content{ID: m.ID, Offset: m.Offset, Data: content[:3], EOF: -1},
		}
	}
	p.mux.Handle("PleaseSendContent", wire.HandlerFunc(greedy))
	// Exactly what there is room for.
	p.mux.Handle("PleaseFill", wire.HandlerFunc(func(from wire.Sender, _ wire.Element) []wire.Message {
		return []wire.Message{fill(min(from.Room, 9000))}
	}))
	p.mux.Handle("ChatMessage", wire.HandlerFunc(func(from wire.Sender, e wire.Element) []wire.Message {
		if m, err := wire.ParseChatMessage(e.Payload); from.Proven && (err != nil || m.Message != "/ping") {
			return nil // to strangers it answers everything, even answers: the gate must hold
		}
		return []wire.Message{wire.ChatMessage{Message: "PONG"}}
	}))
	return p
}

// fill is a message whose element takes that many bytes, with its comma.
type fill int

func (fill) Name() string { return "F" }

func (f fill) AppendPayload(dst []byte) []byte {
	return append(append(append(dst, '"'), strings.Repeat("f", max(0, int(f)-len(`{"F":""},`)))...), '"')
}

// receive does what a node does with a datagram.
func (p *peer) receive(from netip.AddrPort, data []byte) wire.Sender {
	p.Gate.Received(1)
	return p.route(wire.Datagram{Addr: from, Via: 1, Data: data})
}

// route is receive for what was counted already.
func (p *peer) route(d wire.Datagram) wire.Sender {
	es, _, err := wire.Split(nil, d.Data)
	if err != nil {
		p.Gate.Dropped(DropFor(err))
		return wire.Sender{}
	}
	s := p.Gate.Admit(d, es)
	if !s.Addr.IsValid() {
		return s
	}
	replies, _ := p.mux.Dispatch(s, es)
	p.Gate.Reply(s, Asked(es), replies)
	return s
}

// array is a datagram of raw elements.
func array(elements ...string) []byte {
	b := []byte{'['}
	for i, e := range elements {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e...)
	}
	return append(b, ']')
}

// find returns the payload of the first element of that name.
func find(t testing.TB, data []byte, name string) []byte {
	t.Helper()
	es, bad, err := wire.Split(nil, data)
	if err != nil || bad > 0 {
		t.Fatalf("sent %q: %v, %d bad elements", data, err, bad)
	}
	for _, e := range es {
		if e.Name == name {
			return e.Payload
		}
	}
	return nil
}

// prove makes the gate believe an address, by its cookie.
func (p *peer) prove(t testing.TB, a netip.AddrPort) {
	t.Helper()
	text := p.Gate.cookies.Make(a, time.Now())
	if s := p.receive(a, array(fmt.Sprintf(`{"AlwaysReturned":{"cookie":"%s"}}`, text[:]))); !s.Proven || !p.Table.Proven(a) {
		t.Fatalf("%s did not prove itself: %+v", a, s)
	}
}

// lossless connects peers by address; what is sent is delivered by deliver, in order.
type lossless struct {
	mu    sync.Mutex
	peers map[netip.AddrPort]func(from netip.AddrPort, data []byte)
	queue []wire.Datagram
	from  []netip.AddrPort
	count int
}

func newLossless() *lossless {
	return &lossless{peers: map[netip.AddrPort]func(netip.AddrPort, []byte){}}
}

func (l *lossless) conn(a netip.AddrPort) *fakeConn {
	return &fakeConn{local: []netip.AddrPort{a}, onSend: func(d wire.Datagram) {
		d.Data = append([]byte(nil), d.Data...)
		l.mu.Lock()
		l.queue, l.from = append(l.queue, d), append(l.from, a)
		l.mu.Unlock()
	}}
}

// deliver empties the queue, including what the deliveries cause.
func (l *lossless) deliver() {
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.mu.Unlock()
			return
		}
		d, from := l.queue[0], l.from[0]
		l.queue, l.from = l.queue[1:], l.from[1:]
		if l.count++; l.count > 10000 {
			panic("the datagrams circle for ever")
		}
		to := l.peers[d.Addr]
		l.mu.Unlock()
		if to != nil {
			to(from, d.Data)
		}
	}
}

var errTest = net.UnknownNetworkError("test")
