// Package catalog remembers what other peers offer: the contents that they list, came by
// last, or recommend.
//
// It promises that only proven addresses are believed, that a list counts only when it was
// asked for, and that what is kept is bounded: MaxPeers peers with MaxOffers contents each,
// some 1.3 MiB. Ids and sizes are claims of those who told them.
package catalog

import (
	"cmp"
	"container/list"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// Caps: who told longest ago makes room, of one peer whatever came first.
const (
	MaxPeers  = 128
	MaxOffers = 72 // of a peer: a list of the customary 70, what it saw last, what it recommends
	askedFor  = 15 * time.Second
)

// How says how a content was offered; several may hold.
type How uint8

const (
	Listed      How = 1 << iota // in a ContentList
	Seen                        // by IJustSawThis
	Recommended                 // by YouShouldSeeThis
)

// Offer is one content that peers offer at one size. What somebody says of it in another size is
// another offer: which of them is true shows when it is fetched.
type Offer struct {
	ID    chunk.ID
	Size  int64 // bytes, as claimed
	How   How
	Peers []netip.AddrPort // who told, sorted
}

// Catalog is what peers told. Safe for concurrent use.
type Catalog struct {
	told func(chunk.ID, netip.AddrPort) // somebody holds a content; may be nil

	mu    sync.Mutex
	peers map[netip.AddrPort]*list.Element
	lru   list.List // of *peer, who told last in front
}

type peer struct {
	addr   netip.AddrPort
	asked  time.Time // for its list; zero: not, or it came
	offers []offer   // the oldest first
}

type offer struct {
	key
	how How
}

type key struct {
	id   chunk.ID
	size int64
}

// New returns an empty catalog. told, which may be nil, hears of each holder.
func New(told func(chunk.ID, netip.AddrPort)) *Catalog {
	return &Catalog{told: told, peers: map[netip.AddrPort]*list.Element{}}
}

// Register makes the catalog hear what peers tell.
func (c *Catalog) Register(mux *wire.Mux) {
	mux.Handle(wire.ContentList{}.Name(), wire.HandlerFunc(c.list))
	mux.Handle(wire.IJustSawThis{}.Name(), wire.HandlerFunc(c.saw))
	mux.Handle(wire.YouShouldSeeThis{}.Name(), wire.HandlerFunc(c.recommended))
}

// Ask notes that a peer is being asked for its list: one that comes within 15 s counts.
func (c *Catalog) Ask(a netip.AddrPort, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peerLocked(a).asked = now
}

func (c *Catalog) list(from wire.Sender, e wire.Element) []wire.Message {
	if !from.Proven {
		return nil
	}
	m, err := wire.ParseContentList(e.Payload)
	if err != nil {
		return nil
	}
	if !c.answered(from.Addr, time.Now()) {
		return nil
	}
	for _, l := range m.Results[:min(len(m.Results), MaxOffers)] {
		c.add(from, l.ID, l.Size, Listed)
	}
	return nil
}

func (c *Catalog) saw(from wire.Sender, e wire.Element) []wire.Message {
	if m, err := wire.ParseIJustSawThis(e.Payload); err == nil {
		c.add(from, m.ID, m.Length, Seen)
	}
	return nil
}

func (c *Catalog) recommended(from wire.Sender, e wire.Element) []wire.Message {
	if m, err := wire.ParseYouShouldSeeThis(e.Payload); err == nil {
		c.add(from, m.ID, m.Length, Recommended)
	}
	return nil
}

// answered takes the question for a's list back, and says whether there was one.
func (c *Catalog) answered(a netip.AddrPort, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.peers[a]
	if el == nil {
		return false
	}
	p := el.Value.(*peer)
	asked := p.asked
	p.asked = time.Time{}
	return !asked.IsZero() && now.Sub(asked) <= askedFor
}

// add notes one content. Ids that are none, such as names of files, are left out: nothing of
// them could be verified.
func (c *Catalog) add(from wire.Sender, text []byte, size int64, how How) {
	id, err := chunk.ParseID(text)
	if !from.Proven || err != nil || id.Kind == chunk.BLAKE3Tree {
		return
	}
	c.mu.Lock()
	p := c.peerLocked(from.Addr)
	p.add(offer{key{id, size}, how})
	c.mu.Unlock()
	if c.told != nil {
		c.told(id, from.Addr)
	}
}

// add notes an offer. A peer has one content that it saw last, and one that it recommends.
func (p *peer) add(o offer) {
	if o.how != Listed {
		for i := range p.offers {
			p.offers[i].how &^= o.how
		}
		p.offers = slices.DeleteFunc(p.offers, func(old offer) bool { return old.how == 0 })
	}
	if i := slices.IndexFunc(p.offers, func(old offer) bool { return old.key == o.key }); i >= 0 {
		p.offers[i].how |= o.how
		return
	}
	if len(p.offers) >= MaxOffers {
		p.offers = slices.Delete(p.offers, 0, 1)
	}
	p.offers = append(p.offers, o)
}

func (c *Catalog) peerLocked(a netip.AddrPort) *peer {
	if el := c.peers[a]; el != nil {
		c.lru.MoveToFront(el)
		return el.Value.(*peer)
	}
	if c.lru.Len() >= MaxPeers {
		last := c.lru.Back()
		delete(c.peers, last.Value.(*peer).addr)
		c.lru.Remove(last)
	}
	p := &peer{addr: a}
	c.peers[a] = c.lru.PushFront(p)
	return p
}

// Offers lists what is known: what most peers offer first, then the larger, then by id.
func (c *Catalog) Offers() []Offer {
	all := map[key]*Offer{}
	c.mu.Lock()
	for _, el := range c.peers {
		p := el.Value.(*peer)
		for _, o := range p.offers {
			if all[o.key] == nil {
				all[o.key] = &Offer{ID: o.id, Size: o.size}
			}
			all[o.key].How |= o.how
			all[o.key].Peers = append(all[o.key].Peers, p.addr)
		}
	}
	c.mu.Unlock()
	offers := make([]Offer, 0, len(all))
	for _, o := range all {
		slices.SortFunc(o.Peers, netip.AddrPort.Compare)
		offers = append(offers, *o)
	}
	slices.SortFunc(offers, func(a, b Offer) int {
		return cmp.Or(cmp.Compare(len(b.Peers), len(a.Peers)), cmp.Compare(b.Size, a.Size), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return offers
}

// Sizes is how many peers and offers are remembered.
func (c *Catalog) Sizes() (peers, offers int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, el := range c.peers {
		offers += len(el.Value.(*peer).offers)
	}
	return len(c.peers), offers
}
