// Package talk is the swarm's small talk: ChatMessage, one to one, and GroupChatMessage, to all who are known.
//
// It promises that a message from an address that has not proven itself is
// dropped, that `/ping` and `/version` are answered and nothing else is (so that
// two nodes cannot talk for ever), that what comes twice is shown once, that what says a time far from ours is not
// shown, and that the receive path never waits for whoever shows the messages: the queue is bounded and the newest
// is dropped.
//
// It does not escape what it delivers; that is the business of whoever shows it.
package talk

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"sharer/identity"
	"sharer/wire"
)

// queued bounds the messages that wait to be shown.
const queued = 64

// MaxMessage is the longest message that is sent, in bytes: with its wrapping
// and a cookie it fits one packet, unless it is sealed.
const MaxMessage = 1000

// Message is what somebody said.
type Message struct {
	From   netip.AddrPort
	Key    identity.PublicKey // who said it, proven; zero: nobody but an address is known
	Sealed bool               // nobody else could read it on the way
	Group  string             // it was said to all, under this name; "": to us alone
	Text   string             // as it came: untrusted, and so is Group
	At     time.Time
}

// Chat takes ChatMessages and GroupChatMessages.
type Chat struct {
	version string
	heard   chan Message
	seen    seen
	refused atomic.Int64 // from the unproven
	dropped atomic.Int64 // the queue was full
	stale   atomic.Int64 // made at another time than it came
	again   atomic.Int64 // shown before
}

// NewChat returns a chat that answers `/version` with version.
func NewChat(version string) *Chat {
	return &Chat{version: version, heard: make(chan Message, queued)}
}

// Register makes the chat answer to its messages.
func (c *Chat) Register(mux *wire.Mux) {
	mux.Handle(wire.ChatMessage{}.Name(), wire.HandlerFunc(c.message))
	mux.Handle(wire.GroupChatMessage{}.Name(), wire.HandlerFunc(c.group))
}

// Counts of messages that were not shown.
type Counts struct {
	Unproven int64 // from an address without proof
	Full     int64 // nobody took them
	Stale    int64 // they say a time that is more than five minutes from ours
	Again    int64 // shown before
}

// Counts returns a copy.
func (c *Chat) Counts() Counts {
	return Counts{c.refused.Load(), c.dropped.Load(), c.stale.Load(), c.again.Load()}
}

func (c *Chat) message(from wire.Sender, e wire.Element) []wire.Message {
	if !from.Proven {
		c.refused.Add(1)
		return nil
	}
	m, err := wire.ParseChatMessage(e.Payload)
	if err != nil {
		return nil
	}
	said := Message{From: from.Addr, Sealed: from.Sealed, Text: m.Message, At: time.Now()}
	if from.Sealed { // what is only signed may have been meant for somebody else
		said.Key = from.Key
	}
	if !c.first(said, m.Timestamp) {
		return nil
	}
	switch {
	case strings.HasPrefix(m.Message, "/ping"):
		return []wire.Message{wire.ChatMessage{Message: "PONG"}}
	case strings.HasPrefix(m.Message, "/version"):
		return []wire.Message{wire.ChatMessage{Message: "VERSION sharer " + c.version}}
	}
	c.show(said)
	return nil
}

// group takes what was said to all. Its signature is enough, whoever brings it.
func (c *Chat) group(from wire.Sender, e wire.Element) []wire.Message {
	if !from.Proven {
		c.refused.Add(1)
		return nil
	}
	m, err := wire.ParseGroupChatMessage(e.Payload)
	if err != nil {
		return nil
	}
	said := Message{From: from.Addr, Key: from.Key, Sealed: from.Sealed, Group: m.Group, Text: m.Text, At: time.Now()}
	if c.first(said, m.Timestamp) {
		c.show(said)
	}
	return nil
}

// first reports whether a message is new, as far as its time tells; the time is in milliseconds, 0 if none was said.
func (c *Chat) first(m Message, sent int64) bool {
	if sent == 0 && m.Group == "" {
		return true
	}
	if identity.Fresh(time.UnixMilli(sent), m.At) != nil {
		c.stale.Add(1)
		return false
	}
	id := said{key: m.Key, sent: sent}
	if m.Key == (identity.PublicKey{}) {
		id.from = m.From
	}
	if !c.seen.add(id) {
		c.again.Add(1)
		return false
	}
	return true
}

func (c *Chat) show(m Message) {
	select {
	case c.heard <- m:
	default:
		c.dropped.Add(1)
	}
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
