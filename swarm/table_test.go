package swarm

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharer/chunk"
)

func newTestTable(t testing.TB) *Table {
	t.Helper()
	tb, err := NewTable(seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

// proveDirect gives standing as a datagram with our cookie would.
func (t *Table) proveDirect(a netip.AddrPort, c *Cookies, now time.Time) verdict {
	text := c.Make(a, now)
	return t.admit(&arrival{addr: a, class: ClassOf(a), size: 100, returned: [returnedChecks][]byte{[]byte(`{"cookie":"` + string(text[:]) + `"}`)}}, c, now)
}

// check compares the counters with the list that they count, and the caps.
func (t *Table) check() error {
	nets, groups, source := map[netip.Prefix]int{}, map[netip.Prefix]int{}, map[netip.Prefix]int{}
	unsure, given := 0, 0
	for i, e := range t.list {
		if e.at != i || t.byAddr[e.addr] != e {
			return fmt.Errorf("%s is misplaced", e.addr)
		}
		if e.class == Public {
			nets[netOf(e.addr.Addr())]++
		}
		switch {
		case e.proven:
			groups[e.group]++
		case !e.given:
			unsure++
			if e.source.IsValid() {
				source[e.source]++
			}
		}
		if e.given {
			given++
		}
	}
	switch {
	case len(t.byAddr) != len(t.list) || unsure != t.unsure || given != t.given:
		return fmt.Errorf("%d entries, %d indexed, %d unproven for %d, %d given for %d", len(t.list), len(t.byAddr), unsure, t.unsure, given, t.given)
	case len(t.list) > MaxPeers || unsure > MaxUnproven || given > MaxGiven || len(t.bans) > maxBans || len(t.selves) > maxSelves:
		return fmt.Errorf("over a cap: %d entries, %d unproven, %d given, %d bans", len(t.list), unsure, given, len(t.bans))
	}
	crowds, counted := map[netip.Prefix]int{}, map[netip.Prefix]int{}
	for k, n := range t.groups {
		crowds[k] = *n
	}
	for k, c := range t.nets {
		counted[k] = c.n
	}
	for text, e := range t.cookies {
		if e.cookie != text || e.epoch == 0 || t.byAddr[e.addr] != e {
			return fmt.Errorf("a cookie of %s was kept for too long", e.addr)
		}
	}
	for _, m := range []struct{ want, got map[netip.Prefix]int }{{nets, counted}, {groups, crowds}, {source, t.source}} {
		if len(m.want) != len(m.got) {
			return fmt.Errorf("counters %v, want %v", m.got, m.want)
		}
		for k, n := range m.want {
			if m.got[k] != n {
				return fmt.Errorf("%v counted %d, want %d", k, m.got[k], n)
			}
		}
	}
	for k, n := range nets {
		if n > MaxPerNet {
			return fmt.Errorf("%d entries of %v", n, k)
		}
	}
	return nil
}

// TestTableModel: whatever happens, in whatever order, the caps hold, the counters are right, and
// what is proven and heard is never pushed out by what is not proven.
func TestTableModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Now()
		tb := newTestTable(t)
		c, _ := NewCookies(seeded(2), now)
		addr := rapid.Custom(func(rt *rapid.T) netip.AddrPort {
			port := uint16(rapid.IntRange(0, 3).Draw(rt, "port"))
			switch rapid.IntRange(0, 5).Draw(rt, "kind") {
			case 0:
				return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(0, 9).Draw(rt, "d"))}), port)
			case 1:
				return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
			case 2:
				return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 0, 0, 0, byte(rapid.IntRange(0, 1).Draw(rt, "net")), 15: byte(rapid.IntRange(0, 60).Draw(rt, "d"))}), port)
			default: // 8 networks of many
				return netip.AddrPortFrom(netip.AddrFrom4([4]byte{5, 5, byte(rapid.IntRange(0, 7).Draw(rt, "c")), byte(rapid.IntRange(0, 60).Draw(rt, "d"))}), port)
			}
		})
		proven := func() (as []netip.AddrPort) {
			for _, e := range tb.list {
				if e.proven {
					as = append(as, e.addr)
				}
			}
			return as
		}
		g := &Gate{table: tb}
		g.around.Store(&around{})
		keeps := func(what string, f func()) {
			before := proven()
			f()
			for _, a := range before {
				if !tb.Proven(a) {
					rt.Fatalf("%s pushed out %s", what, a)
				}
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"hear": func(rt *rapid.T) {
				a, from := addr.Draw(rt, "addr"), addr.Draw(rt, "from")
				keeps("hearing", func() { tb.Hear(a, from, now) })
			},
			"hear many": func(rt *rapid.T) {
				from := addr.Draw(rt, "from")
				x := rapid.IntRange(0, 200).Draw(rt, "x")
				keeps("hearing", func() {
					for i := range 300 {
						tb.Hear(netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(x), byte(i / 40), byte(i % 40)}), 1), from, now)
					}
				})
			},
			"ask": func(rt *rapid.T) {
				q := g.query(addr.Draw(rt, "addr"), rapid.SampledFrom([]Reason{Request, Probe, Given}).Draw(rt, "why"))
				if q.refused != Allowed {
					return
				}
				var gr grant
				var theirs []byte
				may, _ := tb.may(&q, now)
				keeps("asking", func() {
					r := tb.open(&q, &gr, &theirs, now)
					if r == Allowed && !may || may && r != Allowed && r != RefusedFull {
						rt.Fatalf("%v to %s: may %v, but open says %v", q.why, q.to, may, r)
					}
				})
			},
			"stranger": func(rt *rapid.T) {
				a := addr.Draw(rt, "addr")
				n, _ := tb.Len()
				loop := ClassOf(a) == Loopback
				if !ClassOf(a).Unicast() || loop {
					return
				}
				keeps("a stranger", func() { tb.admit(&arrival{addr: a, class: ClassOf(a), size: 50, theirs: []byte("1")}, c, now) })
				if m, _ := tb.Len(); m > n {
					rt.Fatalf("a stranger was remembered: %s", a)
				}
			},
			"prove": func(rt *rapid.T) {
				a := addr.Draw(rt, "addr")
				if ClassOf(a).Unicast() && !tb.Banned(a, now) && !slices.Contains(tb.selves, a) {
					if v := tb.proveDirect(a, c, now); !v.proven {
						rt.Fatalf("%s not proven", a)
					}
				}
			},
			"give": func(rt *rapid.T) { tb.Give(now, addr.Draw(rt, "addr")) },
			"ban": func(rt *rapid.T) {
				tb.Ban(addr.Draw(rt, "addr"), now.Add(time.Duration(rapid.IntRange(0, 100).Draw(rt, "s"))*time.Second), now)
			},
			"self": func(rt *rapid.T) { tb.Self(addr.Draw(rt, "addr")) },
			"wait": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 4000).Draw(rt, "s")) * time.Second)
			},
			"due": func(rt *rapid.T) {
				todo, next := tb.due(now)
				for _, d := range todo {
					if d.at.After(now) {
						rt.Fatalf("early: %+v", d)
					}
					if rapid.Bool().Draw(rt, "did") {
						tb.did(d, now, 0)
					}
				}
				if !next.After(now) {
					rt.Fatalf("next %v is not after %v", next, now)
				}
			},
			"best": func(rt *rapid.T) {
				n := rapid.IntRange(-1, 50).Draw(rt, "n")
				ps := tb.Best(n, now, rand.New(rand.NewPCG(1, 1)))
				if len(ps) > max(n, 0) {
					rt.Fatalf("%d of %d", len(ps), n)
				}
				seen := map[netip.AddrPort]bool{}
				for _, p := range ps {
					if !p.Proven || p.Banned || seen[p.Addr] {
						rt.Fatalf("%+v", p)
					}
					seen[p.Addr] = true
				}
			},
			"": func(rt *rapid.T) {
				if err := tb.check(); err != nil {
					rt.Fatal(err)
				}
			},
		})
	})
}

// TestFullTable: 4096 proven of many networks; newcomers compete where it is crowded.
func TestFullTable(t *testing.T) {
	tb := newTestTable(t)
	now := time.Now()
	c, _ := NewCookies(seeded(2), now)
	var honest []netip.AddrPort
	for i := range 64 { // one in each of 64 /16
		honest = append(honest, netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(11 + i), 1, 1, 1}), 1))
		tb.proveDirect(honest[i], c, now)
		now = now.Add(time.Second)
	}
	for i := range 9000 / min(raceFactor, 2) { // an attacker with 4 times 65536 addresses that do answer
		tb.proveDirect(netip.AddrPortFrom(netip.AddrFrom4([4]byte{200, byte(i % 4), byte(i / 4), byte(i / 1024)}), 1), c, now)
		now = now.Add(time.Second / turnover)
		if i%500 == 0 {
			if err := tb.check(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if all, _ := tb.Len(); all != fullForUninvited {
		t.Errorf("%d entries", all)
	}
	for _, a := range honest {
		if !tb.Proven(a) {
			t.Errorf("%s was pushed out", a)
		}
	}
	for i := 0; tb.Hear(netip.AddrPortFrom(netip.AddrFrom4([4]byte{90, byte(i / 250), byte(i), 9}), 1), honest[0], now); i++ {
		if i == MaxPeers {
			t.Fatal("unproven entries find room without end")
		}
	}
	if all, unproven := tb.Len(); all-unproven != fullForUninvited {
		t.Errorf("something unproven pushed out something proven: %d proven are left of %d", all-unproven, fullForUninvited)
	}
	if n := tb.Give(now, ap("99.9.9.9:1")); n != 1 {
		t.Error("the user's address was not let in")
	}
}

// TestPick: three of four by score, one of four of the old, however fast the new ones are.
func TestPick(t *testing.T) {
	tb := newTestTable(t)
	now := time.Now()
	c, _ := NewCookies(seeded(2), now)
	old := map[netip.AddrPort]bool{}
	for i := range 100 {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(11 + i), 1, 1, 1}), 1)
		tb.proveDirect(a, c, now)
		if i < 10 { // old, slow, honest
			old[a] = true
			tb.Answered(a, time.Second, now)
		} else {
			tb.Answered(a, time.Millisecond, now)
		}
		now = now.Add(time.Minute)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	drawn := map[netip.AddrPort]bool{}
	for range 200 {
		ps := tb.Best(40, now, rng)
		if len(ps) != 40 {
			t.Fatalf("%d", len(ps))
		}
		for i, p := range ps {
			if i%4 != 3 && old[p.Addr] {
				t.Fatalf("slot %d has a slow one", i)
			}
			if old[p.Addr] {
				drawn[p.Addr] = true
			}
		}
	}
	if len(drawn) != 10 {
		t.Errorf("%d of the 10 old ones were ever drawn", len(drawn))
	}
	slow := ap("11.1.1.1:1")
	for range 70 {
		tb.Unanswered(ap("111.1.1.1:1"), now)
		tb.Answered(slow, time.Second, now)
	}
	if p, _ := tb.Peer(ap("110.1.1.1:1"), now); p.Sent != 1 || p.Answered != 1 || p.RTT != time.Millisecond {
		t.Errorf("%+v", p)
	}
	if p, _ := tb.Peer(slow, now); p.Sent >= 64 || p.Answered < p.Sent/2 {
		t.Errorf("counters do not fade: %+v", p)
	}
}

func TestBans(t *testing.T) {
	tb := newTestTable(t)
	now := time.Now()
	for _, s := range []struct {
		ban, other string
		covered    bool
	}{
		{"1.2.3.4:5", "1.2.3.4:6", true}, {"1.2.3.4:5", "1.2.3.5:5", false},
		{"[2001:db8:1:1::1]:5", "[2001:db8:1:1:ffff::9]:6", true}, {"[2001:db8:1:1::1]:5", "[2001:db8:1:2::1]:5", false},
		{"10.0.0.1:5", "10.0.0.1:6", false}, {"127.0.0.1:5", "127.0.0.1:6", false}, {"[fe80::1%a]:5", "[fe80::1%a]:6", false},
	} {
		tb.Ban(ap(s.ban), now.Add(time.Minute), now)
		if !tb.Banned(ap(s.ban), now) || tb.Banned(ap(s.other), now) != s.covered {
			t.Errorf("a ban of %s covers %s: %v", s.ban, s.other, !s.covered)
		}
		if tb.Banned(ap(s.ban), now.Add(time.Minute)) {
			t.Errorf("%s: no end", s.ban)
		}
	}
	for i := range maxBans + 100 {
		tb.Ban(netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}), 1), now.Add(time.Hour+time.Duration(i)), now)
	}
	if len(tb.bans) != maxBans {
		t.Errorf("%d bans", len(tb.bans))
	}
	p := newPeer(t, &fakeConn{}, Config{})
	a := ap("1.2.3.4:5")
	p.prove(t, a)
	p.Table.Ban(a, time.Now().Add(time.Hour), time.Now())
	if s := p.receive(a, array(`{"PleaseSendPeers":{}}`)); s.Addr.IsValid() {
		t.Error("the banned are heard")
	}
	if _, ok := p.Gate.NewBatch().Open(a, 0, Request); ok {
		t.Error("the banned are asked")
	}
	if len(p.Best(10)) != 0 {
		t.Error("the banned are recommended")
	}
}

func TestHolders(t *testing.T) {
	h := NewHolders()
	id := func(n int, k chunk.Kind) chunk.ID {
		return chunk.ID{Kind: k, Hash: chunk.Hash{byte(n), byte(n >> 8), byte(n >> 16)}}
	}
	at := func(n int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{9, byte(n >> 16), byte(n >> 8), byte(n)}), 1)
	}
	x := id(1, chunk.BLAKE3)
	h.Add(x, at(1), at(2), at(3), at(1), ap("224.0.0.1:1"), ap("1.2.3.4:0"))
	if got := h.Of(id(1, chunk.BLAKE3Tree)); !slices.Equal(got, []netip.AddrPort{at(1), at(3), at(2)}) {
		t.Errorf("%v", got)
	}
	if h.Of(id(1, chunk.SHA256)) != nil {
		t.Error("another kind of id is another content")
	}
	h.Remove(x, at(3))
	h.Remove(x, at(9))
	if got := h.Of(x); !slices.Equal(got, []netip.AddrPort{at(1), at(2)}) {
		t.Errorf("%v", got)
	}
	for i := range 100 {
		h.Add(x, at(i+100))
	}
	if got := h.Of(x); len(got) != MaxHolders || got[0] != at(199) {
		t.Errorf("%d: %v", len(got), got)
	}
	for i := range 3 * MaxIDs {
		h.Add(id(i+10, chunk.SHA256), at(1))
		h.Of(x) // in use, so it stays
	}
	if h.Len() != MaxIDs || len(h.ids) != MaxIDs || len(h.Of(x)) == 0 {
		t.Errorf("%d contents, %d holders of the one in use", h.Len(), len(h.Of(x)))
	}
	for _, a := range h.Of(x) {
		h.Remove(x, a)
	}
	h.Add(x)
	if h.Of(x) != nil || h.Len() != MaxIDs-1 {
		t.Error("an id without holders stays")
	}
}

// TestWhoGoes: of two proven entries of a full table, in the order of the rules.
func TestWhoGoes(t *testing.T) {
	now := time.Now()
	crowded, alone := 9, 1
	e := func(crowd *int, missed, hops uint8, anchor bool, age time.Duration) *entry {
		return &entry{crowd: crowd, missed: missed, hops: hops, anchor: anchor, first: now.Add(-age), last: now}
	}
	for name, s := range map[string]struct{ stays, goes *entry }{
		"the longer known":             {e(&alone, 0, 2, false, time.Hour), e(&alone, 0, 2, false, time.Minute)},
		"fewer hops, though younger":   {e(&alone, 0, 1, false, time.Minute), e(&alone, 0, 2, false, time.Hour)},
		"heard, though more hops":      {e(&alone, 2, 9, false, time.Minute), e(&alone, 3, 1, false, time.Hour)},
		"alone, though quiet":          {e(&alone, 3, 9, false, time.Minute), e(&crowded, 0, 1, false, time.Hour)},
		"an anchor, though in a crowd": {e(&crowded, 0, 9, true, time.Minute), e(&alone, 0, 1, false, time.Hour)},
		"not a quiet anchor":           {e(&alone, 0, 9, false, time.Minute), e(&alone, 3, 0, true, time.Hour)},
	} {
		if !rather(s.goes, s.stays) || rather(s.stays, s.goes) {
			t.Errorf("%s: the other one stays", name)
		}
	}
}
