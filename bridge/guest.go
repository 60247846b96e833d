package bridge

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxHeard  = 1024      // addresses that one guest may answer: 1024 × ~100 bytes
	bulkRate  = 256 << 10 // bytes a second of transfers in clear that one guest is told of
	maxErrand = 16        // letters of one origin that wait for their receiver: each asks 16 peers, five times in 20 s
)

// guest is a page or a program that uses the post office.
type guest struct {
	addr  netip.AddrPort // of loopback, where it speaks from
	purse *purse         // shared with others of its origin
	out   *outbox        // its own, or that of all programs
	bulk  *rate.Limiter
	slow  func() // its outbox has no room: what a page does then; nil: what arrives is left out

	heard heard
}

func newGuest(addr netip.AddrPort, p *purse, out *outbox) *guest {
	return &guest{addr: addr, purse: p, out: out, bulk: rate.NewLimiter(bulkRate, bulkRate)}
}

// tell queues the news of an arrival, and reports false if it was left out. Of transfers that go on in the clear a
// guest is told at a bounded rate, or a download would push all else out; what may be forged leaves room for what may not.
func (g *guest) tell(a *Arrival, text []byte) bool {
	most := maxQueued
	if a.Spoofable {
		most = shedAt
	}
	ok := g.out.put(letter{g, text, a.From}, most)
	if !ok && !a.Spoofable && g.slow != nil {
		g.slow()
	}
	return ok
}

// heard is from where a guest has been told of something: of the latest of these it may answer by address.
type heard struct {
	mu    sync.Mutex
	addrs map[netip.AddrPort]bool
	ring  []netip.AddrPort // in the order in which they came; len(addrs)
	next  int              // the oldest, once the ring is full
}

func (h *heard) add(a netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.addrs[a]:
		return
	case h.addrs == nil:
		h.addrs = map[netip.AddrPort]bool{}
	case len(h.ring) == maxHeard:
		delete(h.addrs, h.ring[h.next])
		h.ring[h.next] = a
		h.next = (h.next + 1) % maxHeard
		h.addrs[a] = true
		return
	}
	h.ring = append(h.ring, a)
	h.addrs[a] = true
}

func (h *heard) has(a netip.AddrPort) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addrs[a]
}

// purse is what all pages of one origin together, or all programs, may have sent.
type purse struct {
	bytes   *rate.Limiter
	letters *rate.Limiter
	errands chan struct{} // a token for each letter whose receiver is looked for
	used    time.Time     // guarded by the bridge
	guests  int           // likewise
}

const (
	purseBytes   = 2 << 20 // a second: eight calls of 2 Mbit/s
	purseLetters = 1000    // a second
)

func newPurse() *purse {
	return &purse{bytes: rate.NewLimiter(purseBytes, purseBytes), letters: rate.NewLimiter(purseLetters, purseLetters), errands: make(chan struct{}, maxErrand)}
}

// take pays for a letter, if it can.
func (p *purse) take(now time.Time, bytes int) bool {
	return p.letters.AllowN(now, 1) && p.bytes.AllowN(now, bytes)
}
