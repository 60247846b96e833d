package netsim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The heap gives events out as a sort would, pushed and popped in any mixture.
func TestEventsComeInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	realms := []*realm{{id: 0}, {id: 1}}
	for range 200 {
		var q events
		var model []*event
		sorted := func(a, b *event) int {
			switch x, y := (entry{a.due, a}), (entry{b.due, b}); {
			case x.before(y):
				return -1
			case y.before(x):
				return 1
			}
			return 0
		}
		for i := range 100 {
			if rng.IntN(3) == 0 && len(model) > 0 {
				slices.SortFunc(model, sorted)
				if e := q.pop(); e != model[0] {
					t.Fatalf("popped %+v, want %+v", e, model[0])
				}
				model = model[1:]
				continue
			}
			host := func() netip.AddrPort { return netip.AddrPortFrom(here.Addr(), uint16(rng.IntN(3))) }
			e := &event{due: time.Duration(rng.IntN(5)), kind: uint8(rng.IntN(4)), realm: realms[rng.IntN(2)], from: host(), to: host(), seq: uint64(i)}
			q.push(e)
			model = append(model, e)
		}
	}
}

// For one instant: what changes the network first, then what is sent by order of place, sender and receiver, and
// only then of what was first.
func TestOrderOfOneInstant(t *testing.T) {
	inner := &realm{id: 1}
	want := []event{
		{kind: changes, realm: inner, from: there, to: there, seq: 8},
		{kind: enters, realm: &realm{}, from: there, to: there, seq: 7},
		{kind: enters, realm: inner, from: here, to: there, seq: 6},
		{kind: enters, realm: inner, from: there, to: here, seq: 5},
		{kind: enters, realm: inner, from: there, to: there, seq: 3},
		{kind: enters, realm: inner, from: there, to: there, seq: 4},
		{kind: arrives, realm: inner, from: there, to: there, seq: 1},
		{kind: arrives, realm: inner, from: here, to: here, seq: 2},
		{kind: remains, realm: inner, from: here, to: here, seq: 0},
	}
	for i := range want {
		for j := range want {
			if got := want[i].before(&want[j]); got != (i < j) {
				t.Errorf("%d before %d: %t", i, j, got)
			}
		}
	}
}

// Buffers are used again, and none is handed out twice.
func TestStore(t *testing.T) {
	var s store
	for _, size := range []int{0, 1, 256, 257, 1536, 5600, 8192, 65507} {
		e := s.take(size)
		if len(e.room) < size || len(e.room) > max(256, 8*size) {
			t.Errorf("%d bytes of room for %d", len(e.room), size)
		}
		other := s.take(size)
		if e == other || &e.room[0] == &other.room[0] {
			t.Fatal("one buffer twice")
		}
		e.packets, e.lane = 3, &lane{}
		s.give(e, other)
		again, twice := s.take(size), s.take(size)
		if again == twice || again != other && again != e || twice != other && twice != e || again.lane != nil || twice.packets != 0 {
			t.Errorf("%d bytes: %p and %p come back as %+v and %+v", size, e, other, again, twice)
		}
	}
	e := s.take(100_000) // forged
	e.fill(make([]byte, 100_000))
	if len(e.data) != 100_000 {
		t.Errorf("%d bytes", len(e.data))
	}
}

// With a tick readers wait for its end, taps do not.
func TestTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tick = 10 * time.Millisecond
		w := New(1, Link{Delay: 33 * time.Millisecond})
		defer w.Close()
		start := time.Now()
		var seen []string
		w.TapAll(func(p Packet) { seen = append(seen, fmt.Sprint(p.Outcome, " ", p.At.Sub(start))) })
		a := w.Host(here)
		in := receive(w.Host(there).Readers()[0])
		settleFor(tick - 1)
		w.SetTick(tick)
		send(t, a, there, []byte("early")) // arrives at 42.999999 ms
		settleFor(1)
		send(t, a, there, []byte("late")) // arrives at 43 ms
		settleFor(tick)
		send(t, a, there, []byte("next")) // at 53 ms
		settle()
		if got := fmt.Sprint(in.after); got != "[50ms 50ms 60ms]" {
			t.Errorf("read after %s", got)
		}
		w.SetTick(0)
		send(t, a, there, []byte("exact"))
		settle()
		w.TapAll(nil)
		want := "[sent 9.999999ms sent 10ms sent 20ms delivered 42.999999ms delivered 43ms delivered 53ms sent 1m0.02s delivered 1m0.053s]"
		if got := fmt.Sprint(seen); got != want || in.after[3] != 60*time.Second+53*time.Millisecond {
			t.Errorf("the tap saw %s, the last was read after %v", got, in.after[3])
		}
	})
}

// A bubble in which everything waits for nothing is found out: no timer of the network hides it.
func TestNothingToComeIsNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, Link{})
		a := w.Host(here)
		in := receive(w.Host(there).Readers()[0])
		send(t, a, there, []byte("x"))
		settle()
		w.postbox.mu.Lock()
		defer w.postbox.mu.Unlock()
		if len(in.data) != 1 || w.postbox.wake != never || w.postbox.timer.Stop() {
			t.Errorf("%d arrived, the next look is at %v", len(in.data), w.postbox.wake)
		}
		go w.Close()
	})
}
