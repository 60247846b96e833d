package bridge

import (
	"context"
	"net/netip"

	"sharer/identity"
)

// Node is what the bridge needs of the local node.
type Node interface {
	// Observe has f called with what arrives from others, until stop is called. f does not block.
	Observe(f func(Arrival)) (stop func())
	// Forward sends an array of messages to a key, encrypted, or to an address. It waits until ctx
	// ends for whom the Directory does not know.
	Forward(ctx context.Context, to Recipient, messages []byte, sign bool) error
	// Deliver sends an array to a program on loopback, and waits for nothing.
	Deliver(to netip.AddrPort, messages []byte) error
	// HandleLocal handles an array as one that came over loopback, and returns the answer, nil for none.
	HandleLocal(from netip.AddrPort, array []byte) []byte
}

// Directory is what is known of receivers.
type Directory interface {
	Proven(netip.AddrPort) bool    // a peer that has returned our cookie, or lives on loopback
	Node(netip.AddrPort) bool      // a key was named from there, so that it is a node and no program
	Known(identity.PublicKey) bool // it can be sent to without asking where it lives
}

// Recipient is where a letter goes: a key, or an address if that is valid.
type Recipient struct {
	Key  identity.PublicKey
	Addr netip.AddrPort
}

// Arrival is a datagram, or what was inside of it, as guests are told of it.
type Arrival struct {
	From      netip.AddrPort
	Key       identity.PublicKey // who wrote it, proven; zero: not known
	Maybe     identity.PublicKey // whose address it is said to be; zero: not known
	Messages  []byte             // the array; it lives until the observer returns
	Spoofable bool               // the address was not proven
}
