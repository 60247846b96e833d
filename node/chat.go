package node

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"sharer/identity"
	"sharer/swarm"
	"sharer/talk"
	"sharer/wire"
)

const (
	keyWait    = 3 * time.Second        // for the key of an address that answers: nodes that have one say so at once
	groupMost  = 256                    // keys that a group's message is sent to: 34 ms of work a round
	groupAgain = 500 * time.Millisecond // and half as long again each round
	groupTries = 9                      // over 38 s
)

// errMessage is returned for a text that is too long.
var errMessage = errors.New("a message may have 1000 bytes; say it in several")

// Said tells how a message went.
type Said struct {
	Key       identity.PublicKey // whom it was sealed for; zero: it went in plain, or to several
	Known     int                // of a group: keys that it was sent to
	Delivered int                // of them: those that have it for certain
}

// Chat says text to whoever is at addr: sealed for the key that lives there, and in plain if there is none. Success means that
// it has arrived; ErrNoAnswer when ctx ends before.
func (n *Node) Chat(ctx context.Context, addr netip.AddrPort, text string) (Said, error) {
	if len(text) > talk.MaxMessage {
		return Said{}, errMessage
	}
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return Said{}, err
	}
	defer end()
	addr = swarm.Clean(addr)
	if _, err := n.Ping(ctx, addr); err != nil {
		return Said{}, err
	}
	m := wire.ChatMessage{Message: text, Timestamp: n.stamp()}
	if key, ok := n.keyAt(ctx, addr); ok {
		return Said{Key: key}, n.deliver(ctx, key, append(wire.AppendMessage(nil, m), ','))
	}
	r := receipts{came: make(chan struct{}, 1)}
	defer n.swarm.Pings.Subscribe(r.pong)()
	for gap := sendAgain; ; gap = min(gap*3/2, sendMost) {
		now := time.Now()
		r.note(addr, now)
		if err := n.speak(addr, m, wire.PleaseReturnThisMessage{Value: n.swarm.Pings.Token(addr, now)}); err != nil {
			return Said{}, err
		}
		again := time.NewTimer(gap)
		select {
		case <-r.came:
			again.Stop()
			return Said{}, nil
		case <-ctx.Done():
			again.Stop()
			return Said{}, ErrNoAnswer
		case <-again.C:
		}
	}
}

// keyAt waits a little for the key that lives at an address that has answered.
func (n *Node) keyAt(ctx context.Context, addr netip.AddrPort) (identity.PublicKey, bool) {
	b := n.swarm.Gate.NewBatch()
	until := time.Now().Add(keyWait)
	var next time.Time
	for {
		if p, ok := n.letters.opener.Places.At(addr); ok && p.Proven {
			return p.Key, true
		}
		now := time.Now()
		if !now.Before(until) {
			return identity.PublicKey{}, false
		}
		if !now.Before(next) {
			n.hello(b, addr, now)
			_ = b.Flush() // counted; it is said again
			next = now.Add(keyWait / 2)
		}
		again := time.NewTimer(findLook / 2)
		select {
		case <-ctx.Done():
			again.Stop()
			return identity.PublicKey{}, false
		case <-again.C:
		}
	}
}

// Say says text to the holder of a key, wherever it lives: sealed. Success means that it has arrived; ErrNoAnswer when ctx
// ends before.
func (n *Node) Say(ctx context.Context, to identity.PublicKey, text string) (Said, error) {
	if len(text) > talk.MaxMessage {
		return Said{}, errMessage
	}
	return Said{Key: to}, n.Send(ctx, to, wire.ChatMessage{Message: text, Timestamp: n.stamp()})
}

// SayAll says text to every key that is known, under the name of a group, sealed for each: again and again, more and more
// seldom, until all have it, ctx ends, or 38 s are over. Who turns up meanwhile gets it too. ErrNoAnswer if nobody has it.
func (n *Node) SayAll(ctx context.Context, group, text string) (Said, error) {
	if len(text)+len(group) > talk.MaxMessage {
		return Said{}, errMessage
	}
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return Said{}, err
	}
	defer end()
	plain := append(wire.AppendMessage(nil, wire.GroupChatMessage{Group: group, Text: text, Timestamp: n.stamp()}), ',')
	to := map[identity.PublicKey]*receipts{}
	look := func() (s Said) {
		s.Known = len(to)
		for _, r := range to {
			if len(r.came) > 0 {
				s.Delivered++
			}
		}
		return s
	}
	gap := groupAgain
	for range groupTries {
		for _, p := range n.letters.opener.Places.Latest(groupMost) {
			r := to[p.Key]
			if r == nil {
				if len(to) >= groupMost {
					continue
				}
				r = &receipts{came: make(chan struct{}, 1)}
				to[p.Key] = r
				defer n.swarm.Pings.Subscribe(r.pong)()
			}
			if len(r.came) == 0 {
				if err := n.seal(p.Addr, p.Key, plain, r); err != nil {
					return look(), err
				}
			}
		}
		again := time.NewTimer(gap)
		gap = gap * 3 / 2
		select {
		case <-ctx.Done():
			again.Stop()
		case <-again.C:
		}
		if s := look(); s.Delivered > 0 && s.Delivered == s.Known {
			return s, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	s := look()
	if s.Delivered == 0 {
		return s, ErrNoAnswer
	}
	return s, nil
}

// stamp is the time of a message, in milliseconds: no two of ours have the same.
func (n *Node) stamp() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stamped = max(n.stamped+1, time.Now().UnixMilli())
	return n.stamped
}

// OnChat says who is shown what proven addresses say. Without one it is dropped.
func (n *Node) OnChat(show func(Chat)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.show = show
}

func (n *Node) showChat(m talk.Message) {
	n.mu.Lock()
	show := n.show
	n.mu.Unlock()
	if show != nil {
		show(Chat{From: m.From, Key: m.Key, Sealed: m.Sealed, Group: m.Group, Text: m.Text, At: m.At})
	}
}
