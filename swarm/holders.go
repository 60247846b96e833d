package swarm

import (
	"container/list"
	"net/netip"
	"slices"
	"sync"

	"sharer/chunk"
)

// Caps of Holders: 1024 · 32 addresses of 32 bytes are 1 MiB.
const (
	MaxIDs     = 1024
	MaxHolders = 32
)

// Holders remembers who may hold a content: those who said so, those who were named, and those
// who asked for it, since they will soon have some. It is bounded twice: the id that was not
// used for the longest time is forgotten, and of an id the holder that was not named for the
// longest time. Safe for concurrent use.
type Holders struct {
	mu  sync.Mutex
	ids map[chunk.ID]*list.Element
	lru list.List // of *holding, the last used in front
}

type holding struct {
	id    chunk.ID
	addrs []netip.AddrPort // the last named at the end
}

// NewHolders returns an empty one.
func NewHolders() *Holders { return &Holders{ids: map[chunk.ID]*list.Element{}} }

// holderKey: who has the content has its tree.
func holderKey(id chunk.ID) chunk.ID {
	if id.Kind == chunk.BLAKE3Tree {
		id.Kind = chunk.BLAKE3
	}
	return id
}

// Add notes that an address may hold a content. Addresses that no peer can have are left out; see
// Gate.MayLearn for whose word counts.
func (h *Holders) Add(id chunk.ID, addrs ...netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id = holderKey(id)
	var hd *holding
	if el := h.ids[id]; el != nil {
		h.lru.MoveToFront(el)
		hd = el.Value.(*holding)
	}
	for _, a := range addrs {
		if a = Clean(a); !ClassOf(a).Unicast() {
			continue
		}
		if hd == nil {
			hd = h.newLocked(id)
		}
		if i := slices.Index(hd.addrs, a); i >= 0 {
			hd.addrs = slices.Delete(hd.addrs, i, i+1)
		} else if len(hd.addrs) >= MaxHolders {
			hd.addrs = slices.Delete(hd.addrs, 0, 1)
		}
		hd.addrs = append(hd.addrs, a)
	}
}

func (h *Holders) newLocked(id chunk.ID) *holding {
	if h.lru.Len() >= MaxIDs {
		last := h.lru.Back()
		delete(h.ids, last.Value.(*holding).id)
		h.lru.Remove(last)
	}
	hd := &holding{id: id}
	h.ids[id] = h.lru.PushFront(hd)
	return hd
}

// Of lists who may hold a content, the last named first.
func (h *Holders) Of(id chunk.ID) []netip.AddrPort {
	h.mu.Lock()
	defer h.mu.Unlock()
	el := h.ids[holderKey(id)]
	if el == nil {
		return nil
	}
	h.lru.MoveToFront(el)
	as := slices.Clone(el.Value.(*holding).addrs)
	slices.Reverse(as)
	return as
}

// Remove forgets one holder of a content.
func (h *Holders) Remove(id chunk.ID, a netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	el := h.ids[holderKey(id)]
	if el == nil {
		return
	}
	hd := el.Value.(*holding)
	if i := slices.Index(hd.addrs, Clean(a)); i >= 0 {
		hd.addrs = slices.Delete(hd.addrs, i, i+1)
	}
	if len(hd.addrs) == 0 {
		delete(h.ids, hd.id)
		h.lru.Remove(el)
	}
}

// Len is how many contents are known to have holders.
func (h *Holders) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lru.Len()
}
