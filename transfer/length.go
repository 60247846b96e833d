package transfer

import (
	"math"
	"time"
)

// When a peer is asked for whole blocks, and when for parts that fit a packet each
// (see parts.go). Long answers cost 0.70 of the link for content, short ones 0.62; a
// datagram of four fragments survives packet loss p with (1-p)^4, so from p = 4.5 % on,
// which is a sixth of the long ones, short ones win. Where answers are raw it is 0.95
// and 0.88, and a run of losses that hits one fragment hits its neighbours: 7 % of packets,
// a sixth of the long ones again, lost requests counted. Much less loss fills the
// receiver's reassembly pool: 4 MiB for 30 s on Linux bear about 600 datagrams that
// lack a fragment.
const (
	longLoss     = 0.16 // share of long answers lost from which on short ones win,
	fewLongLoss  = 0.06 // where answers are raw, and few long ones fit the path: short ones show sooner how fast it is
	fewLong      = 15
	longSamples  = 48               // outcomes before a share says something
	triedSamples = 96               // short ones until they decide, where many fit the path
	vainSamples  = 100              // short ones until it shows whether they fare better
	vainSpan     = 30 * time.Second // how long short ones are not tried again when they did not
	poolSpan     = 30 * time.Second // how long a fragment waits for its siblings
	poolBears    = 250              // long answers lost in poolSpan that are borne: less than half of the pool
	probeEvery   = 500 * time.Millisecond
	cleanProbes  = 8   // long probes in a row that must come back before long ones are asked again
	maxEvidence  = 512 // outcomes that a share remembers, roughly
	fragmentsFor = 4   // of a long answer,
	rawFragments = 2   // and where answers are raw: three, but most losses come in runs
)

// share counts outcomes, the older the less.
type share struct{ lost, all float64 }

func (s *share) add(lost bool) {
	if s.all >= maxEvidence {
		s.lost, s.all = s.lost/2, s.all/2
	}
	s.all++
	if lost {
		s.lost++
	}
}

func (s share) of() float64 { return s.lost / max(s.all, 1) }

// length decides how long the requests to one peer are. Pure: it is told the time.
type length struct {
	short    bool
	raw      bool  // answers are
	few      bool  // then: fewer than fewLong long ones are asked for at a time
	tried    bool  // then: the first short ones have shown how many packets are lost
	long     share // outcomes of long requests, and of probes while short
	brief    share // outcomes of short ones
	everLong bool  // a long answer has come at least once
	clean    int   // long probes in a row that came back
	probed   time.Time
	was      float64    // share of the long ones that was lost when short began
	stay     time.Time  // long until then, as short was in vain
	ring     [6]float64 // long ones lost in each of the last spans of five seconds
	came     [6]float64 // blocks that came, likewise
	ringAt   time.Time
}

// outcome notes that a request was answered or lost.
func (l *length) outcome(now time.Time, long, lost bool) {
	l.turn(now)
	switch {
	case !long:
		l.brief.add(lost)
		if !lost {
			l.came[0] += 1. / blockParts
		}
		if l.unsure() {
			l.try(now)
		}
		if l.short && !l.few && l.inVain() {
			l.set(now, false)
			l.stay = now.Add(vainSpan)
		}
		return
	case lost:
		l.long.add(true)
		l.ring[0]++
		l.clean = 0
	default:
		l.long.add(false)
		l.came[0]++
		l.clean++
		l.everLong = true
	}
	if !l.short && !now.Before(l.stay) && (l.long.all >= longSamples && l.long.of() > l.most() || sum(l.ring) > poolBears) {
		l.set(now, true)
	}
	if l.short && l.clean >= cleanProbes && l.worthLong() {
		l.set(now, false)
	}
}

// inVain says whether short answers are lost nearly as often as long ones were: then it
// is not the fragments. If each packet is lost with q, a long answer and its request are
// fragmentsFor+1 packets, a short one and its request are two.
func (l *length) inVain() bool {
	q := 1 - math.Pow(1-l.was, 1./(l.fragments()+1))
	fair := 1 - (1-q)*(1-q)
	p := l.brief.of()
	sure := p - math.Sqrt(p*(1-p)/max(l.brief.all, 1)) // by a standard deviation: one short one lost more is no evidence
	return l.brief.all >= vainSamples && sure > (fair+l.was)/2
}

// worthLong says whether long answers would do better now: few fragments are lost, and
// at the rate of the last half minute the pool would bear it.
func (l *length) worthLong() bool {
	loss := l.fragments() * l.brief.of()
	if l.brief.all < longSamples {
		loss = l.long.of()
	}
	return loss < l.most()/2 && loss*sum(l.came) < poolBears/2
}

// found takes the loss of a request back whose answer came after all.
func (l *length) found(long bool) {
	if !long {
		l.brief.lost = max(l.brief.lost-1, 0)
		return
	}
	l.everLong = true
	l.long.lost = max(l.long.lost-1, 0)
	l.ring[0] = max(l.ring[0]-1, 0)
}

// unsure says that nothing is known of the path yet: short ones are asked for until they have shown how many packets are lost. One that
// is lost is worth as little as the third of a long one, while how fast the path is must be tried out.
func (l *length) unsure() bool { return l.raw && !l.tried }

// try decides by the first short ones, as soon as there are enough of them. Losses come in runs, so their number deviates by more
// than that of single ones; in doubt long ones are asked for, which show more.
func (l *length) try(now time.Time) {
	n, p := l.brief.all, l.brief.of()
	switch {
	case n < longSamples || n < triedSamples && !l.few:
		return
	case !l.few:
		p = max(p-math.Sqrt(2.5*p*(1-p)/n), 0)
	}
	l.tried = true
	// As many of them were lost as requests, of which a long answer needs no more than a short one.
	if 1-math.Pow(1-p, (l.fragments()+1)/2) > l.most() {
		l.set(now, true)
		l.was = 1 - math.Pow(1-p, l.fragments())
	}
}

// silent is told that n timeouts passed in a row without any answer. A path that eats
// all fragments looks so.
func (l *length) silent(now time.Time, n int) {
	if !l.short && (n > 1 || !l.everLong && !l.unsure()) {
		l.set(now, true)
	}
}

// tooLong is told that the peer answered with less than was asked: more does not fit
// its way to us.
func (l *length) tooLong(now time.Time) {
	if !l.short {
		l.set(now, true)
	}
}

// probe says whether the next request, in short mode, is a long one to see whether
// such come back.
func (l *length) probe(now time.Time) bool {
	if now.Sub(l.probed) < probeEvery {
		return false
	}
	l.probed = now
	return true
}

func (l *length) set(now time.Time, short bool) {
	if short {
		l.was = max(l.long.of(), l.most())
	}
	l.short, l.clean, l.probed = short, 0, now
	l.long = share{}
	if short {
		l.brief = share{}
	}
}

// turn moves the ring on.
func (l *length) turn(now time.Time) {
	const span = poolSpan / time.Duration(len(l.ring))
	if l.ringAt.IsZero() {
		l.ringAt = now
	}
	for n := 0; now.Sub(l.ringAt) >= span && n < len(l.ring); n++ {
		copy(l.ring[1:], l.ring[:])
		copy(l.came[1:], l.came[:])
		l.ring[0], l.came[0] = 0, 0
		l.ringAt = l.ringAt.Add(span)
	}
	if now.Sub(l.ringAt) >= span {
		l.ringAt = now
	}
}

// most is the share of long answers that is lost from which on short ones win.
func (l *length) most() float64 {
	if l.raw && l.few {
		return fewLongLoss
	}
	return longLoss
}

// fragments is how many packets a long answer takes.
func (l *length) fragments() float64 {
	if l.raw {
		return rawFragments
	}
	return fragmentsFor
}

func sum(ring [6]float64) (n float64) {
	for _, v := range ring {
		n += v
	}
	return n
}
