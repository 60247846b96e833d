package transfer

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// MaxSmall is how many bytes a content has at most that is fetched together with others.
const MaxSmall = 1 << slotShift

const (
	slotShift    = 18
	slotMask     = 1<<16 - 1
	manyOut      = 4096     // contents that are asked for, or wait to be dealt with
	manyWaits    = 8 << 20  // bytes that have come and are not dealt with yet: nothing more is asked for beyond
	manyHeld     = 32 << 20 // bytes of contents that are asked for, an equal part for each peer: eleven times what is on the way at most
	manyPeers    = 8        // a bit each
	manyLost     = 2        // answers in vain after which a peer counts as one that has not the content
	manyMisses   = 16       // such contents, more than a quarter of what it gave, after which a peer is not asked any more
	manyProof    = time.Second
	manyNever    = 2               // timeouts in a row that end it with a peer that has never answered
	manySilent   = 4               // the same of one that has, not before
	manyPatience = 5 * time.Second // since its last answer: a shadow on the path, or a busy machine, is less
	manySlow     = 2 * time.Second // after which it may be said how long a content takes
	manyLook     = 100 * time.Millisecond
)

// Small is a content of 1 to MaxSmall bytes.
type Small struct {
	BLAKE3 chunk.Hash
	Size   int64
}

// Many is what fetching many small contents together needs; see Config.
type Many struct {
	Items []Small
	// Take is given the bytes of Items[i], which are what the id says, until it returns. Workers goroutines call it.
	Take    func(i int, data []byte)
	Workers int

	Batch      Batch
	Peers      Peers
	Find       func(n int) []netip.AddrPort // at most n addresses that may hold them, best first
	Up, Down   *Limit
	Share      *Limit
	Rand       *rand.Rand
	Congestion Congestion
	Progress   func(ManyProgress) // called from the loop, at most ten times a second; may be nil
}

// ManyProgress is one look at what is fetched together.
type ManyProgress struct {
	Waiting int64 // bytes that have come of contents that are not dealt with
	Asked   int   // peers asked
	Sources int   // peers that sent something
}

// RunMany fetches contents that are in memory as a whole before they are checked: so they need no tree, no file of what has
// come, and nothing of their own but a number and their bytes. They share one window to each peer, one loop, and the datagrams of the
// questions. It is for peers that have proven their address and answer raw, and it blames nobody: whatever
// does not come so, or is not what its id says, is for a Download, which looks for everybody and finds out who lied.
// It returns the indices of those items, in order, and how many bytes of others were fetched.
func (ds *Downloads) RunMany(ctx context.Context, c Many) (left []int, fetched int64) {
	m := newMany(c, ds.share)
	ds.addMany(m)
	var workers sync.WaitGroup
	for range max(c.Workers, 1) {
		workers.Go(func() { m.deal(ctx) })
	}
	m.run(ctx)
	ds.removeMany(m)
	left = m.rest(&workers)
	for _, g := range m.givers {
		g.report(c.Peers)
	}
	return left, m.fetched.Load()
}

// rest waits for the workers, and returns what is left to be fetched, in order.
func (m *many) rest(workers *sync.WaitGroup) []int {
	close(m.work)
	go func() {
		workers.Wait() // and they for room in m.bad
		close(m.bad)
	}()
	for c := range m.bad {
		m.left = append(m.left, c.item)
	}
	slices.Sort(m.left)
	return m.left
}

// many is one RunMany. Its loop owns all but what is between it and the workers.
type many struct {
	cfg    Many
	limits limits
	prefix wire.Handle // of the handles of its answers; the lowest 16 bits say which content
	inbox  *inbox
	gained chan netip.AddrPort
	plain  chan netip.AddrPort // who answered in base64
	share  func() int

	work    chan *coming // whole, to be checked and taken
	bad     chan *coming // not what the id says, or not dealt with at the end
	freed   chan struct{}
	waits   atomic.Int64 // bytes in work, or with a worker
	dealing atomic.Int64 // contents, likewise
	fetched atomic.Int64
	stuck   atomic.Bool // the loop waits for freed

	givers  []*giver
	byAddr  map[netip.AddrPort]*giver
	next    int // of the items: not asked for yet
	again   again
	tried   map[int]uint8 // of items that did not come: of whom they were asked, a bit each
	left    []int
	coming  map[uint16]*coming
	seq     uint16
	partly  int64 // bytes that have come of those
	lump    lump
	asking  manyAsk
	turn    int
	looked  time.Time // for what takes too long
	started time.Time
	told    time.Time
	stop    time.Time // the limiter says: not before
	wake    time.Time
}

func newMany(c Many, share func() int) *many {
	return &many{
		cfg: c, limits: limits{up: c.Up, down: c.Down, share: c.Share}, share: share, inbox: newInbox(), gained: make(chan netip.AddrPort, 16), plain: make(chan netip.AddrPort, 16),
		byAddr: map[netip.AddrPort]*giver{}, coming: map[uint16]*coming{}, tried: map[int]uint8{},
		work: make(chan *coming, manyOut), bad: make(chan *coming, manyOut), freed: make(chan struct{}, 1),
	}
}

// coming is a content that is being fetched, of one peer.
type coming struct {
	item int
	from time.Time // it was begun then
	slot uint16
	of   *giver
	data []byte
	each int // bytes of a part, the last one apart
	next int // part that is to be asked for
	came [4]uint64
	left int // parts that have not come
	lost int // answers that did not come
	dry  int // of them, since a part has come
	vain int // of them, of the first part
}

func (c *coming) parts() int { return (len(c.data) + c.each - 1) / c.each }

func (c *coming) part(i int) []byte { return c.data[i*c.each : min((i+1)*c.each, len(c.data))] }

func (c *coming) has(i int) bool { return c.came[i/64]>>(i%64)&1 != 0 }

// takes is how long the rest of it will take, by what has come so far; 0: it is too early to say.
func (c *coming) takes(now time.Time) time.Duration {
	age, got := now.Sub(c.from), c.parts()-c.left
	switch {
	case age < manySlow:
		return 0
	case got == 0:
		return time.Hour
	}
	return age * time.Duration(c.left) / time.Duration(got)
}

func (c *coming) request(i int) request {
	return request{at: int64(c.slot)<<slotShift | int64(i*c.each)}
}

// giver is a peer that is asked.
type giver struct {
	source
	bit    uint8
	cur    *coming // not all of it was asked for yet
	lost   []request
	later  []askLater // in the order of their times, nearly
	held   int        // bytes of contents that it is asked for
	gone   bool       // not asked any more
	gave   int        // contents
	missed int        // contents that it did not give
}

func (g *giver) report(p Peers) {
	if rtt := g.rtt.Smoothed(); rtt > 0 {
		p.Answered(g.addr, rtt)
	}
}

// deal checks what has come and hands it on.
func (m *many) deal(ctx context.Context) {
	for c := range m.work {
		n := int64(len(c.data))
		switch {
		case ctx.Err() != nil || chunk.Root(c.data) != m.cfg.Items[c.item].BLAKE3:
			m.bad <- c
		default:
			m.cfg.Take(c.item, c.data)
			m.fetched.Add(n)
			giveBytes(c.data)
		}
		m.dealing.Add(-1)
		if m.waits.Add(-n) <= manyWaits/2 && m.stuck.CompareAndSwap(true, false) {
			select {
			case m.freed <- struct{}{}:
			default:
			}
		}
	}
}

func (m *many) run(ctx context.Context) {
	m.started = time.Now()
	m.addGivers(m.cfg.Find(maxAsked))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil && !m.over(time.Now()) {
		now := time.Now()
		wait := m.plan(now)
		m.closeAsk(now)
		_ = m.cfg.Batch.Flush() // what did not leave is asked for again after its timeout
		m.tell(now)
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-m.inbox.ready:
			m.drain()
		case <-m.freed:
		case c := <-m.bad:
			m.wrong(c)
		case a := <-m.gained:
			m.addGivers([]netip.AddrPort{a})
		case a := <-m.plain:
			m.answersPlain(a, now)
		case <-timer.C:
		}
	}
	for _, c := range m.coming {
		m.left = append(m.left, c.item)
	}
	m.left = append(m.left, m.again.all()...)
	for ; m.next < len(m.cfg.Items); m.next++ {
		m.left = append(m.left, m.next)
	}
}

// over says whether nothing is left to be done here.
func (m *many) over(now time.Time) bool {
	if m.next == len(m.cfg.Items) && m.again.n == 0 && len(m.coming) == 0 {
		return true
	}
	for _, g := range m.givers {
		if !g.gone && (g.proven || g.answers) {
			return false
		}
	}
	return now.Sub(m.started) >= manyProof
}

func (m *many) tell(now time.Time) {
	if m.cfg.Progress == nil || now.Sub(m.told) < progressEvery {
		return
	}
	m.told = now
	p := ManyProgress{Waiting: m.partly + m.waits.Load(), Asked: len(m.givers)}
	for _, g := range m.givers {
		if g.answers {
			p.Sources++
		}
	}
	m.cfg.Progress(p)
}

func (m *many) addGivers(addrs []netip.AddrPort) {
	for _, a := range addrs {
		if len(m.givers) == manyPeers {
			return
		}
		if m.byAddr[a] != nil || !m.cfg.Peers.Proven(a) {
			continue
		}
		bit := uint8(len(m.givers))
		g := &giver{source: *newSource(bit, a, m.cfg.Congestion.newControl()), bit: bit}
		g.proven, g.answered = true, time.Now()
		m.givers, m.byAddr[a] = append(m.givers, g), g
	}
}

// drain takes what has arrived.
func (m *many) drain() {
	m.lump = m.inbox.take(m.lump)
	for i := range m.lump.answers {
		m.arrive(m.lump.answer(i))
	}
}

// arrive takes one answer. What was not asked for, of who was not asked, or without our cookie, changes nothing.
func (m *many) arrive(a *arrival) {
	g := m.byAddr[a.from]
	if g == nil || g.gone || !a.proven {
		return
	}
	fl, ok := g.flights.out[request{at: a.offset}.key()]
	if !ok {
		return
	}
	if step := int(fl.each); a.n > step && g.takesApart(a) == step {
		around := (a.size - a.n) / (a.n / step)
		for at := 0; at < a.n; at += step {
			one := *a
			one.data = a.data[at:min(at+step, a.n)]
			one.n = len(one.data)
			one.offset, one.size = a.offset+int64(at), one.n+around
			m.arriveOne(g, &one)
		}
		return
	}
	m.arriveOne(g, a)
}

func (m *many) arriveOne(g *giver, a *arrival) {
	r := request{at: a.offset}
	fl, ok := g.flights.answer(r)
	if !ok {
		return
	}
	if fl.stamp.late = g.trip(fl, a.at); fl.stamp.late {
		g.cameLate(fl, a.at)
	}
	g.took(m.limits, fl, a)
	g.answers = true
	c, i, ok := m.partOf(g, r)
	if !ok {
		return
	}
	switch {
	case a.eof >= 0 && a.eof != int64(len(c.data)):
		m.miss(c) // the folder, or the peer, says what is not so
	case c.has(i):
	case a.n != len(c.part(i)):
		m.missing(g, r, a.at)
	default:
		copy(c.part(i), a.data)
		c.came[i/64] |= 1 << (i % 64)
		c.dry = 0
		m.partly += int64(a.n)
		if c.left--; c.left == 0 {
			g.gave++
			m.hand(c)
		}
	}
}

// partOf is what a question of g was for. False: that is not asked for any more, and its slot may be another content's.
func (m *many) partOf(g *giver, r request) (c *coming, part int, ok bool) {
	c = m.coming[uint16(r.at>>slotShift)]
	if c == nil || c.of != g {
		return nil, 0, false
	}
	in := int(r.at & (MaxSmall - 1))
	if part = in / c.each; in%c.each != 0 || part >= c.parts() {
		return nil, 0, false
	}
	return c, part, true
}

// hand gives a content to the workers, for which there is always room: manyOut bounds what is anywhere.
func (m *many) hand(c *coming) {
	m.end(c)
	m.waits.Add(int64(len(c.data)))
	m.dealing.Add(1)
	m.work <- c
}

// end takes a content out of those that are asked for.
func (m *many) end(c *coming) {
	delete(m.coming, c.slot)
	c.of.held -= len(c.data)
	for i := range c.parts() {
		if c.has(i) {
			m.partly -= int64(len(c.part(i)))
		}
	}
	if c.of.cur == c {
		c.of.cur = nil
	}
}

// missing is told that an answer did not come, or not as it was asked for.
func (m *many) missing(g *giver, r request, now time.Time) {
	c, part, ok := m.partOf(g, r)
	if !ok || c.has(part) {
		return
	}
	first, none := part == 0, c.left == c.parts()
	c.lost++
	if c.dry++; first {
		c.vain++
	}
	switch {
	case none && c.vain >= manyLost, c.lost > c.parts()*manyLost+16, c.dry > c.left*manyLost+16:
		m.miss(c)
	case none && first && c.vain > 1: // it may be that it was overtaken, and comes
		g.later = append(g.later, askLater{r, now.Add(g.rto(now))})
	default:
		g.lost = append(g.lost, r)
	}
}

// askLater is a question that is asked again after a while.
type askLater struct {
	request
	at time.Time
}

// miss is told that a peer does not give a content. One that has only some is not for here.
func (m *many) miss(c *coming) {
	g := c.of
	g.missed++
	m.elsewhere(c)
	if g.missed >= manyMisses && g.missed > g.gave/4 {
		m.drop(g)
	}
}

// elsewhere has a content asked for of somebody who was not asked, if there is one.
func (m *many) elsewhere(c *coming) {
	m.end(c)
	giveBytes(c.data)
	m.tried[c.item] |= 1 << c.of.bit
	m.retry(c.item)
}

func (m *many) retry(item int) {
	for _, g := range m.givers {
		if !g.gone && m.tried[item]>>g.bit&1 == 0 {
			m.again.put(item, m.tried[item])
			return
		}
	}
	m.left = append(m.left, item)
}

// drop ends the dealings with a peer. What it was asked for is asked of others.
func (m *many) drop(g *giver) {
	if g.gone {
		return
	}
	g.gone = true
	for _, c := range m.coming {
		if c.of == g {
			m.elsewhere(c)
		}
	}
	for _, item := range m.again.all() {
		m.retry(item)
	}
}

// wrong is told of a content that is not what its id says. Who gave it is asked no more.
func (m *many) wrong(c *coming) {
	m.drop(c.of)
	m.tried[c.item] |= 1 << c.of.bit
	m.retry(c.item)
}

// answersPlain is told that somebody has answered in base64, which is not for here.
func (m *many) answersPlain(a netip.AddrPort, now time.Time) {
	g := m.byAddr[a]
	if g == nil || g.answers {
		return
	}
	if g.raw.plain++; g.raw.plain >= plainLeast {
		m.drop(g)
		return
	}
	g.flights.giveUp(func(r request, _ flight) { m.missing(g, r, now) })
}
