package sim

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/bridge"
	"sharer/identity"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// postman and directory show a bridge the node of a world, as the daemon does.
type postman struct{ *node.Node }

func (p postman) Observe(f func(bridge.Arrival)) (stop func()) {
	return p.Node.Observe(func(a node.Arrival) { f(bridge.Arrival(a)) })
}

func (p postman) Forward(ctx context.Context, to bridge.Recipient, messages []byte, sign bool) error {
	return p.Node.Forward(ctx, node.Recipient(to), messages, sign)
}

type directory struct{ n *node.Node }

func (d directory) Proven(a netip.AddrPort) bool    { return d.n.Proven(a) }
func (d directory) Node(a netip.AddrPort) bool      { return d.n.Inhabited(a) }
func (d directory) Known(k identity.PublicKey) bool { return d.n.Known(k) }

// office makes a node a post office.
func office(n *node.Node) *bridge.Bridge {
	b := bridge.New(bridge.Config{Key: n.Key(), Node: postman{n}, Directory: directory{n}})
	n.OnForward(b.Program)
	return b
}

// program is a socket on loopback: what ten lines of any language are.
type program struct {
	t    *testing.T
	conn *netsim.Conn
	node netip.AddrPort

	mu    sync.Mutex
	heard []wire.Forwarded
	all   int // datagrams
}

func newProgram(t *testing.T, w *World, at, node netip.AddrPort) *program {
	p := &program{t: t, conn: w.Host(at), node: node}
	go func() {
		for {
			ds, err := p.conn.Readers()[0].ReadBatch()
			if err != nil {
				return
			}
			p.mu.Lock()
			for _, d := range ds {
				p.all++
				es, _, err := wire.Split(nil, d.Data)
				for _, e := range es {
					if e.Name != (wire.Forwarded{}).Name() {
						continue
					}
					var m wire.Forwarded
					if m, err = wire.ParseForwarded(e.Payload); err == nil {
						m.Messages = []byte(string(m.Messages))
						p.heard = append(p.heard, m)
					}
				}
				if err != nil {
					p.t.Errorf("a program hears %s: %v", d.Data, err)
				}
			}
			p.mu.Unlock()
		}
	}()
	return p
}

func (p *program) say(text string) {
	p.t.Helper()
	if _, err := p.conn.WriteBatch([]wire.Datagram{{Addr: p.node, Data: []byte(text)}}); err != nil {
		p.t.Error(err)
	}
}

// hears reports whether a Forwarded with that text has come since the last look, and whose it is.
func (p *program) hears(text string) (m wire.Forwarded, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.heard {
		if strings.Contains(string(h.Messages), text) {
			m, ok = h, true
		}
	}
	p.heard = nil
	return m, ok
}

// Two people with a program each and a node each, which know of each other by a third: letters go to keys, sealed, and come
// back; a program is heard for a minute after it last spoke; strangers and other nodes of the machine are no programs.
func TestPostOffice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		third := w.Node(node.Config{StateDir: w.Path("state")})
		// Addresses of loopback differ, as the network is one: 127.0.1.x is one machine, 127.0.2.x the other.
		machine := func(n byte) (*Host, *program, *bridge.Bridge) {
			lo := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, n, 1}), node.DefaultPort)
			h := w.Node(node.Config{StateDir: w.Path("state"), Peers: []netip.AddrPort{third.At}}, w.Addr(), lo)
			return h, newProgram(t, w, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, n, 2}), 40000), lo), office(h.Node)
		}
		alice, a, officeA := machine(1)
		bob, b, officeB := machine(2)
		defer officeA.Close()
		defer officeB.Close()
		defer a.conn.Close()
		defer b.conn.Close()
		forward := func(to identity.PublicKey, text string) string {
			return fmt.Sprintf(`[{"Forward":{"to_ed25519":"%s","messages":[{"Talk":"%s"}]}}]`, to, text)
		}
		time.Sleep(20 * time.Second) // everybody has met the third
		a.say(`[{"PleaseSendPeers":{}}]`)
		time.Sleep(5 * time.Second)
		if m, ok := a.hears(""); ok || officeA.Stats().Programs != 0 {
			t.Errorf("who only asks is told of arrivals: %+v", m)
		}
		b.say(forward(alice.Key(), "anybody there?")) // to where it lives, which nobody has told yet
		time.Sleep(15 * time.Second)
		a.say(forward(bob.Key(), "hello"))
		time.Sleep(5 * time.Second)
		m, ok := b.hears("hello")
		if !ok || m.From == nil || identity.PublicKey(*m.From) != alice.Key() || m.Src != alice.At || m.Spoofed {
			t.Fatalf("bob's program hears %+v (%v)", m, ok)
		}
		b.say(fmt.Sprintf(`[{"Forward":{"src":"%s","messages":[{"Talk":"by address"}]}}]`, m.Src))
		time.Sleep(5 * time.Second)
		if m, ok := a.hears("by address"); !ok || m.Src != bob.At {
			t.Errorf("alice's program hears %+v (%v)", m, ok)
		}
		// A signed letter is told twice: as it came, and what was inside.
		a.say(fmt.Sprintf(`[{"Forward":{"to_ed25519":"%s","messages":[{"Talk":"witnessed"}],"sign":true}}]`, bob.Key()))
		time.Sleep(5 * time.Second)
		var told []string
		b.mu.Lock()
		for _, h := range b.heard {
			if h.From == nil || identity.PublicKey(*h.From) != alice.Key() || !strings.Contains(string(h.Messages), "witnessed") {
				continue
			}
			es, _, err := wire.Split(nil, h.Messages)
			if err != nil {
				t.Fatal(err)
			}
			told = append(told, es[0].Name)
		}
		b.mu.Unlock()
		if !slices.Equal(told, []string{"SignedMessage", "Talk"}) {
			t.Errorf("a signed letter is told as %v", told)
		}
		// A minute after it last spoke.
		time.Sleep(46 * time.Second)
		a.say(`[{"PleaseReturnThisMessage":{"cookie":"x"}}]`) // it spoke 51 s ago
		b.say(forward(alice.Key(), "still there?"))
		time.Sleep(5 * time.Second)
		if _, ok := a.hears("still there?"); !ok {
			t.Error("let go too early")
		}
		time.Sleep(56 * time.Second)
		a.hears("")
		b.say(forward(alice.Key(), "gone?"))
		time.Sleep(5 * time.Second)
		if _, ok := a.hears(""); ok {
			t.Error("told after a minute of silence")
		}
	})
}

// A node on the same machine talks to ours as any peer does, and even when it says Forward it is no program; nor is who
// says it from elsewhere.
func TestNoProgramButPrograms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		lo := netip.MustParseAddrPort("127.0.0.1:24254")
		ours := w.Node(node.Config{StateDir: w.Path("state")}, w.Addr(), lo)
		o := office(ours.Node)
		defer o.Close()
		beside := w.Node(node.Config{StateDir: w.Path("state"), Peers: []netip.AddrPort{lo}}, netip.MustParseAddrPort("127.0.0.1:24300"))
		away := w.Node(node.Config{StateDir: w.Path("state"), Peers: []netip.AddrPort{ours.At}})
		time.Sleep(10 * time.Second)
		if !ours.Inhabited(beside.At) || !beside.Known(ours.Key()) {
			t.Fatal("two nodes of a machine have not met")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		forward := []byte(`[{"Forward":{"src":"20.99.0.1:53","messages":[{"X":1}]}}]`)
		for _, n := range []*Host{beside, away} {
			for _, to := range []node.Recipient{{Key: ours.Key()}, {Addr: ours.At}} { // sealed, and in a letter or not
				if n == beside && to.Addr.IsValid() {
					to.Addr = lo
				}
				if err := n.Forward(ctx, to, forward, to.Addr.IsValid()); err != nil {
					t.Fatalf("%s: %v", n, err)
				}
			}
		}
		w.Inject(beside.At, lo, forward)
		w.Inject(netip.MustParseAddrPort("20.98.0.1:5"), ours.At, forward)
		time.Sleep(5 * time.Second)
		if st := o.Stats(); st.Programs != 0 || st.Sent+st.Failed+st.Refused != 0 || ours.Strangers() < 6 {
			t.Errorf("%+v, %d strangers", st, ours.Strangers())
		}
	})
}

// Who is local is given what is here, as far as it fits, and nothing that is not here.
func TestLocalContent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		h := w.Seeder(node.Config{}, 100_000)
		c := h.Contents[0]
		ask := func(id string, offset, length int64) wire.Message {
			return wire.PleaseSendContent{ID: []byte(id), Offset: offset, Length: length}
		}
		from := netip.MustParseAddrPort("127.0.0.1:40000")
		answer := h.HandleLocal(from, wire.AppendArray(nil, ask(c.BLAKE3().String(), 4096, 4096), ask(c.SHA256().String(), 99_000, 1<<40),
			ask("blake3/"+strings.Repeat("0", 64), 0, 4096), ask(c.BLAKE3().String(), 100_000, 1), ask(c.BLAKE3().String(), 0, 1<<20), ask(c.BLAKE3().String(), 0, 4096)))
		es, bad, err := wire.Split(nil, answer)
		if err != nil || bad > 0 {
			t.Fatalf("%s: %v", answer, err)
		}
		want := [][2]int64{{4096, 4096}, {99_000, 1000}, {100_000, 0}, {0, 40_960 - 4096 - 1000}}
		if len(es) != len(want) {
			t.Fatalf("%d answers, want %d", len(es), len(want))
		}
		for i, e := range es {
			m, err := wire.ParseContent(e.Payload)
			if err != nil {
				t.Fatal(err)
			}
			data, err := m.AppendData(nil)
			if off, n := want[i][0], want[i][1]; err != nil || m.Offset != off || m.EOF != 100_000 || !bytes.Equal(data, c.Data[off:off+n]) {
				t.Errorf("answer %d: %d bytes from %d of %d, %v", i, len(data), m.Offset, m.EOF, err)
			}
		}
		if answer := h.HandleLocal(from, wire.AppendArray(nil, ask("blake3/"+strings.Repeat("0", 64), 0, 4096))); answer != nil {
			t.Errorf("answered %s", answer)
		}
	})
}
