package node

import (
	"errors"
	"slices"

	"sharer/chunk"
	"sharer/index"
	"sharer/wire"
)

const (
	listed     = 70  // contents of a list at most: the best-known node's figure, some 5.6 KB
	listedRoom = 400 // bytes of a datagram that the list leaves to cookies and to what goes with it
)

// list answers PleaseListContent: what is seeded and what was fetched, as many as fit; to the proven
// also what came last, and what the user recommends.
func (l *library) list(from wire.Sender, _ wire.Element) []wire.Message {
	fill := filling{room: min(from.Room, wire.CustomarySize-listedRoom) - messageSize(wire.ContentList{})}
	l.mu.RLock()
	roots, saw, advised := slices.Clone(l.roots), l.saw, l.advised
	for _, k := range slices.Backward(l.kept) {
		if one := k.listing(); !l.deniesListing(one) {
			fill.add(one)
		}
	}
	l.mu.RUnlock()
	for _, root := range roots {
		if fill.full || l.state == nil {
			break
		}
		// An index that cannot be read lists less; whoever asks for an id will be told.
		_ = l.state.index.Under(root, func(e index.Entry) error {
			l.mu.RLock()
			offers := l.offersLocked(e.Place.Path)
			l.mu.RUnlock()
			if offers && denies(l.deny, chunk.ID{Kind: chunk.BLAKE3, Hash: e.Content.BLAKE3}, chunk.ID{Kind: chunk.SHA256, Hash: e.Content.SHA256}) {
				return nil
			}
			if offers && !fill.add(listing(e.Content.BLAKE3, e.Content.Size)) {
				return errFull
			}
			return nil
		})
	}
	var out []wire.Message
	if len(fill.list.Results) > 0 {
		out = append(out, fill.list)
	}
	if from.Proven && len(saw.ID) > 0 && !l.deniesListing(saw) {
		out = append(out, wire.IJustSawThis{ID: saw.ID, Length: saw.Size})
	}
	if from.Proven && len(advised.ID) > 0 && !l.deniesListing(advised) {
		out = append(out, wire.YouShouldSeeThis{ID: advised.ID, Length: advised.Size})
	}
	return out
}

func (l *library) deniesListing(one wire.Listing) bool {
	id, err := chunk.ParseID(one.ID)
	return err == nil && denies(l.deny, id)
}

var errFull = errors.New("node: the list is full")

// filling is a list that grows until its datagram is full.
type filling struct {
	list wire.ContentList
	room int // bytes left
	full bool
}

// add reports whether there was room.
func (f *filling) add(l wire.Listing) bool {
	n := messageSize(wire.ContentList{Results: []wire.Listing{l}}) - messageSize(wire.ContentList{})
	if f.full = f.full || n > f.room || len(f.list.Results) >= listed; f.full {
		return false
	}
	f.list.Results = append(f.list.Results, l)
	f.room -= n
	return true
}

// messageSize is what m takes in a reply, its comma counted.
func messageSize(m wire.Message) int { return len(wire.AppendMessage(nil, m)) + 1 }

func listing(h chunk.Hash, size int64) wire.Listing {
	return wire.Listing{ID: []byte(chunk.ID{Kind: chunk.BLAKE3, Hash: h}.String()), Size: size}
}

// listing is how a finished download is told of: by the id that verifies block by block, if that is known.
func (k kept) listing() (out wire.Listing) {
	for id, c := range k.contents {
		if id.Kind == chunk.BLAKE3 || id.Kind == chunk.SHA256 && out.ID == nil {
			out = wire.Listing{ID: []byte(id.String()), Size: c.Size()}
		}
	}
	return out
}

// Recommend has the node tell those who ask for its list that they should see this.
func (n *Node) Recommend(id chunk.ID, size int64) {
	n.library.mu.Lock()
	defer n.library.mu.Unlock()
	n.library.advised = wire.Listing{ID: []byte(id.String()), Size: size}
}
