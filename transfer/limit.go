package transfer

import (
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// LimitBurst is the most that a limit lets through at once beyond its rate: in any second at most the rate and
// so much passes. The largest answer must fit, and a window of requests that arrives together should not
// wait for its turn one by one.
const LimitBurst = 64 << 10

const (
	limitDebt  = 10 << 10               // of the burst, for what is not held up
	limitCap   = LimitBurst - limitDebt // the largest answer takes 54,869 bytes
	strayBurst = 4 << 10                // of limitDebt: replies beyond it must wait. The rest is for the last one, of the customary size
	strayShare = 0.5                    // of the rate
	promiseFor = 2 * time.Second        // to twice that: what has not passed by then does not come
)

// Limit is a rate that holds on the wire, headers included, for all peers together and for each. What is about to be
// sent, or asked for, is promised when it is allowed to (Take) and counted when it passes the socket (Charge): by its
// true length, so that an estimate that was wrong is made good; what
// was promised and will not pass is taken back (Return).
//
// What passes without a promise counts as well. On the way out that is what keeps the node in the swarm, which is never
// held up, and replies, which may take half of the rate (Spare). On the way in it is what nobody asked for, of
// which half of the rate is counted: otherwise a stranger with as little as the limit could stop every download.
//
// It is safe for concurrent use. The nil Limit is none.
type Limit struct {
	in bool
	on atomic.Bool // one of the rates holds

	mu    sync.Mutex
	each  float64 // bytes a second, 0: none
	all   *bucket // nil: none
	peers map[netip.AddrPort]*bucket
}

// NewUpLimit limits what leaves, in bytes a second, 0: no limit.
func NewUpLimit(all, each int64) *Limit { return newLimit(all, each, false) }

// NewDownLimit limits what arrives.
func NewDownLimit(all, each int64) *Limit { return newLimit(all, each, true) }

func newLimit(all, each int64, in bool) *Limit {
	if all <= 0 && each <= 0 {
		return nil
	}
	l := NewLimit(in)
	l.each = float64(each)
	if all > 0 {
		l.all = newBucket(float64(all), in)
	}
	l.on.Store(true)
	return l
}

// NewLimit is a limit that does not limit, until Set; in: of what arrives.
func NewLimit(in bool) *Limit { return &Limit{in: in, peers: make(map[netip.AddrPort]*bucket)} }

const (
	nothing  = 1e-3        // bytes a second of a limit that lets nothing pass: a packet in two weeks
	askAfter = time.Second // nobody waits longer before he asks again: the rate may be another then
)

// On says whether there is any.
func (l *Limit) On() bool { return l != nil && l.on.Load() }

// Set changes the rates while they hold, in bytes a second; 0: no limit, below 0: nothing passes but what is never held up.
func (l *Limit) Set(now time.Time, all, each int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case all == 0:
		l.all = nil
	case l.all == nil:
		l.all = newBucket(rateOf(all), l.in)
		fallthrough
	default:
		l.all.set(now, rateOf(all))
	}
	if l.each = rateOf(each); l.each == 0 {
		clear(l.peers)
	}
	for _, b := range l.peers {
		b.set(now, l.each)
	}
	l.on.Store(l.all != nil || l.each > 0)
}

func rateOf(bytes int64) float64 {
	if bytes < 0 {
		return nothing
	}
	return float64(bytes)
}

// WaitAll is how long until n bytes more may pass, as far as all peers together are limited, or until one should ask again;
// 0: now.
func (l *Limit) WaitAll(now time.Time, n int) time.Duration {
	if l == nil || !l.on.Load() {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		return 0
	}
	return min(l.all.wait(now, n), askAfter)
}

// WaitPeer is the same as far as one peer is limited.
func (l *Limit) WaitPeer(now time.Time, peer netip.AddrPort, n int) time.Duration {
	if l == nil || !l.on.Load() {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.each == nothing {
		return askAfter // nobody has had his burst before either
	}
	if b := l.peers[peer]; b != nil {
		return min(b.wait(now, n), askAfter)
	}
	return 0
}

// TakeAll promises n bytes of what all peers may have together, and TakePeer of what one may.
func (l *Limit) TakeAll(now time.Time, n int) {
	if l == nil || !l.on.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all != nil {
		l.all.take(now, n)
	}
}

// TakePeer promises n bytes of what a peer may have.
func (l *Limit) TakePeer(now time.Time, peer netip.AddrPort, n int) {
	if l == nil || !l.on.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.each <= 0 {
		return
	}
	b := l.peers[peer]
	if b == nil {
		if len(l.peers) >= maxUpPeers {
			l.forgetLocked(now)
		}
		b = newBucket(l.each, l.in)
		l.peers[peer] = b
	}
	b.take(now, n)
}

// Return takes back a promise of n bytes that will not pass; n below zero: so much more has passed than was
// promised. Promises that nobody takes back go by themselves, after a while.
func (l *Limit) Return(now time.Time, peer netip.AddrPort, n int) {
	if l == nil || !l.on.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all != nil {
		l.all.giveBack(now, n)
	}
	if b := l.peers[peer]; b != nil {
		b.giveBack(now, n)
	}
}

// Charge is told of what has passed the socket; it makes a Limit a meter of the gate. Peers to whom nothing was
// promised are not counted one by one: strangers must not take memory.
func (l *Limit) Charge(now time.Time, peer netip.AddrPort, bytes int) {
	if l == nil || !l.on.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all != nil {
		l.all.charge(now, bytes)
	}
	if b := l.peers[peer]; b != nil {
		b.charge(now, bytes)
	}
}

// Spare says whether a reply may leave that was not promised.
func (l *Limit) Spare(now time.Time) bool {
	if !l.on.Load() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		return true
	}
	l.all.advance(now)
	return l.all.stray > limitDebt-strayBurst
}

// forgetLocked makes room: of those that have had all that they may nothing is known that a new bucket would not
// say, and where there are none the one that is nearest to it goes.
func (l *Limit) forgetLocked(now time.Time) {
	var fullest netip.AddrPort
	most := -1.0
	for a, b := range l.peers {
		b.advance(now)
		free := max(0, b.tokens()+limitDebt)
		if b.idle() {
			delete(l.peers, a)
		} else if free > most || free == most && a.Compare(fullest) < 0 {
			fullest, most = a, free
		}
	}
	if len(l.peers) >= maxUpPeers {
		delete(l.peers, fullest)
	}
}

// bucket is the pure core, for one rate: a token bucket of golang.org/x/time/rate, and what it does not know of:
// promises, and what is taken back of them.
type bucket struct {
	lim        *rate.Limiter // of limitCap; below zero by what was not held up
	back       float64       // bytes that lim was charged and that did not pass; with its own tokens at most limitCap
	rate       float64       // bytes a second
	in         bool          // it is of what arrives
	at         time.Time
	stray      float64 // ≤ limitDebt: what may pass without a promise
	young, old float64 // promised in this and the last span of promiseFor, not passed yet
	turned     time.Time
}

func newBucket(bytes float64, in bool) *bucket {
	return &bucket{lim: rate.NewLimiter(rate.Limit(bytes), limitCap), rate: bytes, in: in, stray: limitDebt}
}

// set changes the rate; of one that lets nothing pass, nothing is left to pass either.
func (b *bucket) set(now time.Time, rateNow float64) {
	b.advance(now)
	b.rate = rateNow
	b.lim.SetLimitAt(b.at, rate.Limit(rateNow))
	if rateNow == nothing {
		b.sub(max(b.tokens(), 0))
	}
}

// tokens is what may pass now, in bytes.
func (b *bucket) tokens() float64 { return b.lim.TokensAt(b.at) + b.back }

// add puts n bytes back, as far as they fit.
func (b *bucket) add(n float64) { b.back = max(min(b.back+n, limitCap-b.lim.TokensAt(b.at)), 0) }

// sub takes n bytes, those that were put back first.
func (b *bucket) sub(n float64) {
	part := min(n, b.back)
	b.back -= part
	for n -= part; n > 0; {
		whole := int(math.Ceil(min(n, limitCap)))
		b.lim.ReserveN(b.at, whole)
		b.back += max(float64(whole)-n, 0) // lim counts whole bytes
		n -= float64(whole)
	}
}

func (b *bucket) advance(now time.Time) {
	if b.at.IsZero() {
		b.at, b.turned = now, now
	}
	d := now.Sub(b.at).Seconds()
	if d <= 0 { // another goroutine looked at the clock later and came first
		return
	}
	over := b.tokens() + d*b.rate - limitCap
	b.at = now
	b.forfeit(over)
	b.add(0)
	b.stray = min(b.stray+d*b.rate*strayShare, limitDebt)
	for ; now.Sub(b.turned) >= promiseFor && b.young+b.old > 0; b.turned = b.turned.Add(promiseFor) {
		b.add(b.old)
		b.old, b.young = b.young, 0
	}
	if b.young+b.old == 0 {
		b.turned = now
	}
}

// forfeit ends promises that are worth nothing any more: had they not been made, what they have taken would have run
// over by now, over being what has run over without them. What passes of them later counts when it does. What is on its way to us may be more than a bucket holds, so there
// only what really runs over is looked at.
func (b *bucket) forfeit(over float64) {
	if !b.in {
		over += b.young + b.old
	}
	for _, promised := range [...]*float64{&b.old, &b.young} {
		part := min(max(over, 0), *promised)
		*promised -= part
		over -= part
	}
}

// idle says that it is as a new one.
func (b *bucket) idle() bool { return b.tokens() >= limitCap && b.young+b.old == 0 }

func (b *bucket) wait(now time.Time, n int) time.Duration {
	b.advance(now)
	short := min(float64(n), limitCap) - b.tokens()
	if short <= 0 {
		return 0
	}
	return time.Duration(short/b.rate*float64(time.Second)) + time.Microsecond
}

func (b *bucket) take(now time.Time, n int) {
	b.advance(now)
	b.sub(float64(n))
	b.young += float64(n)
}

// giveBack counts what was promised and will not pass.
func (b *bucket) giveBack(now time.Time, n int) {
	if n < 0 {
		b.take(now, -n)
		return
	}
	b.advance(now)
	b.add(b.kept(n))
}

// kept takes n bytes from what is promised, and returns how many there were. What leaves was promised a moment ago; an
// answer that arrives may be the oldest that is awaited.
func (b *bucket) kept(n int) (bytes float64) {
	order := [...]*float64{&b.young, &b.old}
	if b.in {
		order = [...]*float64{&b.old, &b.young}
	}
	for _, promised := range order {
		part := min(float64(n)-bytes, *promised)
		*promised -= part
		bytes += part
	}
	return bytes
}

// charge counts what has passed; of what was not promised and comes in, as much as strays may take.
func (b *bucket) charge(now time.Time, n int) {
	b.advance(now)
	rest := float64(n) - b.kept(n)
	if b.in {
		rest = min(rest, b.stray)
	}
	b.stray = max(b.stray-rest, 0)
	b.sub(min(rest, max(b.tokens()+b.rate+limitCap, 0))) // a limit that cannot hold must not bind for ever
}
