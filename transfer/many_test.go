package transfer

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sharer/wire"
)

// manyOf is the fetching of contents of these sizes from one peer that has answered raw, and what it asks.
func manyOf(addr string, sizes ...int) (*many, *giver, *questions) {
	out := &questions{}
	at := netip.MustParseAddrPort(addr)
	c := Many{Batch: out, Peers: nobody{}, Find: func(int) []netip.AddrPort { return []netip.AddrPort{at} }, Rand: rand.New(rand.NewPCG(1, 2))}
	for _, n := range sizes {
		c.Items = append(c.Items, Small{Size: int64(n)})
	}
	m := newMany(c, func() int { return maxWindow })
	m.prefix, m.started = 1<<16, time.Now()
	m.addGivers(c.Find(1))
	g := m.givers[0]
	g.answers, g.raw, g.each.known, g.control = true, rawness{speaks: true, heard: true}, true, wide{g.control}
	return m, g, out
}

// reply has a raw answer of g arrive, with n bytes from at on of the content in a slot.
func (m *many) reply(g *giver, slot uint16, at int64, n int, now time.Time) {
	m.raw(wire.Sender{Addr: g.addr, Proven: true, At: now, Size: n + 100}, wire.Content{For: m.prefix | wire.Handle(slot), Raw: n, Offset: at, EOF: -1}, make([]byte, n))
	m.drain()
}

// Whatever length an answer has, what fits no question brings nothing, and ends nothing.
func TestSmallAnswersOfAnyLength(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:5", "192.0.2.1:5"} {
		for _, size := range []int{1, 512, 1000, 1233, 4096, 20_480, 40_961, MaxSmall} {
			for _, more := range []int{-1, 1, 3, 4, 100, 2000, 20_000} {
				for _, last := range []bool{false, true} {
					m, g, _ := manyOf(addr, size)
					now := time.Now()
					m.plan(now)
					c := m.coming[0]
					part := 0
					if last {
						part = c.parts() - 1
					}
					n := len(c.part(part)) + more
					if _, ok := g.flights.out[c.request(part).key()]; !ok || n < 0 || part*c.each+n > MaxSmall {
						continue
					}
					m.reply(g, c.slot, int64(part*c.each), n, now)
					if got := c.parts() - c.left; got > 0 && (more < 0 || len(c.part(part)) < c.each) {
						t.Errorf("%s, %d bytes: %d of %d at part %d were taken", addr, size, n, len(c.part(part)), part)
					}
				}
			}
		}
	}
}

// A slot is another content's after a while. What comes late of who had it before, longer and in other parts, is not taken for that of
// who has it now.
func TestSlotsAreUsedAgain(t *testing.T) {
	m, g, _ := manyOf("192.0.2.1:5", MaxSmall)
	now := time.Now()
	m.plan(now)
	long := m.coming[0]
	last := long.request(long.parts() - 1)
	g.flights.giveUp(func(r request, _ flight) { g.lost = append(g.lost, r) })
	m.coming[0], g.cur = &coming{of: g, data: make([]byte, 3), each: 3, left: 1}, nil
	for _, r := range []request{last, long.request(1)} {
		m.missing(g, r, now)
		m.reply(g, 0, r.at, len(long.part(1)), now)
	}
	if c, _, fresh := m.pick(g, now); c != m.coming[0] || fresh || c.left != 1 || len(g.lost) != 0 {
		t.Errorf("%+v is to be asked for, new %v; then %d that were lost", c, fresh, len(g.lost))
	}
}

// lingers drives the fetching of contents from a peer that gives all but one part of each, and returns how much of them was held at most.
func lingers(m *many, g *giver, most time.Duration) (held int) {
	for now, end := time.Now(), time.Now().Add(most); now.Before(end) && !g.gone; now = now.Add(20 * time.Millisecond) {
		m.plan(now)
		m.closeAsk(now)
		g.silent = 0
		sum := 0
		for _, c := range m.coming {
			sum += cap(c.data)
			for i := 1; i < c.parts() && c.left > 1; i++ {
				m.reply(g, c.slot, int64(i*c.each), len(c.part(i)), now)
			}
		}
		held = max(held, sum)
	}
	return held
}

// Who gives all of each content but one part fills no memory, and is soon done with.
func TestNothingWholeComes(t *testing.T) {
	sizes := make([]int, 3000)
	for i := range sizes {
		sizes[i] = MaxSmall
	}
	m, g, _ := manyOf("192.0.2.1:5", sizes...)
	g.control = endless{g.control}
	m.share = func() int { return 1 << 30 }
	held := lingers(m, g, 30*time.Second)
	if held == 0 || held > 2*manyHeld || !g.gone {
		t.Errorf("%d MiB are held; ended: %v", held>>20, g.gone)
	}
}

// endless is a control that lets out whatever is to be asked.
type endless struct{ control }

func (endless) window() int   { return 1 << 30 }
func (endless) pace() float64 { return 0 }

// More contents that are wrong than the way back has room for end it all the same.
func TestManyWrong(t *testing.T) {
	m, _, _ := manyOf("192.0.2.1:5")
	m.cfg.Items = []Small{{Size: 1}}
	var workers sync.WaitGroup
	workers.Go(func() { m.deal(t.Context()) })
	const some = 2*manyOut + 1 // what m.work and m.bad have room for, and one with the worker
	for range some {
		m.work <- &coming{data: []byte{1}}
	}
	if left := m.rest(&workers); len(left) != some {
		t.Errorf("%d of %d are left", len(left), some)
	}
}

// banned is a swarm that lets nothing be asked of anybody for an hour.
type banned struct{ nobody }

func (banned) MayRequest(_ netip.AddrPort, now time.Time) (bool, time.Time) {
	return false, now.Add(time.Hour)
}

// Who is banned for what it did elsewhere is done with at once, and so is what it was to be asked for.
func TestManyOfWhoIsBanned(t *testing.T) {
	m, g, out := manyOf("192.0.2.1:5", 3, 5)
	m.cfg.Peers = banned{}
	now := time.Now()
	m.plan(now)
	m.closeAsk(now)
	if len(out.asked) > 0 || !g.gone || len(m.left) != 1 || m.next != 1 || !m.over(now.Add(manyProof)) {
		t.Errorf("%d questions, gone %v, %v left, %d begun", len(out.asked), g.gone, m.left, m.next)
	}
}
