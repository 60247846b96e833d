package sim

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/identity"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// person is a node that keeps its key, and what it was told.
type person struct {
	*Host
	mu    sync.Mutex
	heard []node.Chat
}

func (w *World) person(c node.Config, at ...netip.AddrPort) *person {
	w.t.Helper()
	if c.StateDir == "" {
		c.StateDir = w.Path("state")
	}
	p := &person{Host: w.Node(c, at...)}
	p.OnChat(func(m node.Chat) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.heard = append(p.heard, m)
	})
	return p
}

func (p *person) chats() []node.Chat {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]node.Chat(nil), p.heard...)
}

// within is a context of so much virtual time.
func (w *World) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(w.t.Context(), d)
}

// Two who know only a third find each other by key, and what they say is sealed; the one message is shown once.
func TestPeopleFindEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond, Loss: 0.1}})
		defer w.Close()
		r := w.person(node.Config{})
		a, b := w.person(node.Config{Peers: []netip.AddrPort{r.At}}), w.person(node.Config{Peers: []netip.AddrPort{r.At}})
		var clear int
		w.Tap(func(p netsim.Packet) {
			if bytes.Contains(p.Data, []byte("the mirror")) {
				clear++
			}
		})
		ctx, stop := w.within(time.Minute)
		defer stop()
		if _, err := b.Say(ctx, a.Key(), "the mirror is up"); err != nil {
			t.Fatal(err)
		}
		if place, ok := a.Whois(b.Key()); !ok || place.Addr != b.At {
			t.Errorf("the receiver does not know the sender: %+v, %v", place, ok)
		}
		if said, err := a.Chat(ctx, b.At, "the mirror is down"); err != nil || said.Key != b.Key() {
			t.Errorf("%+v, %v", said, err)
		}
		time.Sleep(time.Minute)
		for p, want := range map[*person]node.Chat{a: {From: b.At, Key: b.Key(), Text: "the mirror is up"}, b: {From: a.At, Key: a.Key(), Text: "the mirror is down"}} {
			got := p.chats()
			if len(got) != 1 || got[0].From != want.From || got[0].Key != want.Key || got[0].Text != want.Text || !got[0].Sealed {
				t.Errorf("heard %+v, want %+v", got, want)
			}
		}
		if clear > 0 {
			t.Errorf("%d datagrams say it to everybody on the way", clear)
		}
	})
}

// A group's message reaches all, once each, though each third datagram is lost.
func TestGroupReachesAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond, Loss: 0.3}})
		defer w.Close()
		r := w.person(node.Config{})
		all := []*person{r}
		for range 4 {
			all = append(all, w.person(node.Config{Peers: []netip.AddrPort{r.At}}))
		}
		time.Sleep(2 * time.Minute)
		ctx, stop := w.within(time.Minute)
		defer stop()
		said, err := r.SayAll(ctx, "main", "hello all")
		if err != nil || said.Known != 4 || said.Delivered != 4 {
			t.Errorf("%+v, %v", said, err)
		}
		time.Sleep(time.Minute)
		for _, p := range all[1:] {
			if got := p.chats(); len(got) != 1 || got[0].Group != "main" || got[0].Key != r.Key() || got[0].Text != "hello all" {
				t.Errorf("%s heard %+v", p, got)
			}
		}
	})
}

// Show 3: a publisher goes away for good. Somebody who has never met it asks for the name, and gets the newest content from
// one who did; an older record is refused.
func TestNameOutlivesItsPublisher(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond, Loss: 0.05}})
		defer w.Close()
		contents := []*Content{w.content(30_000), w.content(50_000)}
		p := w.SeederOf(node.Config{}, contents...)
		m := w.person(node.Config{Peers: []netip.AddrPort{p.At}})
		ctx, stop := w.within(24 * time.Hour)
		defer stop()
		old, err := p.Publish(ctx, "page.html", sumsOf(contents[0]))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.Resolve(ctx, p.Key(), "page.html"); err != nil || got.SHA256 != old.SHA256 {
			t.Fatalf("%+v, %v", got, err)
		}
		news := make(chan identity.Record, 1)
		defer m.OnLatest(func(r identity.Record) { news <- r })()
		latest, err := p.Publish(ctx, "page.html", sumsOf(contents[1]))
		if err != nil || latest.Seq <= old.Seq {
			t.Fatalf("%+v, %v", latest, err)
		}
		select {
		case r := <-news:
			if r.Seq != latest.Seq {
				t.Errorf("told of %d, want %d", r.Seq, latest.Seq)
			}
		case <-time.After(time.Minute):
			t.Error("who has asked for a name was not told of its newer content")
		}
		if _, ok := m.Fetch(chunk.ID{Kind: chunk.SHA256, Hash: latest.SHA256}); !ok {
			return
		}
		key := p.Key()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		x := w.person(node.Config{Peers: []netip.AddrPort{m.At}})
		got, err := x.Resolve(ctx, key, "page.html")
		if err != nil || got.Seq != latest.Seq || got.SHA256 != latest.SHA256 {
			t.Fatalf("%+v, %v", got, err)
		}
		if _, ok := x.Fetch(chunk.ID{Kind: chunk.BLAKE3, Hash: *got.BLAKE3}); !ok {
			return
		}
		w.Inject(m.At, x.At, wire.AppendArray(nil, old.Signed))
		w.Rest()
		time.Sleep(time.Second)
		if r, err := x.Resolve(ctx, key, "page.html"); err != nil || r.Seq != latest.Seq || x.Stats().Names.Rollbacks != 1 {
			t.Errorf("after a rollback: %+v, %v, %+v", r, err, x.Stats().Names)
		}
		short, end := w.within(10 * time.Second)
		defer end()
		if _, err := x.Resolve(short, key, "other.html"); !errors.Is(err, node.ErrNotFound) {
			t.Errorf("a name that nobody knows: %v", err)
		}
	})
}

// A publisher goes away between signing a version and giving it to anybody. Who asks for the name then is told of the version before as well, and
// gets that; it is so after a restart of who holds it.
func TestVersionThatNobodyGot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond}})
		defer w.Close()
		contents := []*Content{w.content(30_000), w.content(50_000)}
		p := w.SeederOf(node.Config{}, contents...)
		m := w.person(node.Config{Peers: []netip.AddrPort{p.At}})
		ctx, stop := w.within(24 * time.Hour)
		defer stop()
		old, err := p.Publish(ctx, "page.html", sumsOf(contents[0]))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Resolve(ctx, p.Key(), "page.html"); err != nil {
			t.Fatal(err)
		}
		if _, ok := m.Fetch(chunk.ID{Kind: chunk.BLAKE3, Hash: *old.BLAKE3}); !ok {
			return
		}
		latest, err := p.Publish(ctx, "page.html", sumsOf(contents[1]))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		key := p.Key()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		x := w.person(node.Config{Peers: []netip.AddrPort{m.At}})
		_, _ = x.Ping(ctx, m.At)
		if got, err := x.Resolve(ctx, key, "page.html"); err != nil || got.Seq != latest.Seq {
			t.Fatalf("%+v, %v", got, err)
		}
		rs, err := x.ResolveAny(ctx, node.NameQuery{Key: key, Names: []string{"page.html"}, Older: true})
		if err != nil || len(rs) != 1 || rs[0].Seq != old.Seq {
			t.Fatalf("the version before: %+v, %v", rs, err)
		}
		if _, ok := x.Fetch(chunk.ID{Kind: chunk.BLAKE3, Hash: *rs[0].BLAKE3}); !ok {
			return
		}
	})
}

func sumsOf(c *Content) chunk.Sums {
	return chunk.Sums{SHA256: c.SHA256().Hash, BLAKE3: c.BLAKE3().Hash, Size: c.Size()}
}

// A key that was only claimed, which whoever forges the address can do, keeps nothing from who is there: what is
// forwarded to the address is not sealed for it.
func TestForwardToAClaimedAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		ours := w.Node(node.Config{})
		there := w.Node(node.Config{Peers: []netip.AddrPort{ours.At}}) // shows nobody a key
		time.Sleep(5 * time.Second)
		k, err := identity.KeyFromSeed([32]byte{66})
		if err != nil {
			t.Fatal(err)
		}
		w.Inject(there.At, ours.At, wire.AppendArray(nil, wire.MyPublicKey{Ed25519: k.Public()}))
		time.Sleep(time.Second)
		if p, ok := ours.Whois(k.Public()); !ok || p.Proven || p.Addr != there.At {
			t.Fatalf("the claim: %+v, %v", p, ok)
		}
		var heard atomic.Int64
		defer there.Observe(func(a node.Arrival) {
			if bytes.Contains(a.Messages, []byte(`{"message":"hi"}`)) {
				heard.Add(1)
			}
		})()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := ours.Forward(ctx, node.Recipient{Addr: there.At}, []byte(`[{"ChatMessage":{"message":"hi"}}]`), false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if heard.Load() != 1 {
			t.Errorf("it heard %d messages, want 1", heard.Load())
		}
	})
}
