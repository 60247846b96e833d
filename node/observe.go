package node

import (
	"net/netip"
	"slices"
	"time"

	"sharer/chunk"
	"sharer/identity"
	"sharer/swarm"
	"sharer/wire"
)

// Arrival is a datagram that came in, or what was inside a letter of it.
type Arrival struct {
	From      netip.AddrPort
	Key       identity.PublicKey // who signed or sealed it; zero: nobody
	Maybe     identity.PublicKey // who lives at From, as far as it is known; zero where Key is set, or nobody does
	Messages  []byte             // an array as JSON; valid during the call only
	Spoofable bool               // From was not proven, and may be forged
}

// Observe has f called with every datagram that was let in and with what was inside its letters, until stop. A signed
// message is told twice: as it came, and what was inside. f runs on the receive path: it must not block, and must not keep
// Messages.
func (n *Node) Observe(f func(Arrival)) (stop func()) { return n.letters.seen.Add(f) }

func (l *letters) tell(a Arrival) {
	if l.seen.None() {
		return
	}
	if a.Key == (identity.PublicKey{}) {
		if p, ok := l.opener.Places.At(a.From); ok {
			a.Maybe = p.Key
		}
	}
	l.seen.Tell(a)
}

// arrived tells of a datagram, unless it is sealed as a whole, which says nothing, or raw content follows it.
func (l *letters) arrived(from wire.Sender, data []byte, es []wire.Element) {
	sealed := func(e wire.Element) bool { return e.Name == "EncryptedMessages" || e.Name == "FastEncryptedMessages" }
	if len(es) == 0 || len(es[0].Rest) > 0 || slices.ContainsFunc(es, sealed) {
		return
	}
	l.tell(Arrival{From: from.Addr, Messages: data, Spoofable: !from.Proven})
}

// maxGiven is how much content one local datagram is answered with, in bytes, as the best-known node does.
const maxGiven = 40_960

// HandleLocal handles a datagram as if it came over loopback from an address, and returns the array of the replies, nil if
// there is none. Content is not taken this way, nor a key; what is here is given, which may wait for the disk.
func (n *Node) HandleLocal(from netip.AddrPort, datagram []byte) []byte {
	es, _, err := wire.Split(nil, datagram)
	if err != nil {
		return nil
	}
	var given [][]byte
	room := maxGiven
	es = slices.DeleteFunc(es, func(e wire.Element) bool {
		if e.Name == "PleaseSendContent" {
			if m, ok := n.given(e, room); ok {
				room -= len(m.Data)
				given = append(given, wire.AppendMessage(nil, m))
			}
		}
		return e.Name == "Content" || e.Name == "PleaseSendContent" || e.Name == "MyPublicKey" // whoever is local speaks as we do
	})
	opened := 0
	sender := wire.Sender{Addr: swarm.Clean(from), Proven: true, Room: wire.MaxElements * wire.CustomarySize, Size: len(datagram), At: time.Now(), Opened: &opened}
	replies, _ := n.mux.Dispatch(sender, es)
	if replies = append(replies, given...); len(replies) == 0 {
		return nil
	}
	return arrayOf(replies)
}

// given is the answer to a question for content that is here, of at most so many bytes.
func (n *Node) given(e wire.Element, room int) (wire.Content, bool) {
	m, err := wire.ParsePleaseSendContent(e.Payload)
	if err != nil || m.Length <= 0 || m.Offset < 0 {
		return wire.Content{}, false
	}
	id, err := chunk.ParseID(string(m.ID))
	if err != nil {
		return wire.Content{}, false
	}
	c, ok := n.library.Find(id)
	if !ok || c.Size() < 0 {
		return wire.Content{}, false
	}
	left := max(0, c.Size()-m.Offset)
	data := make([]byte, min(left, m.Length, int64(room)))
	if len(data) == 0 && left > 0 {
		return wire.Content{}, false
	}
	if _, err := c.ReadAt(data, m.Offset); err != nil && len(data) > 0 {
		return wire.Content{}, false
	}
	return wire.Content{ID: m.ID, Offset: m.Offset, Data: data, EOF: c.Size()}, true
}
