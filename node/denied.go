package node

import (
	"errors"
	"net/netip"
	"path/filepath"

	"sharer/chunk"
	"sharer/deny"
	"sharer/transfer"
)

// ErrDenied is returned for what a deny list names.
var ErrDenied = errors.New("it is on a deny list")

// DenyDir and DenyLog are where the deny lists of a state folder are, and what was done to the own one.
func DenyDir(stateDir string) string { return filepath.Join(stateDir, "deny.d") }

// DenyLog is where changes of the own list are written down.
func DenyLog(stateDir string) string { return filepath.Join(stateDir, "deny.log") }

// openDeny reads the lists; lines that cannot be read become notes.
func (n *Node) openDeny() {
	if n.cfg.StateDir == "" {
		return
	}
	var errs []error
	n.deny, errs = deny.Open(DenyDir(n.cfg.StateDir), DenyLog(n.cfg.StateDir))
	for _, err := range errs {
		n.notes = append(n.notes, "deny list: "+err.Error())
	}
}

// Deny is what the operator does not carry; nil without a state folder.
func (n *Node) Deny() *deny.Book { return n.deny }

// DeniesContent says whether one of the ids is denied.
func (n *Node) DeniesContent(ids ...chunk.ID) bool { return denies(n.deny, ids...) }

func denies(b *deny.Book, ids ...chunk.ID) bool {
	if b == nil {
		return false
	}
	for _, id := range ids {
		if !id.Valid() {
			continue
		}
		if _, no := b.Content(id); no {
			return true
		}
	}
	return false
}

func (n *Node) deniesPeer(a netip.AddrPort) bool {
	if n.deny == nil {
		return false
	}
	_, no := n.deny.Peer(a.Addr())
	return no
}

// denies says whether a content must not be served: by what it was asked for, or by its other id.
func (l *library) denies(id chunk.ID, c transfer.Content) bool {
	if l.deny == nil {
		return false
	}
	switch c := c.(type) {
	case *seeded:
		return denies(l.deny, id, chunk.ID{Kind: chunk.SHA256, Hash: c.content.SHA256}, chunk.ID{Kind: chunk.BLAKE3, Hash: c.content.BLAKE3})
	case *seededTree:
		return denies(l.deny, id, chunk.ID{Kind: chunk.SHA256, Hash: c.content.SHA256})
	}
	if h, ok := c.BLAKE3(); ok {
		return denies(l.deny, id, chunk.ID{Kind: chunk.BLAKE3, Hash: h})
	}
	return denies(l.deny, id)
}
