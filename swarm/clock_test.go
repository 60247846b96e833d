package swarm

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"sharer/wire"
)

// wallJump is t as a clock would show it whose wall time was set by d, while its monotonic reading went on.
func wallJump(tb testing.TB, t time.Time, d time.Duration) time.Time {
	tb.Helper()
	jumped := t
	// A time with a monotonic reading keeps its wall seconds in bits 30 to 62 of its first word.
	*(*uint64)(unsafe.Pointer(&jumped)) += uint64(d/time.Second) << 30
	if jumped.Sub(t) != 0 || jumped.Round(0).Sub(t.Round(0)) != d {
		tb.Skip("the layout of time.Time is another one")
	}
	return jumped
}

// TestWallClockJumps is N21: a table, its cookies and pings live through three hours, once with a wall clock that
// is right and once with one that jumps by an hour to and fro at each look. Both decide the same.
func TestWallClockJumps(t *testing.T) {
	start := time.Now()
	live := func(clock func(time.Time) time.Time) (log []string) {
		tb := newTestTable(t)
		c, _ := NewCookies(seeded(2), clock(start))
		pings := NewPings(c, clock(start))
		g := &Gate{table: tb}
		g.around.Store(&around{})
		rng := rand.New(rand.NewPCG(1, 1))
		at := func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i), 1, 1, 1}), 1)
		}
		say := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
		tb.Give(clock(start), at(0))
		tb.restore([]known{{addr: at(90), first: start.Add(-time.Hour).Round(0), last: start.Round(0)}}, start, func(netip.AddrPort) bool { return true })
		var token []byte
		var text [cookieDigits]byte
		for k := range 3 * 60 * 12 {
			now := clock(start.Add(time.Duration(k) * 5 * time.Second))
			tell := at(1 + rng.IntN(80))
			switch {
			case k%7 == 0:
				say("heard %v", tb.Hear(tell, at(1), now))
			case k%5 == 0:
				say("proved %+v", tb.proveDirect(tell, c, now))
			case k%97 == 0:
				tb.Ban(tell, now.Add(10*time.Minute), now)
			}
			if k%360 == 0 {
				token, text = pings.Token(at(1), now), c.Make(at(1), now)
			}
			rtt, ok := pings.Check(at(1), token, now)
			epoch, mine := c.Check(at(1), text[:], now)
			say("pong %v %v, cookie %d %v, banned %v", rtt, ok, epoch, mine, tb.Banned(at(k%80), now))
			q := g.query(at(81), Request)
			may, next := tb.may(&q, now)
			say("may %v in %v", may, next.Sub(now))
			todo, next := tb.due(now)
			say("next in %v", next.Sub(now))
			for _, d := range todo {
				q, gr, theirs := g.query(d.to, d.why), grant{}, []byte(nil)
				r := tb.open(&q, &gr, &theirs, now)
				if r == Allowed {
					tb.did(d, now, 0)
				} else {
					tb.retry(d.to, d.why, g, now)
				}
				say("%v to %s, peers %v, late %v: %v, cookie %v", d.why, d.to, d.peers, d.late(now), r, gr.ask)
			}
			for _, p := range tb.Best(8, now, rng) {
				say("%s", p.Addr)
			}
			all, unproven := tb.Len()
			say("%d entries, %d unproven", all, unproven)
		}
		for _, e := range tb.list {
			v := reflect.ValueOf(*e)
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.Type == reflect.TypeFor[time.Time]() {
					at := reflect.NewAt(f.Type, unsafe.Pointer(reflect.ValueOf(e).Elem().Field(i).UnsafeAddr())).Elem().Interface().(time.Time)
					if !at.IsZero() && !strings.Contains(at.String(), " m=") {
						t.Errorf("%s of %s has no monotonic reading: %s", f.Name, e.addr, at)
					}
				}
			}
		}
		return log
	}
	right := live(func(now time.Time) time.Time { return now })
	jumps := rand.New(rand.NewPCG(2, 2))
	wrong := live(func(now time.Time) time.Time {
		return wallJump(t, now, time.Duration(jumps.IntN(3)-1)*time.Hour)
	})
	for i := range min(len(right), len(wrong)) {
		if right[i] != wrong[i] {
			t.Fatalf("line %d: %q with a good clock, %q with one that jumps", i, right[i], wrong[i])
		}
	}
	if len(right) != len(wrong) || len(right) < 10_000 {
		t.Errorf("%d and %d lines", len(right), len(wrong))
	}
}

// TestWallClockIsForTheFile: nothing but peers.json knows what time it is outside.
func TestWallClockIsForTheFile(t *testing.T) {
	wall := regexp.MustCompile(`\.(Round|Truncate|Unix[A-Za-z]*|UTC|Local|In|Date|Clock|Hour|Day|Format|AppendFormat)\(|time\.(Unix[A-Za-z]*|Date|Parse)\(`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		uses := wall.FindAllString(string(b), -1)
		switch {
		case strings.HasSuffix(f, "_test.go"):
		case f == "store.go" || f == "remember.go":
			found += len(uses)
		case len(uses) > 0:
			t.Errorf("%s uses the wall clock: %v", f, uses)
		}
	}
	if found == 0 {
		t.Error("the file does not either: this test looks for the wrong thing")
	}
}

// TestPeersFileClock: a file of a clock that was, or is, wrong: nobody is lost, the order of age stays, what lies in the
// future is now, and what is written is right as soon as the clock is.
func TestPeersFileClock(t *testing.T) {
	now := time.Now()
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i), 1, 1, 1}), 1)
	}
	wall := now.Round(0)
	ks := []known{ // by age, as the file has them
		{addr: at(0), first: wall.Add(-50 * time.Hour), last: wall.Add(-time.Minute)},
		{addr: at(1), first: wall.Add(-2 * time.Hour), last: wall.Add(-30 * time.Minute)},
		{addr: at(2), first: wall.Add(-90 * time.Minute), last: wall.Add(59 * time.Minute)},
		{addr: at(3), first: wall.Add(time.Minute), last: wall.Add(time.Hour)}, // an hour wrong when it was written
		{addr: at(4), first: wall.AddDate(900, 0, 0), last: wall.AddDate(1000, 0, 0)},
		{addr: at(5), first: time.Unix(0, 0), last: wall.Add(-time.Hour)},
	}
	for name, jump := range map[string]time.Duration{"right": 0, "an hour ahead": time.Hour, "an hour behind": -time.Hour, "1970 or so": -50 * 365 * 24 * time.Hour} {
		then := wallJump(t, now, jump)
		tb := newTestTable(t)
		tb.restore(ks, then, func(netip.AddrPort) bool { return true })
		for i, k := range ks {
			e := tb.byAddr[k.addr]
			if e == nil || e.first.After(then) || !e.anchor {
				t.Fatalf("%s: %s was lost, or born in the future: %+v", name, k.addr, e)
			}
			if i > 0 && e.first.Before(tb.byAddr[ks[i-1].addr].first) {
				t.Errorf("%s: %s became older than %s", name, k.addr, ks[i-1].addr)
			}
		}
		if e := tb.byAddr[at(0)]; name == "an hour ahead" && then.Sub(e.first) != 51*time.Hour || name == "1970 or so" && then.Sub(e.first) != 0 {
			t.Errorf("%s: an age of %v", name, then.Sub(e.first))
		}
		// Ten minutes later the clock is set right; one of them and a new one were met meanwhile.
		c, _ := NewCookies(seeded(2), now)
		met := []netip.AddrPort{at(1), at(9)}
		for _, a := range met {
			tb.proveDirect(a, c, wallJump(t, now.Add(5*time.Minute), jump))
		}
		later := now.Add(10 * time.Minute)
		out := merge(tb.remember(later), ks, later)
		if len(out) != len(ks)+1 {
			t.Fatalf("%s: %d of %d are written", name, len(out), len(ks)+1)
		}
		for i, k := range out {
			if k.last.After(later.Round(0)) || k.first.After(k.last) || i > 0 && k.first.Before(out[i-1].first) {
				t.Errorf("%s: written as %+v", name, k)
			}
			switch k.addr {
			case at(1):
				if !k.first.Equal(ks[1].first) || !k.last.Equal(wall.Add(5*time.Minute)) {
					t.Errorf("%s: met again, written as %v to %v", name, k.first, k.last)
				}
			case at(9):
				if !k.first.Equal(wall.Add(5 * time.Minute)) {
					t.Errorf("%s: new, written as %v", name, k.first)
				}
			case at(0):
				if !k.first.Equal(ks[0].first) || !k.last.Equal(ks[0].last) {
					t.Errorf("%s: not met, written as %v to %v", name, k.first, k.last)
				}
			}
		}
	}
	// A week of silence is the end, an hour less is not; and those met are written before those that were not.
	old := []known{{addr: at(0), first: wall, last: wall.Add(-forgetAfter)}, {addr: at(1), first: wall, last: wall.Add(-forgetAfter + time.Hour)}}
	if out := merge(nil, old, now); len(out) != 1 || out[0].addr != at(1) {
		t.Errorf("after a week: %v", out)
	}
	var many []known
	for i := range storeMost {
		many = append(many, known{addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{9, 9, byte(i >> 8), byte(i)}), 1), first: wall.Add(-time.Hour), last: wall})
	}
	if out := merge([]known{{addr: at(0), first: wall, last: wall}}, many, now); len(out) != storeMost || out[storeMost-1].addr != at(0) {
		t.Errorf("who was met today has no place among %d of yesterday", len(out))
	}
}

// TestAnchors: the longest-lived of those that were heard of late, eight at most.
func TestAnchors(t *testing.T) {
	now := time.Now()
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i), 1, 1, 1}), 1)
	}
	var ks []known
	for i := range 30 { // 0 is the oldest; the five oldest have been silent for two days
		last := now.Add(-72 * time.Hour) // we were away for three days ourselves
		if i < 5 {
			last = last.Add(-48 * time.Hour)
		}
		ks = append(ks, known{addr: at(i), first: now.Add(-time.Duration(100-i) * 24 * time.Hour), last: last})
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(ks), func(i, j int) { ks[i], ks[j] = ks[j], ks[i] })
	tb := newTestTable(t)
	tb.restore(ks, now, func(a netip.AddrPort) bool { return a != at(6) }) // that is ourselves
	var anchored []int
	for i := range 30 {
		if e := tb.byAddr[at(i)]; e != nil && e.anchor {
			anchored = append(anchored, i)
		}
	}
	if want := []int{5, 7, 8, 9, 10, 11, 12, 13}; !slices.Equal(anchored, want) {
		t.Errorf("anchors %v, want %v", anchored, want)
	}
	few := newTestTable(t)
	few.restore([]known{
		{addr: at(1), first: now.Add(-100 * time.Hour), last: now.Add(-90 * time.Hour)}, {addr: at(2), first: now.Add(-50 * time.Hour), last: now},
	}, now, func(netip.AddrPort) bool { return true })
	if few.byAddr[at(1)].anchor || !few.byAddr[at(2)].anchor {
		t.Error("one that has been silent for days is an anchor")
	}
}

// answering has every address but the silent ones answer after 10 ms: cookies and pings come back. It
// returns how many datagrams left since the last call.
func answering(p *peer, conn *fakeConn, silent func(netip.AddrPort) bool) (sent func() int) {
	conn.quiet = true
	last := 0
	conn.onSend = func(d wire.Datagram) {
		if silent(d.Addr) {
			return
		}
		es, _, err := wire.Split(nil, append([]byte(nil), d.Data...))
		if err != nil {
			return
		}
		out := []string{returning(p, d.Addr)}
		for _, e := range es {
			if e.Name == "PleaseReturnThisMessage" {
				out = append(out, `{"ReturnedMessage":`+string(e.Payload)+`}`)
			}
		}
		time.AfterFunc(10*time.Millisecond, func() { p.receive(d.Addr, array(out...)) })
	}
	return func() int {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		n := conn.n - last
		last = conn.n
		return n
	}
}

// TestNoStormAfterPause is N21: ten minutes of rest, ten in which nothing runs, then in none of the first
// seconds are there more than twice as many datagrams as in a usual one, nor later more than twice as many as
// in the busiest; and nobody was forgotten over it.
func TestNoStormAfterPause(t *testing.T) {
	for _, c := range []struct{ peers, given int }{{3, 2}, {20, 0}, {50, 0}, {1000, 0}, {0, MaxGiven}, {20, 100}, {0, 2}} {
		if c.peers+c.given > 1000/raceFactor {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			conn := &fakeConn{}
			p := newPeer(t, conn, Config{})
			sent := answering(p, conn, func(a netip.AddrPort) bool { return a.Port() == 99 })
			for i := range c.peers {
				p.prove(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i/100), byte(i), 1, 1}), 1))
			}
			for i := range c.given {
				p.Give(netip.AddrPortFrom(netip.AddrFrom4([4]byte{9, byte(i), 1, 1}), 99))
			}
			stop := p.run(t)
			time.Sleep(10 * time.Minute)
			sent()
			total, crest := 0, 0
			for range 600 {
				time.Sleep(time.Second)
				n := sent()
				total, crest = total+n, max(crest, n)
			}
			usual := float64(total) / 600
			stop()
			time.Sleep(10 * time.Minute)
			sent()
			stop = p.run(t)
			defer stop()
			most, later, second := 0, 0, time.Second-time.Nanosecond // the first one ends before the next may leave
			for i := range 300 {
				time.Sleep(second)
				second = time.Second
				if n := sent(); i < 10 {
					most = max(most, n)
				} else {
					later = max(later, n)
				}
			}
			// Twice the usual is less than one datagram where little goes on: one of each kind may go.
			if limit := max(2, int(2*usual+1)); most > limit || most == 0 || later > 2*max(crest, 1) {
				t.Errorf("%d peers, %d given: %d datagrams in a second, then %d, usually %.2f and never more than %d", c.peers, c.given, most, later, usual, crest)
			}
			t.Logf("%4d peers, %3d given: %.2f a second usually, at most %d; after the pause at most %d, later %d", c.peers, c.given, usual, crest, most, later)
			if n := len(p.Best(MaxPeers)); n != c.peers {
				t.Errorf("%d of %d peers are left", n, c.peers)
			}
			time.Sleep(10 * time.Minute) // all is as before
			if sent(); c.peers > 0 {
				time.Sleep(10 * time.Minute)
				if again := float64(sent()) / 600; again > 1.1*usual+0.01 || again < 0.9*usual-0.01 {
					t.Errorf("%d peers, %d given: %.2f a second later on, usually %.2f", c.peers, c.given, again, usual)
				}
			}
		})
	}
}

// TestKeepaliveGap measures what fifty peers at rest cost, and that none of them hears from us more often than
// every 15 seconds. With -swarm.long it is a whole day.
func TestKeepaliveGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &fakeConn{}
		p := newPeer(t, conn, Config{})
		answering(p, conn, func(netip.AddrPort) bool { return false })
		answer := conn.onSend
		last := map[netip.AddrPort]time.Time{}
		n, bytes := 0, 0
		conn.onSend = func(d wire.Datagram) {
			if at := last[d.Addr]; !at.IsZero() && time.Since(at) < KeepaliveGap {
				t.Errorf("two keepalives of %s in %v", d.Addr, time.Since(at))
			}
			last[d.Addr] = time.Now()
			n++
			bytes += len(d.Data) + wire.HeaderBytes
			answer(d)
		}
		for i := range 50 {
			p.prove(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i), 1, 1, 1}), 1))
		}
		stop := p.run(t)
		day, some := 24*time.Hour, 30*time.Minute
		if *long {
			some = day
		}
		time.Sleep(some)
		stop()
		scale := float64(day) / float64(some)
		t.Logf("50 peers at rest: %.0f datagrams and %.1f MB a day leave", float64(n)*scale, float64(bytes)*scale/1e6)
		if float64(n) > 50*float64(some)/float64(KeepaliveGap) || len(p.Best(99)) != 50 {
			t.Errorf("%d keepalives in %v, %d peers left", n, some, len(p.Best(99)))
		}
	})
}
