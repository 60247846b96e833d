package talk

import (
	"context"
	"net/netip"
	"testing"

	"sharer/wire"
)

func TestChat(t *testing.T) {
	var (
		proven   = wire.Sender{Addr: netip.MustParseAddrPort("192.0.2.1:24254"), Proven: true, Room: wire.MaxDatagram}
		unproven = wire.Sender{Addr: netip.MustParseAddrPort("192.0.2.2:24254"), Room: 500}
	)
	for _, tc := range []struct {
		name  string
		from  wire.Sender
		text  string
		reply string
		heard bool
	}{
		{"said", proven, "hello", "", true},
		{"ping", proven, "/ping", "PONG", false},
		{"ping with words", proven, "/ping are you there", "PONG", false},
		{"version", proven, "/version", "VERSION sharer 1.2.3", false},
		{"an answer is not answered", proven, "PONG", "", true},
		{"unproven", unproven, "hello", "", false},
		{"unproven ping", unproven, "/ping", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mux, chat := wire.NewMux(), NewChat("1.2.3")
			chat.Register(mux)
			es, _, err := wire.Split(nil, wire.AppendArray(nil, wire.ChatMessage{Message: tc.text}))
			if err != nil {
				t.Fatal(err)
			}
			replies, _ := mux.Dispatch(tc.from, es)
			var want []string
			if tc.reply != "" {
				want = append(want, string(wire.AppendMessage(nil, wire.ChatMessage{Message: tc.reply})))
			}
			if len(replies) != len(want) || len(want) > 0 && string(replies[0]) != want[0] {
				t.Errorf("replies %q, want %q", replies, want)
			}
			if heard := len(chat.heard) > 0; heard != tc.heard {
				t.Errorf("heard: %v, want %v", heard, tc.heard)
			}
			if refused := chat.Counts().Unproven; (refused > 0) == tc.from.Proven {
				t.Errorf("refused %d from a sender whose proof is %v", refused, tc.from.Proven)
			}
		})
	}
}

// The queue is bounded: what nobody takes is dropped and counted, and the rest
// arrives in order.
func TestChatIsBounded(t *testing.T) {
	mux, chat := wire.NewMux(), NewChat("")
	chat.Register(mux)
	from := wire.Sender{Proven: true, Room: wire.MaxDatagram}
	for i := range queued + 10 {
		es, _, err := wire.Split(nil, wire.AppendArray(nil, wire.ChatMessage{Message: string(rune('a' + i%26))}))
		if err != nil {
			t.Fatal(err)
		}
		mux.Dispatch(from, es)
	}
	if full := chat.Counts().Full; full != 10 {
		t.Errorf("dropped %d, want 10", full)
	}
	ctx, stop := context.WithCancel(context.Background())
	var heard []string
	chat.Run(ctx, func(m Message) {
		if heard = append(heard, m.Text); len(heard) == queued {
			stop()
		}
	})
	for i, text := range heard {
		if text != string(rune('a'+i%26)) {
			t.Fatalf("message %d is %q", i, text)
		}
	}
}
