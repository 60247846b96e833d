package node

import (
	"bytes"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/identity"
	"sharer/internal/netsim"
	"sharer/wire"
)

// FuzzHandlers gives a node any datagram, as from a stranger and as from somebody who is proven: whatever it is, the replies
// fit the room that they have, what comes out of letters stays within four computations, and the datagram is left as it was.
func FuzzHandlers(f *testing.F) {
	w := netsim.New(1, netsim.Link{})
	n, err := Start(Config{Conn: w.Host(netip.MustParseAddrPort("192.0.2.1:24254")), StateDir: filepath.Join(f.TempDir(), "state")})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := n.Close(); err != nil {
			f.Error(err)
		}
		w.Close()
	})
	friend, err := identity.KeyFromSeed([32]byte{3})
	if err != nil {
		f.Fatal(err)
	}
	random := &locked{r: bytes.NewReader(bytes.Repeat([]byte{7}, 1<<20))}
	sealed, err := friend.Seal(n.Key(), wire.AppendArray(nil, wire.ChatMessage{Message: "/ping"}, wire.GetLatest{Ed25519: n.Key(), Path: []byte("a")}), random)
	if err != nil {
		f.Fatal(err)
	}
	fast, err := friend.SealFast(n.Key(), wire.AppendArray(nil, wire.PleaseReturnThisMessage{Value: []byte("1")}), random)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := n.Publish(f.Context(), "a", chunk.Sums{Size: 1}); err != nil {
		f.Fatal(err)
	}
	me := wire.MyPublicKey{Ed25519: friend.Public()}
	for _, ms := range [][]wire.Message{
		{me, sealed}, {me, fast}, {friend.Sign(wire.AlwaysReturned{Value: wire.CookieValue("0123456789abcdef")}), me},
		{friend.Sign(sealed, fast)}, {wire.WhereAreThey{Ed25519: friend.Public()}, wire.WhereAreThey{Ed25519: n.Key()}},
		{wire.Forwarded{Src: netip.MustParseAddrPort("192.0.2.9:1"), Messages: wire.AppendArray(nil, me)}},
		{wire.GetLatest{Ed25519: n.Key(), Path: []byte("a")}, friend.Sign(wire.Latest{Ed25519: friend.Public(), Path: []byte("a/../b"), Seq: 1})},
		{wire.GroupChatMessage{Group: "main", Text: "hi", Timestamp: time.Now().UnixMilli()}, wire.ChatMessage{Message: "hi"}},
	} {
		f.Add(wire.AppendArray(nil, ms...), true)
		f.Add(wire.AppendArray(nil, ms...), false)
	}
	f.Fuzz(func(t *testing.T, datagram []byte, proven bool) {
		before := bytes.Clone(datagram)
		es, _, err := wire.Split(nil, datagram)
		if err != nil {
			return
		}
		opened := 0
		from := wire.Sender{Addr: netip.MustParseAddrPort("192.0.2.2:4000"), Proven: proven, Room: 2 * len(datagram), Size: len(datagram), Opened: &opened}
		replies, _ := n.mux.Dispatch(from, es)
		total := 0
		for _, r := range replies {
			total += len(r) + 1
			if one, bad, err := wire.Split(nil, arrayOf([][]byte{r})); err != nil || bad > 0 || len(one) != 1 {
				t.Fatalf("the reply %q", r)
			}
		}
		if total > from.Room || opened > 4 || !bytes.Equal(before, datagram) {
			t.Fatalf("%d bytes of replies in room for %d, %d opened", total, from.Room, opened)
		}
	})
}

// FuzzNamesFile gives a node any line of its file of names: what is taken is signed by the key that it is about, and is written as
// it was.
func FuzzNamesFile(f *testing.F) {
	key, err := identity.KeyFromSeed([32]byte{3})
	if err != nil {
		f.Fatal(err)
	}
	l, err := key.Publish("a/b.html", [32]byte{1}, nil, 7)
	if err != nil {
		f.Fatal(err)
	}
	r, err := identity.ReadLatest(l)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire.AppendMessage(nil, r.Signed))
	f.Add([]byte(`{"SignedMessage":{}}`))
	f.Add([]byte(`{"SignedMessage":{}},{"SignedMessage":{}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		s := newNames(identity.PublicKey{}, nil, "")
		if !s.restore(line) {
			return
		}
		rs := s.held.Records()
		if len(rs) != 1 || identity.CheckName(rs[0].Path) != nil {
			t.Fatalf("%+v", rs)
		}
		if again := newNames(identity.PublicKey{}, nil, ""); !again.restore(wire.AppendMessage(nil, rs[0].Signed)) {
			t.Fatalf("%q is not taken again", line)
		}
	})
}
