package node

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sharer/identity"
	"sharer/swarm"
	"sharer/wire"
)

const (
	sendAgain = 700 * time.Millisecond // without a sign that it has arrived; then half as long again each time
	sendMost  = 10 * time.Second
)

// ErrLong is returned for messages that fit no datagram.
var ErrLong = errors.New("node: too long for one datagram")

// Send seals messages for a key, sends them to where it lives, and waits until they have arrived: its holder, whom
// nobody else can play, has said so. They may arrive more than once. ErrNoAnswer when ctx ends before.
func (n *Node) Send(ctx context.Context, to identity.PublicKey, ms ...wire.Message) error {
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	var plain []byte
	for _, m := range ms {
		plain = append(wire.AppendMessage(plain, m), ',')
	}
	return n.deliver(ctx, to, plain)
}

// deliver is Send for elements with a comma behind each.
func (n *Node) deliver(ctx context.Context, to identity.PublicKey, plain []byte) error {
	r := receipts{came: make(chan struct{}, 1)}
	defer n.swarm.Pings.Subscribe(r.pong)()
	gap := sendAgain
	for try := 0; ; try++ {
		p, err := n.find(ctx, to)
		if err != nil {
			return err
		}
		at := []netip.AddrPort{p.Addr}
		if try > 0 { // somebody may have shown a proof that was not meant for us: see identity.Places
			at = append(at, p.Former...)
		}
		for _, a := range at {
			if err := n.seal(a, to, plain, &r); err != nil {
				return err
			}
		}
		again := time.NewTimer(gap)
		gap = min(gap*3/2, sendMost)
		select {
		case <-r.came:
			again.Stop()
			return nil
		case <-ctx.Done():
			again.Stop()
			return ErrNoAnswer
		case <-again.C:
		}
	}
}

// receipts are the pings inside of letters that were sent.
type receipts struct {
	came chan struct{} // one token

	mu   sync.Mutex
	sent []receipt
}

type receipt struct {
	to netip.AddrPort
	at time.Time
}

// note remembers a ping, and 31 before it.
func (r *receipts) note(to netip.AddrPort, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent[max(0, len(r.sent)-31):], receipt{to, at})
}

func (r *receipts) pong(p swarm.Pong) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(r.sent, func(o receipt) bool { return o.to == p.From && o.at.Equal(p.Sent) }) {
		select {
		case r.came <- struct{}{}:
		default: // one is enough
		}
	}
}

// seal sends elements to an address, for the holder of a key alone. With receipts a ping goes along, inside. Addresses
// without standing are left out.
func (n *Node) seal(a netip.AddrPort, to identity.PublicKey, plain []byte, r *receipts) error {
	now := time.Now()
	p, ok := n.swarm.Table.Peer(a, now)
	if !ok || !p.Proven {
		return nil
	}
	array := append([]byte{'['}, plain...)
	if r != nil {
		array = append(wire.AppendMessage(array, wire.PleaseReturnThisMessage{Value: n.swarm.Pings.Token(a, now)}), ',')
		r.note(a, now)
	}
	array = wire.AppendMessage(array, wire.AlwaysReturned{Value: p.Theirs})
	m, err := n.letters.opener.Key.Seal(to, append(array, ']'), n.letters.random)
	if errors.Is(err, identity.ErrLong) {
		return ErrLong
	}
	if err != nil {
		return err
	}
	return n.speak(a, wire.MyPublicKey{Ed25519: n.Key()}, m)
}

// speak sends one datagram to an address with standing.
func (n *Node) speak(a netip.AddrPort, ms ...wire.Message) error {
	n.talking.Lock()
	defer n.talking.Unlock()
	buf, ok := n.voice.Open(a, 0, swarm.Tell)
	if !ok {
		return nil // it fell silent meanwhile
	}
	for i, m := range ms {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = wire.AppendMessage(buf, m)
	}
	if n.voice.Close(buf, 0) == 0 {
		return ErrLong
	}
	_ = n.voice.Flush() // counted; who waits for an answer says it again
	return nil
}

// meet waits until an address has standing, and asks for it as the gate lets us. ErrNoAnswer when ctx ends before.
func (n *Node) meet(ctx context.Context, a netip.AddrPort) error {
	if n.swarm.Table.Proven(a) {
		return nil
	}
	_, err := n.Ping(ctx, a)
	return err
}
