package transfer

import (
	"math"
	"time"
)

// noise tells the losses of a noisy path from those of a full one. Noise does not depend
// on how fast we ask, and comes without a queue: so it is the smallest share that was
// lost in any of the last batches of requests, of those alone that did not meet a queue as
// long as it gets on this path. A full queue that is short is told from jitter by
// its length, which is always the same.
type noise struct {
	batch  batch             // being filled
	kept   [noiseKept]sample // the last ones without a queue, the newest at next-1
	next   int
	strict bool          // quiet will be told: until then little is believed
	calm   sample        // of what was asked more slowly than the path bears: see quiet
	full   int           // batches since the last one that was kept
	top    time.Duration // longest queue lately
}

// batch is at least noiseLeast requests, and at least a round trip's worth.
type batch struct {
	lost, got int
	trips     int
	queue     time.Duration // sum
	most      time.Duration
}

type sample struct{ lost, all float64 }

const (
	noiseKept   = 8
	noiseLeast  = 24
	calmLeast   = 12                   // outcomes from which on they count,
	noiseFirst  = 0.1                  // with strict, until then
	calmMost    = 96                   // and that are remembered, about
	noiseMost   = 0.75                 // beyond, nothing is credited: one answer in four is no path
	queueFull   = 0.6                  // of the longest: more on the mean is a standing queue
	noQueue     = 2 * time.Millisecond // delay that jitter explains
	staleFade   = 0.8                  // for each batch with a queue after the first
	excessLeast = 0.05                 // losses above noise that mean something
)

func (n *noise) answered(queue time.Duration) {
	n.batch.got++
	n.batch.trips++
	n.batch.queue += queue
	n.batch.most = max(n.batch.most, queue)
}

func (n *noise) gone() { n.batch.lost++ }

// found takes back a loss whose answer came late.
func (n *noise) found() {
	n.batch.lost = max(n.batch.lost-1, 0)
	n.batch.got++
}

// turn is told of the end of a round.
func (n *noise) turn() {
	b := &n.batch
	if b.lost+b.got < noiseLeast || b.trips == 0 {
		return
	}
	n.top = max(b.most, n.top-n.top/16)
	if mean := b.queue / time.Duration(b.trips); mean <= noQueue || float64(mean) <= queueFull*float64(n.top) {
		n.kept[n.next%noiseKept] = sample{float64(b.lost), float64(b.lost + b.got)}
		n.next++
		n.full = 0
	} else {
		n.full++
	}
	*b = batch{}
}

// quiet is told what became of requests that were sent at three quarters of the path's rate. On a path with a short queue these
// alone show noise: at its full rate what overflows is lost beside it all the time, without a delay that would tell.
func (n *noise) quiet(lost, all int) {
	if n.calm.all >= calmMost {
		n.calm.lost, n.calm.all = n.calm.lost/2, n.calm.all/2
	}
	n.calm.lost, n.calm.all = n.calm.lost+float64(lost), n.calm.all+float64(all)
}

// known says that there was something to learn from.
func (n *noise) known() bool { return n.next > 0 || n.full > 1 }

// share is the part of all requests that noise swallows. It has to be seen again and
// again: as long as the queue does not run empty, less and less is believed.
func (n *noise) share() float64 {
	var sum sample
	least := 1.0
	for _, s := range n.kept[:min(n.next, noiseKept)] {
		sum.lost, sum.all = sum.lost+s.lost, sum.all+s.all
		// The smallest of eight is a deviation and a half too small; one loss
		// more, as none of a few does not say that there are none.
		p := min((s.lost+1)/(s.all+1), 1)
		least = min(least, p+1.4*math.Sqrt(p*(1-p)/s.all))
	}
	p := min(least, sum.lost/max(sum.all, 1), noiseMost)
	if c := n.calm; c.all >= calmLeast {
		q := (c.lost + 1) / (c.all + 1)
		p = min(p, q+math.Sqrt(q*(1-q)/c.all))
	} else if n.strict {
		p = min(p, noiseFirst)
	}
	return p * math.Pow(staleFade, float64(max(n.full-1, 0)))
}

// carried is the part of all requests that the path has carried: those that were
// answered, and of the lost ones as many as noise explains.
func (n *noise) carried(lost, all int) float64 {
	p, total := n.share(), float64(max(all, 1))
	by := p*total + math.Sqrt(total*p*(1-p))/2
	return 1 - max(float64(lost)-by, 0)/total
}

// excess says whether lost out of all are more than noise explains: by a margin and
// by two deviations of what is random.
func (n *noise) excess(lost, all int) bool {
	if all == 0 || !n.known() {
		return false
	}
	p, total := n.share(), float64(all)
	deviation := math.Sqrt(total * max(p*(1-p), 0.01) * (1 + total/noiseLeast/4))
	return float64(lost) > total*(p+excessLeast)+2*deviation
}

// breaker answers lasting heavy loss (RFC 8085 section 3.1.10, RFC 8084): when in ten
// seconds more than 30 % of the requests were lost, and clearly more than noise takes,
// the rate is halved, again and again, down to about one answer a second. On a noisy
// path, where slowing down helps nobody, the halved rate lets the queue run empty, what
// still is lost is known for noise, and the breaker closes.
type breaker struct {
	since  time.Duration
	lost   int
	all    int
	heavy  int // spans in a row
	halved int // times
}

const (
	breakSpan  = 5 * time.Second
	breakSpans = 2 // in a row
	breakShare = 0.30
	breakNoise = 0.10 // above noise
	breakLeast = 2    // outcomes without which a span says nothing
	breakMost  = 20   // halvings: a millionth of the rate
)

func (b *breaker) open() bool { return b.halved > 0 }

// factor is what is left of the rate.
func (b *breaker) factor() float64 { return math.Ldexp(1, -b.halved) }

func (b *breaker) outcome(at time.Duration, lost bool, noise float64) {
	if at-b.since >= breakSpan {
		b.judge(at, noise)
	}
	b.all++
	if lost {
		b.lost++
	}
}

// found takes back a loss whose answer came late.
func (b *breaker) found() { b.lost = max(b.lost-1, 0) }

func (b *breaker) judge(at time.Duration, noise float64) {
	share := float64(b.lost) / float64(max(b.all, 1))
	switch {
	case b.all < breakLeast:
	case share <= max(breakShare, noise+breakNoise):
		b.heavy = 0
		b.halved = max(b.halved-1, 0)
	default:
		if b.heavy++; b.heavy == breakSpans {
			b.heavy = 0
			b.halved = min(b.halved+1, breakMost)
		}
	}
	b.since, b.lost, b.all = at, 0, 0
}
