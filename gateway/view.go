package gateway

import (
	"context"
	"time"

	"sharer/chunk"
)

// View is what the status and the node's page show, and do.
type View interface {
	// Status is a look at the node; it is called once a second while a page is open.
	Status(ctx context.Context) Status
	// Fetch has a content fetched into the store, and kept; it returns at once.
	Fetch(ctx context.Context, w Want) error
	// Remove forgets what was uploaded or fetched; never a file of the user's.
	Remove(ctx context.Context, id chunk.ID) error
	// Say sends a chat message to the peers.
	Say(ctx context.Context, text string) error
}

// Status is one look at a node. Texts of strangers are as they sent them.
type Status struct {
	Version   string
	PublicKey [32]byte // zero: none
	Listen    []string // UDP
	FreeDisk  int64    // bytes
	Store     Usage
	Peers     []Peer
	Shared    []Item    // the latest first, at most some hundred
	SharedAll int       // of them in all
	Arriving  []Arrival // by name
	Chat      []Line    // oldest first
	Up, Down  int64     // bytes so far, on the wire
}

// Usage is what the store holds, in bytes; Quota 0: no limit.
type Usage struct{ Bytes, Quota int64 }

// Peer is one peer.
type Peer struct {
	Addr   string
	Key    [32]byte      // zero: not known
	RTT    time.Duration // 0: not measured
	Active bool          // heard of lately, and proven
}

// Item is a content that is shared.
type Item struct {
	Name   string
	Size   int64
	BLAKE3 chunk.Hash
	SHA256 chunk.Hash
	Folder bool // BLAKE3 is that of the manifest
	Stored bool // in the store: it can be removed
	At     time.Time
}

// Arrival is a content on its way.
type Arrival struct {
	ID      chunk.ID
	Name    string
	Done    int64
	Total   int64 // -1: not known
	Rate    float64
	State   string // as people say it
	Sources int
	Readers int // who watch or read it now
}

// Line is a message of the chat.
type Line struct {
	At   time.Time
	From string // an address, or empty: this node
	Text string
}
