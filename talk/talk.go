// Package talk is the swarm's small talk: ChatMessage, one to one.
//
// It promises that a message from an address that has not proven itself is
// dropped, that `/ping` and `/version` are answered and nothing else is (so that
// two nodes cannot talk for ever), and that the receive path never waits for
// whoever shows the messages: the queue is bounded and the newest is dropped.
//
// It does not escape what it delivers; that is the business of whoever shows it.
package talk

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"sharer/wire"
)

// queued bounds the messages that wait to be shown.
const queued = 64

// MaxMessage is the longest message that is sent, in bytes: with its wrapping
// and a cookie it fits one packet.
const MaxMessage = 1000

// Message is what somebody said.
type Message struct {
	From netip.AddrPort
	Text string // as it came: untrusted
	At   time.Time
}

// Chat takes ChatMessages.
type Chat struct {
	version string
	heard   chan Message
	refused atomic.Int64 // from the unproven
	dropped atomic.Int64 // the queue was full
}

// NewChat returns a chat that answers `/version` with version.
func NewChat(version string) *Chat {
	return &Chat{version: version, heard: make(chan Message, queued)}
}

// Register makes the chat answer to its message.
func (c *Chat) Register(mux *wire.Mux) {
	mux.Handle(wire.ChatMessage{}.Name(), wire.HandlerFunc(c.message))
}

// Dropped returns how many messages were refused because their sender had not
// proven its address, and how many because nobody took them.
func (c *Chat) Dropped() (unproven, full int64) { return c.refused.Load(), c.dropped.Load() }

func (c *Chat) message(from wire.Sender, e wire.Element) []wire.Message {
	if !from.Proven {
		c.refused.Add(1)
		return nil
	}
	m, err := wire.ParseChatMessage(e.Payload)
	if err != nil {
		return nil
	}
	switch {
	case strings.HasPrefix(m.Message, "/ping"):
		return []wire.Message{wire.ChatMessage{Message: "PONG"}}
	case strings.HasPrefix(m.Message, "/version"):
		return []wire.Message{wire.ChatMessage{Message: "VERSION sharer " + c.version}}
	}
	select {
	case c.heard <- Message{From: from.Addr, Text: m.Message, At: time.Now()}:
	default:
		c.dropped.Add(1)
	}
	return nil
}

// Run hands messages to show, one after another, until ctx ends.
func (c *Chat) Run(ctx context.Context, show func(Message)) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-c.heard:
			show(m)
		}
	}
}
