package node

import (
	"fmt"
	"net/netip"
	"sync/atomic"

	"sharer/identity"
	"sharer/swarm"
	"sharer/wire"
)

// office is who takes what local programs want forwarded.
type office struct {
	take      atomic.Pointer[func(netip.AddrPort, []byte)]
	strangers atomic.Int64 // who said Forward without being a program of this machine
}

// OnForward has f called with each Forward that a program says over loopback: its address and the payload, which must
// not be kept. f runs on the receive path, and must not block. Nobody else may say Forward: what comes from another
// address, inside a letter, or from where a key lives, which is a node's, is counted.
func (n *Node) OnForward(f func(from netip.AddrPort, payload []byte)) { n.office.take.Store(&f) }

// Strangers is how often Forward was said by others than programs of this machine.
func (n *Node) Strangers() int64 { return n.office.strangers.Load() }

// Deliver sends an array of messages to a program on loopback, which proves nothing and is asked for nothing.
func (n *Node) Deliver(to netip.AddrPort, messages []byte) error {
	es, bad, err := wire.Split(nil, messages)
	if err != nil || bad > 0 || len(es) == 0 || swarm.ClassOf(to) != swarm.Loopback {
		return fmt.Errorf("%w, or not for a program", errArray)
	}
	ms := make([]wire.Message, len(es))
	for i, e := range es {
		ms[i] = rawMessage{e}
	}
	return n.speak(to, ms...)
}

// Known reports whether a key can be sent to at once.
func (n *Node) Known(key identity.PublicKey) bool {
	_, ok := n.place(key)
	return ok
}

// Proven reports whether an address has returned our cookie.
func (n *Node) Proven(a netip.AddrPort) bool { return n.swarm.Table.Proven(a) }

// Inhabited reports whether a key was named from an address, so that it is a node.
func (n *Node) Inhabited(a netip.AddrPort) bool {
	_, ok := n.letters.opener.Places.At(a)
	return ok
}

// forward takes a Forward.
func (n *Node) forward(from wire.Sender, e wire.Element) []wire.Message {
	f := n.office.take.Load()
	if f == nil {
		return nil
	}
	if swarm.ClassOf(from.Addr) != swarm.Loopback || from.Within > 0 || n.Inhabited(from.Addr) {
		n.office.strangers.Add(1)
		return nil
	}
	(*f)(from.Addr, e.Payload)
	return nil
}
