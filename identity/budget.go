package identity

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sharer/wire"
)

// Prices in microseconds of one core, rounded up from BenchmarkOpen on a core of a small server
// (reliability.md A14).
const (
	priceNoise  = 200
	priceSigned = 90
	priceFast   = 90
	priceKey    = 15
)

const (
	strangersRate  = 200_000 // us of work a second for all whose key is not known to live there: 20 % of a core
	strangersBurst = 20_000
	knownRate      = 400_000 // the same for those who are known
	knownBurst     = 100_000
	sourceRate     = 20 // letters a second of one source that is not known to live there
	sourceBurst    = 40
	liveRate       = 400 // the same where somebody lives: a call has 260 frames a second of picture and sound; a fifth of knownRate
	liveBurst      = 400
	maxSources     = 4096
	sweepEach      = time.Second
)

// Budget says how much may be spent on opening letters: a bucket for each source, then one
// for all strangers and one for all who are known, so that strangers cannot take from those.
type Budget struct {
	strangers, known *rate.Limiter // with their own locks

	mu      sync.Mutex
	sources map[source]*rate.Limiter
	swept   time.Time
}

// source is who is charged. Who forges an address does not spend what belongs to its owner.
type source struct {
	host   netip.Addr
	proven bool
	lives  bool // a key was proven to live there
}

// NewBudget returns a full one.
func NewBudget() *Budget {
	return &Budget{
		strangers: rate.NewLimiter(strangersRate, strangersBurst),
		known:     rate.NewLimiter(knownRate, knownBurst),
		sources:   map[source]*rate.Limiter{},
	}
}

// Allow takes the price, in microseconds, of one letter. known says that a key of the peer
// was proven to live at its address, and that this datagram comes from there.
func (b *Budget) Allow(from wire.Sender, known bool, price int, now time.Time) bool {
	return b.allowSource(source{host(from.Addr.Addr()), from.Proven, known}, now) && b.charge(known, price, now)
}

// charge takes a price from those who are known, or from all strangers.
func (b *Budget) charge(known bool, price int, now time.Time) bool {
	if known {
		return b.known.AllowN(now, price)
	}
	return b.strangers.AllowN(now, price)
}

// allowSource takes one letter of a source. Sources beyond the table, which only a flood of
// forged addresses fills, have the bucket of all alone.
func (b *Budget) allowSource(a source, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.sources[a]
	if l == nil {
		if len(b.sources) >= maxSources && now.Sub(b.swept) >= sweepEach {
			b.swept = now
			for a, l := range b.sources {
				if l.TokensAt(now) >= float64(l.Burst()) { // as good as new
					delete(b.sources, a)
				}
			}
		}
		if len(b.sources) >= maxSources {
			return true
		}
		if l = rate.NewLimiter(sourceRate, sourceBurst); a.lives {
			l = rate.NewLimiter(liveRate, liveBurst)
		}
		b.sources[a] = l
	}
	return l.AllowN(now, 1)
}

// host is what one holder of addresses has: an IPv4 address, or a /64 of IPv6.
func host(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is4() || !a.IsValid() {
		return a
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil { // no IPv6 address is too short for it
		return a
	}
	return p.Addr()
}
