package transfer

import (
	"slices"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// direct is a download of units that the receive path is the loop of, now.
func direct(t *testing.T) *units {
	t.Helper()
	x := newUnits(1, 0)
	x.now = time.Now()
	x.s.control = wide{x.s.control}
	x.s.rtt.Sample(10 * time.Millisecond)
	x.s.least = 10 * time.Millisecond
	x.d.speed = speed{fast: true, since: x.now}
	x.d.armed = x.now // it wakes at once, and for nothing else
	x.d.direct.Store(true)
	return x
}

// ask asks for units as if it had been so long ago, and returns the first block of each.
func (x *units) ask(t *testing.T, count int, ago time.Duration) (first []int64) {
	t.Helper()
	for range count {
		if !x.d.askOne(x.s, x.now.Add(-ago)) {
			t.Fatal("nothing was asked")
		}
	}
	x.d.closeAsk(x.now)
	for _, m := range x.q.asked {
		first = append(first, m.Offset)
	}
	x.q.asked = nil
	return first
}

// unit delivers all of the unit that begins there.
func (x *units) unit(at int64) {
	u := x.s.parts.units[request{at: at}.key()]
	a := x.part(u, 0)
	a.each = a.n
	var parts [][]byte
	for i := 0; i*u.each < len(u.data); i++ {
		r, n := u.part(i)
		if n < a.n {
			x.d.straight(a, parts...)
			x.d.straight(x.part(u, i), x.data[r.at:][:n])
			return
		}
		parts = append(parts, x.data[r.at:][:n])
	}
	x.d.straight(a, parts...)
}

// What answers to later questions show to be lost is asked for again where they are taken: at the end of a download nothing else would wake the loop before the
// timeout.
func TestDirectFindsLosses(t *testing.T) {
	x := direct(t)
	lost := x.ask(t, 1, 20*time.Millisecond)[0]
	last := x.ask(t, 1, 10*time.Millisecond)[0]
	x.d.pick.done.Add(20, x.d.pick.blocks) // all else is there
	x.d.pick.stripeOf(0).want = spanMask(0, 20)
	x.unit(last)
	again := slices.ContainsFunc(x.q.asked, func(m wire.PleaseSendContent) bool { return m.Offset == lost })
	if x.d.stats.Lost != 1 || !again {
		t.Errorf("%d lost, asked for again: %v", x.d.stats.Lost, again)
	}
}

// A stripe of which the rest came while it was checked is handed over when the result is taken by whoever is the loop.
func TestDirectHandsOver(t *testing.T) {
	x := direct(t)
	x.s.gave = 1
	first := x.ask(t, 8, time.Millisecond)
	st := x.d.pick.stripeOf(first[0] / chunk.BlockSize)
	other := x.d.pick.stripeOf(first[7] / chunk.BlockSize)
	if st == other || st.missing() != 0 {
		t.Fatal("one stripe and one unit are to be out")
	}
	st.leaves, other.leaves = true, true
	x.unit(first[0])
	x.d.handIfReady(st)
	j := <-x.d.jobs
	for _, at := range first[1:7] {
		x.unit(at)
	}
	for len(x.d.inbox.ready) > 0 {
		<-x.d.inbox.ready
	}
	x.d.wrote <- &outcome{job: j, good: j.blocks}
	opened := x.d.pick.opened
	x.unit(first[7])
	if x.d.pick.opened != opened {
		t.Fatal("a stripe was opened, for which the loop is woken")
	}
	if !st.full() || len(x.d.jobs) == 0 && len(x.d.inbox.ready) == 0 {
		t.Error("nobody hands over what is whole")
	}
}

// What goes to disk is not taken by the receive path, wherever it waited; a download that is slow now is its own loop.
func TestDirectLeaves(t *testing.T) {
	x := direct(t)
	first := x.ask(t, 2, 10*time.Millisecond)
	piece := request{tree: true, at: chunk.BlockSize}
	x.s.flights.add(piece, flight{sent: x.now, n: 5})
	x.d.inbox.put(&arrival{from: x.s.addr, proven: true, at: x.now, tree: true, offset: piece.at, eof: -1}, []byte("piece"))
	<-x.d.inbox.ready
	x.unit(first[0])
	if !x.s.flights.has(piece) || len(x.d.aside.lump.answers) != 1 || string(x.d.aside.lump.bytes) != "piece" || len(x.d.aside.ready) != 1 {
		t.Errorf("a piece of the tree was taken where it was read; aside: %d", len(x.d.aside.lump.answers))
	}
	for len(x.d.inbox.ready) > 0 {
		<-x.d.inbox.ready
	}
	x.d.speed.fast = false
	x.unit(first[1])
	if len(x.d.inbox.ready) != 1 {
		t.Error("the loop is not told that it is slow")
	}
}
