package transfer

import (
	"encoding/hex"
	"time"

	"sharer/swarm"
	"sharer/wire"
)

// manyAsk is the datagram that is being written, with questions for one peer.
type manyAsk struct {
	to  *giver // nil: none
	n   int    // questions in it
	buf []byte
	id  []byte
}

const (
	askBytes     = 1200    // of questions in a datagram that crosses a network
	askBytesNear = 8 << 10 // on this machine
	askMost      = wire.MaxElements * 3 / 4
	askOne       = 200 // a question is no longer

	// What a short answer takes of a receive buffer with the kernel's own bookkeeping: thousands of them would overflow it.
	leastHeld = 2304
)

// plan does what the clock demands and asks what may be asked. It returns how long nothing more will be due.
func (m *many) plan(now time.Time) time.Duration {
	m.wake = now.Add(idleWait)
	for _, g := range m.givers {
		if !g.gone {
			m.expire(g, now)
		}
	}
	if len(m.givers) == 0 {
		m.addGivers(m.cfg.Find(maxAsked))
		m.wakeAt(now.Add(50 * time.Millisecond))
	}
	m.request(now)
	if m.over(now) {
		return 0
	}
	for _, g := range m.givers {
		if at, ok := g.flights.due(g.waits(now)); ok && !g.gone {
			m.wakeAt(at)
		}
	}
	return max(m.wake.Sub(now), minWake)
}

func (m *many) wakeAt(t time.Time) {
	if t.Before(m.wake) {
		m.wake = t
	}
}

// expire gives up what is overdue, and those who answer nothing.
func (m *many) expire(g *giver, now time.Time) {
	if !g.source.expire(m.limits, now, func(r request, _ flight, _ bool) { m.missing(g, r, now) }) {
		return
	}
	if g.silent >= manySilent && now.Sub(g.answered) >= manyPatience || !g.answers && g.silent >= manyNever {
		m.drop(g)
	} else if g.quiet() {
		g.control.timeout(now)
	}
}

// request tops up the windows, some requests of each peer in turn.
func (m *many) request(now time.Time) {
	if now.Before(m.stop) {
		m.wakeAt(m.stop)
		return
	}
	room := m.share()
	for _, g := range m.givers {
		room -= max(g.flights.bytes, g.flights.live*leastHeld)
	}
	const lump = 16
	for progress := true; progress && room > 0; {
		progress = false
		for i := range m.givers {
			g := m.givers[(m.turn+i)%len(m.givers)]
			for range lump {
				cost := m.askOne(g, room, now)
				if cost == 0 {
					break
				}
				room -= max(cost, leastHeld)
				progress = true
			}
		}
		m.turn++
	}
}

// blocked says whether too much waits for the workers. Then they wake the loop when there is room.
func (m *many) blocked() bool {
	if !m.full() {
		return false
	}
	m.stuck.Store(true)
	return m.full() // else it was freed between: being woken once more is no harm
}

func (m *many) full() bool {
	return m.waits.Load() > manyWaits || len(m.coming)+int(m.dealing.Load()) >= manyOut
}

// askOne asks g for parts of one content, if it may be asked now. It returns what the answers cost, 0: it was not asked.
func (m *many) askOne(g *giver, room int, now time.Time) int {
	if g.gone || g.flights.live > 0 && (!g.raw.speaks || g.quiet()) {
		return 0
	}
	c, first, fresh := m.pick(g, now)
	if c == nil {
		g.control.starved(now)
		return 0
	}
	n := m.span(g, c, first, fresh, now)
	cost := 0
	for i := first; i < first+n; i++ {
		cost += g.cost(len(c.part(i)))
	}
	if room < cost && room < m.share() || !m.mayAsk(g, cost, now) || !m.withinLimit(cost, now) || !m.write(g, c, first, n, now) {
		if !fresh {
			g.lost = append(g.lost, c.request(first))
		}
		return 0
	}
	for i := first; i < first+n; i++ {
		m.sent(g, c, i, i > first, now)
	}
	if fresh {
		if c.next += n; c.next == c.parts() {
			g.cur = nil
		}
	}
	return cost
}

// pick chooses what g is asked for: a part that was lost, else the next one of a content; fresh tells which.
func (m *many) pick(g *giver, now time.Time) (c *coming, part int, fresh bool) {
	for len(g.later) > 0 && !now.Before(g.later[0].at) {
		g.lost, g.later = append(g.lost, g.later[0].request), g.later[1:]
	}
	if len(g.later) > 0 {
		m.wakeAt(g.later[0].at)
	}
	for k := len(g.lost) - 1; k >= 0; k-- {
		r := g.lost[k]
		g.lost = g.lost[:k]
		if c, i, ok := m.partOf(g, r); ok && !c.has(i) {
			return c, i, false
		}
	}
	if g.cur == nil && !m.begin(g, now) {
		return nil, 0, false
	}
	return g.cur, g.cur.next, true
}

// begin takes the next content for g.
func (m *many) begin(g *giver, now time.Time) bool {
	if g.held >= manyHeld/len(m.givers) || m.blocked() { // the first: it gives some of each, and nothing whole
		return false
	}
	item, ok := m.item(g)
	if !ok && g.answers && !g.quiet() && (m.relieve() || m.takeOver(g, now)) {
		item, ok = m.item(g)
	}
	if !ok {
		return false
	}
	for m.coming[m.seq] != nil {
		m.seq++
	}
	c := &coming{item: item, from: now, slot: m.seq, of: g, data: takeBytes(int(m.cfg.Items[item].Size)), each: maxAnswer}
	if !g.near {
		c.each = evenly(len(c.data), rawPartBytes)
	}
	c.left = c.parts()
	m.seq++
	m.coming[c.slot] = c
	g.cur = c
	g.held += len(c.data)
	return true
}

// item takes one that g may be asked for.
func (m *many) item(g *giver) (item int, ok bool) {
	if item, ok = m.again.take(g.bit); ok {
		return item, true
	}
	if m.next == len(m.cfg.Items) {
		return 0, false
	}
	m.next++
	return m.next - 1, true
}

// relieve ends it with those who were asked and have never answered, or answer no more, when nothing else is left to be asked for. False: there
// are none.
func (m *many) relieve() (some bool) {
	for _, o := range m.givers {
		if !o.gone && (!o.answers && o.flights.live > 0 || o.quiet()) {
			m.drop(o)
			some = true
		}
	}
	return some
}

// takeOver has what others take long for asked of g, which has nothing else to do; what came of it comes again, 256 KiB of each at most. False:
// there is nothing.
func (m *many) takeOver(g *giver, now time.Time) (some bool) {
	if next := m.looked.Add(manyLook); now.Before(next) {
		m.wakeAt(next)
		return false
	}
	m.looked = now
	for _, c := range m.coming {
		if c.of != g && m.tried[c.item]>>g.bit&1 == 0 && c.takes(now) > manyPatience {
			m.elsewhere(c)
			some = true
		}
	}
	m.wakeAt(now.Add(manyLook))
	return some
}

// span is how many parts one question is for: on this machine one, which is as long as an answer can be; else so
// many that several questions fill the window, once the peer is known to answer each by a datagram of its own.
func (m *many) span(g *giver, c *coming, first int, fresh bool, now time.Time) int {
	if g.near || !fresh {
		return 1
	}
	n := min(c.parts()-first, max(min(g.control.window()/8, maxAnswer)/c.each, 1))
	if n == 1 || g.each.known {
		return n
	}
	if c.each >= leastEach && g.each.more(now, 1) {
		return 2
	}
	return 1
}

// mayAsk says whether g may get a question now whose answers cost so much.
func (m *many) mayAsk(g *giver, cost int, now time.Time) bool {
	if now.Before(g.nextAsk) {
		m.wakeAt(g.nextAsk)
		return false
	}
	if g.flights.live == 0 {
		if ok, next := m.cfg.Peers.MayRequest(g.addr, now); !ok {
			if g.nextAsk = orLater(next, now); g.nextAsk.Sub(now) > time.Second {
				m.drop(g) // it was banned, or is denied, since: nothing waits for it
				return false
			}
			m.wakeAt(g.nextAsk)
			return false
		}
	}
	g.restart(now)
	if g.windowFull(cost) {
		return false
	}
	ok, wait := g.paced(m.limits, cost, now)
	if !ok {
		m.wakeAt(now.Add(wait))
	}
	return ok
}

// withinLimit says whether the limits of all peers together let another question out and its answers come.
func (m *many) withinLimit(cost int, now time.Time) bool {
	if wait := m.limits.wait(now, cost); wait > 0 {
		m.stop = now.Add(wait)
		m.wakeAt(m.stop)
		return false
	}
	return true
}

// write puts a question into the datagram that is being written, or into a new one. To who has not answered raw yet one goes alone.
func (m *many) write(g *giver, c *coming, first, n int, now time.Time) bool {
	a := &m.asking
	most := askBytes
	if g.near {
		most = askBytesNear
	}
	if a.to != g || !g.raw.speaks || len(a.buf)+askOne > most || a.n == askMost {
		m.closeAsk(now)
		buf, ok := m.cfg.Batch.Open(g.addr, g.via, swarm.Request)
		if !ok {
			return false
		}
		a.to, a.n, a.buf = g, 0, buf
	} else {
		a.buf = append(a.buf, ',')
	}
	a.n++
	a.id = hex.AppendEncode(append(a.id[:0], "blake3/"...), m.cfg.Items[c.item].BLAKE3[:])
	q := wire.PleaseSendContent{ID: a.id, Offset: int64(first * c.each), Raw: m.prefix | wire.Handle(c.slot)}
	for i := first; i < first+n; i++ {
		q.Length += int64(len(c.part(i)))
	}
	if n > 1 {
		q.Each = int64(c.each)
	}
	a.buf = wire.AppendMessage(a.buf, &q)
	return true
}

// closeAsk sends what is being written.
func (m *many) closeAsk(now time.Time) {
	a := &m.asking
	if a.to == nil {
		return
	}
	if size := m.cfg.Batch.Close(a.buf, 0); size > 0 {
		m.limits.asked(now, a.to.addr, size)
	}
	a.to, a.buf = nil, nil
}

// sent notes that a part was asked for; next: not as the first one of its question.
func (m *many) sent(g *giver, c *coming, part int, next bool, now time.Time) {
	g.sent(m.limits, c.request(part), flight{n: int32(len(c.part(part))), part: true, each: int32(c.each), next: next, raw: true}, now)
}
