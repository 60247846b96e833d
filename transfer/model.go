package transfer

import "time"

// phase is what the model is doing.
type phase uint8

const (
	opening phase = iota // twice as much each round trip, until the path is full
	drain                // letting the queue run empty that opening has built
	cruise               // at the path's rate
	up                   // above it: is there more?
	down                 // below it: the queue runs empty again, and what is lost is noise
	look                 // half of what fits: what is the smallest round trip?
)

// modelControl measures the path as BBR does (Cardwell 2016, draft-ietf-ccwg-bbr): the
// largest rate at which requests were answered lately and the smallest round trip; their
// product is what fits the path without a queue. It asks at that rate, now and then a
// quarter faster to see whether there is more. Losses count only where they are
// more than the noise that stays when it asks slower than the path can bear.
type modelControl struct {
	tally
	phase   phase
	entered time.Duration // when the phase began
	sends   int           // groups closed in this phase
	rounds  int           // ended in this phase
	cruises int           // groups that this cruise takes

	groups [4]group // the last ones, by their number
	number uint32   // of the one that is being sent

	rates  [2]float64    // largest rate of this cycle and of the one before, bytes a second
	cycle  time.Duration // when this cycle began
	before float64       // rate when up began
	short  float64       // bound of the rate after losses, until the next up; 0: none

	limit  int // bytes in flight while it grows by what is answered; 0: none
	high   int // bytes in flight above which up has met losses; 0: none
	climb  int // answers by which high is raised next
	waited int // opening: answers in a row that have waited
	flat   int // opening: groups that brought no more than the one before
}

const (
	openGain    = 2.0 // a round trip's window takes half of it: the next ones find room
	drainGain   = 0.5
	upGain      = 1.25
	downGain    = 0.75
	cruiseGain  = 0.99 // a largest rate errs upwards
	shortGain   = 0.85
	keepAnswers = 3   // queue on the mean, where requests are lost: two or three in a row
	keepMost    = 1.1 // gain for its sake
	windowGain  = 2   // the answers of a whole round trip may come late
	lookGain    = 0.5 // of the product
	growth      = 1.25
	flatMost    = 3
	trainLeast  = 12  // answers in a row that have waited, after which opening ends
	moreFound   = 1.1 // up has found more
	spareUnits  = 3   // answers above the product, as they come in lumps
	cruiseMin   = 3
	openQueue   = 15 * time.Millisecond // that all answers of a round meet: the path is full
	lookSpan    = 200 * time.Millisecond
	cycleMost   = 2 * time.Second
	oldModel    = 30 * time.Second // silence after which the path is unknown again
)

func newModel(most int) *modelControl {
	m := &modelControl{tally: opened(most)}
	m.noise.strict = true
	return m
}

func (m *modelControl) sent(now time.Time, n, inFlight int) stamp {
	st := m.noteSent(now, n, inFlight)
	st.limited = st.limited || m.limit > 0 && m.phase != opening || m.phase == look || m.breaker.open()
	st.group = m.number
	if m.inFlight+m.unit > m.window() {
		m.round.full = true
	}
	g := &m.groups[m.number%uint32(len(m.groups))]
	if g.sent == 0 {
		g.begun, g.phase = st.at, m.phase
	}
	g.sent++
	g.limited = g.limited || st.limited
	g.most = max(g.most, m.inFlight)
	return st
}

func (m *modelControl) answered(now time.Time, st stamp, n, inFlight int) {
	ended := m.noteAnswer(now, st, n, inFlight)
	at := m.since(now)
	if m.limit > 0 {
		m.limit = min(m.limit+n, m.most)
		if m.phase != opening && m.limit >= m.wanted() {
			m.limit = 0
		}
	} else if m.phase == opening {
		m.limit = m.start()
	}
	if g := m.groupOf(st); g != nil {
		g.answered(at, st)
		if !st.again {
			g.queue = max(g.queue, m.queue())
		}
		m.judgeWhole(at)
	}
	if g := m.current(); g.sent >= groupLeast && st.at >= g.begun && !st.again {
		m.nextGroup(at)
	}
	if m.phase == opening && m.train(st) && m.rate() > 0 {
		m.enter(drain, at)
	}
	if ended {
		m.rounds++
		if m.phase == opening && m.queued() && m.rate() > 0 { // without a rate there is nothing to drain to
			m.enter(drain, at)
		}
		m.round = round{}
	}
	m.leave(at)
}

func (m *modelControl) lost(now time.Time, st stamp, _, inFlight int) {
	m.noteLost(now, inFlight)
	if g := m.groupOf(st); g != nil {
		g.lost++
		m.judgeWhole(m.since(now))
	}
}

func (m *modelControl) timeout(now time.Time) {
	m.silence(m.since(now))
	m.limit = floorAnswers * m.unit
}

func (m *modelControl) restart(now time.Time) {
	m.silence(m.since(now))
	m.limit = max(m.start(), restAnswers*m.unit)
}

// silence forgets what is too old to be true.
func (m *modelControl) silence(at time.Duration) {
	if at-m.turned < oldModel {
		return
	}
	m.rates, m.short, m.flat, m.high = [2]float64{}, 0, 0, 0
	m.base = base{}
	m.enter(opening, at)
}

func (m *modelControl) starved(time.Time) { m.noteStarved() }

func (m *modelControl) window() int {
	w := m.wanted()
	if m.limit > 0 {
		w = min(w, m.limit)
	}
	return m.clamp(float64(w))
}

// wanted is the window but for silence and bounds.
func (m *modelControl) wanted() int {
	w := windowGain*m.product() + spareUnits*m.unit
	switch {
	case m.phase == opening && m.limit == 0:
		return m.start()
	case m.phase == opening:
		return m.limit
	case m.phase == look:
		return int(lookGain * float64(m.product()))
	case m.high > 0:
		return min(w, m.high)
	}
	return w
}

func (m *modelControl) pace() float64 {
	if m.base.is < wakeGrain {
		return 0
	}
	gain := m.steady()
	switch m.phase {
	case opening:
		return max(openGain*float64(m.wanted())/m.base.is.Seconds()*m.breaker.factor(), 1)
	case drain:
		gain = drainGain
	case up: // by an answer at least, if few fit the path
		gain = max(upGain, 1+float64(m.unit)/float64(max(m.product(), 1)))
	case down:
		gain = downGain
	}
	return max(gain*m.rate()*m.breaker.factor(), 1)
}

// steady is the gain while nothing is tried. A request that is lost leaves a hole in which the path stands still, unless answers wait: so
// where they meet less than a queue of keepAnswers, what is lacking is asked for within a round trip. A path whose queue is too short to be
// seen keeps none, and never more than a quarter of the longest one.
func (m *modelControl) steady() float64 {
	if m.noise.top <= 4*noQueue || m.base.is == 0 {
		return cruiseGain
	}
	lacks := min(keepAnswers*m.base.own, m.noise.top/4) - max(m.queue()-m.base.own, 0)
	return min(max(1+float64(lacks)/float64(m.base.is), cruiseGain), keepMost)
}

// rate is the path's, as far as it is known, in bytes a second.
func (m *modelControl) rate() float64 {
	r := max(m.rates[0], m.rates[1])
	if m.short > 0 {
		r = min(r, m.short)
	}
	return r
}

// product is what fits the path without a queue, in bytes.
func (m *modelControl) product() int {
	p := m.rate() * m.breaker.factor() * max(m.base.is, baseGrain).Seconds()
	return int(min(p, float64(m.most)))
}

// queued says that the round's answers have waited, all of them.
func (m *modelControl) queued() bool {
	return m.round.got >= groupSpans && m.round.min > m.base.is+m.openMost()
}

// openMost is the delay above the base from which on an answer has waited.
func (m *modelControl) openMost() time.Duration {
	return max(min(m.base.is/8, openQueue), 2*noQueue)
}

// train is told of an answer while the path is opened, and says that so many in a row have waited that it is full: their pace is the
// path's, and another round would only overflow the queue.
func (m *modelControl) train(st stamp) bool {
	switch {
	case st.again:
	case m.queue() > m.openMost():
		m.waited++
	default:
		m.waited = 0
	}
	return m.waited >= trainLeast
}

func (m *modelControl) enter(p phase, at time.Duration) {
	if m.phase == opening {
		m.limit = 0
	}
	m.phase, m.entered, m.rounds = p, at, 0
	m.opening, m.waited = p == opening, 0
	m.nextGroup(at)
	m.sends = 0
	switch p {
	case up:
		m.before, m.short = m.rate(), 0
		m.turnRates(at)
	case cruise:
		// Not all peers' cycles should fall together: what has come so far is
		// as good as a random number.
		m.cruises = cruiseMin + int(m.delivered>>8)%3
	case look:
		m.base.next = 0
	}
}

// turnRates forgets the largest rate of the cycle before the last.
func (m *modelControl) turnRates(at time.Duration) {
	if m.rates[0] > 0 {
		m.rates[1], m.rates[0] = m.rates[0], 0
		m.cycle = at
	}
}

func (m *modelControl) current() *group { return &m.groups[m.number%uint32(len(m.groups))] }

// groupOf returns the group that a request was sent in, nil if it is forgotten.
func (m *modelControl) groupOf(st stamp) *group {
	g := &m.groups[st.group%uint32(len(m.groups))]
	if g.id != st.group || g.sent == 0 {
		return nil
	}
	return g
}

// nextGroup closes the group that is being sent and begins another.
func (m *modelControl) nextGroup(at time.Duration) {
	g := m.current()
	if g.sent == 0 {
		return
	}
	g.closed = true
	m.sends++
	m.number++
	if old := m.current(); old.sent > 0 {
		m.judge(at, old)
	}
	*m.current() = group{id: m.number}
}

// judgeWhole judges groups whose fate is known.
func (m *modelControl) judgeWhole(at time.Duration) {
	for i := range m.groups {
		if g := &m.groups[i]; g.sent > 0 && g.whole() {
			m.judge(at, g)
		}
	}
}

// judge takes in what a group has shown, and forgets it.
func (m *modelControl) judge(at time.Duration, g *group) {
	rate, excess := g.rate(&m.noise), m.noise.excess(g.lost, g.got+g.lost) && (m.phase == opening || m.mayOverflow(g))
	if g.phase == drain || g.phase == down || g.phase == look {
		m.noise.quiet(g.lost, g.got+g.lost)
	}
	if g.limited && rate < m.rate() {
		rate = 0
	}
	if at-m.cycle > max(20*m.base.is, cycleMost) && rate > 0 {
		m.turnRates(at)
	}
	old := m.rates[0]
	m.rates[0] = max(m.rates[0], rate)
	if r := m.rate(); r > 0 {
		m.base.own = time.Duration(min(float64(m.unit)/r, 1) * float64(time.Second))
	}
	switch {
	case m.phase == opening:
		m.open(at, rate, old, excess)
	case g.phase == up && excess:
		m.high, m.climb = max(m.product()+spareUnits*m.unit, g.most*9/10), 1
		if m.phase == up {
			m.enter(down, at)
		}
	case g.phase == up && m.high > 0 && g.most+m.unit > m.high:
		m.high = min(m.high+m.climb*m.unit, m.most)
		m.climb = min(2*m.climb, 1<<10)
	case g.phase == cruise && m.phase == cruise && excess && rate > 0:
		m.short = max(rate, shortGain*m.rate())
	}
	if g.phase == up && rate > moreFound*m.before && m.phase != up && !excess {
		m.enter(up, at) // there was more: go on
	}
	*g = group{}
}

// mayOverflow says whether a group's losses may be those of a full queue: where there is a queue at all, some of its answers have met a
// long one then. Runs of noise, which come without, are no reason to slow down.
func (m *modelControl) mayOverflow(g *group) bool {
	return g.got == 0 || m.noise.top <= 4*noQueue || g.queue >= m.noise.top/2
}

// open is told of a group of opening, of its rate and the largest one before.
func (m *modelControl) open(at time.Duration, rate, old float64, excess bool) {
	switch {
	case rate == 0:
		return
	case rate > growth*old:
		m.flat = 0
		return
	}
	m.flat++
	if excess || m.flat >= flatMost {
		m.enter(drain, at)
	}
}

// leave goes to the next phase when this one has done its work.
func (m *modelControl) leave(at time.Duration) {
	switch m.phase {
	case drain:
		if m.inFlight <= m.product() || m.sends >= 4 {
			m.enter(cruise, at)
		}
	case cruise:
		switch {
		case at-m.base.seen > baseSpan:
			m.enter(look, at)
		case m.sends >= m.cruises:
			m.enter(up, at)
		}
	case up:
		if m.sends >= 1 {
			m.enter(down, at)
		}
	case down:
		if m.sends >= 1 && (m.inFlight <= m.product() || m.sends >= 4) {
			m.enter(cruise, at)
		}
	case look:
		if m.rounds >= 2 && at-m.entered >= min(lookSpan, 4*m.base.is) {
			m.base.turn(at)
			m.enter(cruise, at)
		}
	}
}

func (m *modelControl) fits() int {
	if m.phase == opening || m.phase == drain { // until the queue is empty that opening has built
		return 0
	}
	return m.product()
}
