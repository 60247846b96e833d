package talk

import (
	"net/netip"
	"testing"
	"time"

	"sharer/wire"
)

// What comes twice is shown once, by sender and time; what says another time than ours is not shown; and whose word a message
// is depends on how it came.
func TestWhatIsShown(t *testing.T) {
	now := time.Now().UnixMilli()
	alice, bob := [32]byte{1}, [32]byte{2}
	a, b := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:1")
	from := func(at netip.AddrPort, key [32]byte, sealed bool) wire.Sender {
		return wire.Sender{Addr: at, Proven: true, Room: 1000, Key: key, Sealed: sealed}
	}
	group := func(sent int64) wire.Message {
		return wire.GroupChatMessage{Group: "main", Text: "hi", Timestamp: sent}
	}
	chat := func(sent int64) wire.Message { return wire.ChatMessage{Message: "hi", Timestamp: sent} }
	for _, tc := range []struct {
		name string
		from wire.Sender
		m    wire.Message
		key  [32]byte // of what is shown
		want Counts
	}{
		{"said to all", from(a, alice, true), group(now), alice, Counts{}},
		{"the same again", from(a, alice, true), group(now), alice, Counts{Again: 1}},
		{"the same by another way", from(b, alice, false), group(now), alice, Counts{Again: 1}},
		{"the same words of another", from(b, bob, true), group(now), bob, Counts{}},
		{"by an address", from(a, [32]byte{}, false), group(now), [32]byte{}, Counts{}},
		{"by it again", from(a, [32]byte{}, false), group(now), [32]byte{}, Counts{Again: 1}},
		{"by another address", from(b, [32]byte{}, false), group(now), [32]byte{}, Counts{}},
		{"an hour ago", from(a, alice, true), group(now - 3600_000), alice, Counts{Stale: 1}},
		{"in an hour", from(a, alice, true), group(now + 3600_000), alice, Counts{Stale: 1}},
		{"without a time", from(a, alice, true), group(0), alice, Counts{Stale: 1}},
		{"to us, an hour ago", from(a, alice, true), chat(now - 3600_000), alice, Counts{Stale: 1}},
		{"to us", from(a, alice, true), chat(now + 1), alice, Counts{}},
		{"to us again", from(a, alice, true), chat(now + 1), alice, Counts{Again: 1}},
		{"by an older program", from(a, alice, true), chat(0), alice, Counts{}},
		{"and again", from(a, alice, true), chat(0), alice, Counts{}},
		{"only signed: meant for anybody", from(a, alice, false), chat(now + 2), [32]byte{}, Counts{}},
		{"unproven", wire.Sender{Addr: a, Key: alice, Sealed: true}, group(now + 3), alice, Counts{Unproven: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// One chat for all, whose counts are compared by what they grew.
			before := shared.Counts()
			mux := wire.NewMux()
			shared.Register(mux)
			es, _, err := wire.Split(nil, wire.AppendArray(nil, tc.m))
			if err != nil {
				t.Fatal(err)
			}
			mux.Dispatch(tc.from, es)
			c := shared.Counts()
			grew := Counts{c.Unproven - before.Unproven, c.Full - before.Full, c.Stale - before.Stale, c.Again - before.Again}
			if grew != tc.want {
				t.Errorf("%+v, want %+v", grew, tc.want)
			}
			if shown := len(shared.heard) > 0; shown != (tc.want == Counts{}) {
				t.Fatalf("shown: %v", shown)
			} else if shown {
				if m := <-shared.heard; m.Key != tc.key || m.From != tc.from.Addr || m.Text != "hi" {
					t.Errorf("%+v", m)
				}
			}
		})
	}
}

var shared = NewChat("")

// What is remembered is bounded, and the oldest goes.
func TestSeenIsBounded(t *testing.T) {
	var s seen
	for n := range int64(2 * maxSeen) {
		if !s.add(said{sent: n}) {
			t.Fatalf("%d is known", n)
		}
	}
	if len(s.known) != maxSeen || s.add(said{sent: maxSeen}) || !s.add(said{sent: 0}) {
		t.Errorf("%d are known", len(s.known))
	}
}
