package swarm

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

var long = flag.Bool("swarm.long", false, "floods of a million addresses each, and a whole day at rest")

// floodSize is how many addresses a flood has.
func floodSize(short int) int {
	if *long {
		return 1_000_000
	}
	return short / raceFactor
}

// randomAddrs is n random public addresses, hardly ever the same twice.
func randomAddrs(rng *rand.Rand, n int) (as []netip.AddrPort) {
	for len(as) < n {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], rng.Uint64())
		binary.BigEndian.PutUint64(b[8:], rng.Uint64())
		ip := netip.AddrFrom4([4]byte(b[:4]))
		switch rng.IntN(4) {
		case 0: // four crowded networks
			ip = netip.AddrFrom4([4]byte{8, 8, b[2] & 3, b[3]})
		case 1, 2:
			b[0], b[1] = 0x2a, b[1]&3 // an IPv6 provider's /14, whole /64 of it
			ip = netip.AddrFrom16(b)
		}
		if a := netip.AddrPortFrom(ip, uint16(1+rng.IntN(65000))); ClassOf(a) == Public {
			as = append(as, a)
		}
	}
	return as
}

// gentle watches what is sent to addresses that never answered: at most 10 a second in all, one a
// second and /24 or /48, three in 24 hours to each address. Addresses in known are not watched.
type gentle struct {
	t *testing.T

	mu    sync.Mutex // what a datagram is answered with is sent where it arrives, probes by the swarm's own goroutine
	known map[netip.AddrPort]bool
	all   [10]time.Time
	n     int
	nets  map[netip.Prefix]time.Time
	each  map[netip.AddrPort]*[4]time.Time
	worst int
	broke string // the first rule that was broken
}

func (g *gentle) sent(d wire.Datagram) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known[d.Addr] || g.broke != "" {
		return
	}
	now := time.Now()
	if at := g.all[g.n%len(g.all)]; g.n >= len(g.all) && now.Sub(at) < time.Second {
		g.broke = fmt.Sprintf("%d probes in %v", len(g.all)+1, now.Sub(at))
	}
	g.all[g.n%len(g.all)] = now
	g.n++
	net := netOf(d.Addr.Addr())
	if at, ok := g.nets[net]; ok && now.Sub(at) < time.Second {
		g.broke = fmt.Sprintf("two probes to %v in %v", net, now.Sub(at))
	}
	g.nets[net] = now
	ts := g.each[d.Addr]
	if ts == nil {
		ts = new([4]time.Time)
		g.each[d.Addr] = ts
	}
	copy(ts[1:], ts[:3])
	ts[0] = now
	if !ts[3].IsZero() && now.Sub(ts[3]) < 24*time.Hour {
		g.broke = fmt.Sprintf("%s got four datagrams in %v", d.Addr, now.Sub(ts[3]))
	}
	for i, at := range ts {
		if !at.IsZero() {
			g.worst = max(g.worst, i+1)
		}
	}
}

// knows has an address not be watched.
func (g *gentle) knows(a netip.AddrPort) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known[a] = true
}

// excuse has nothing be watched, or with "" everything again.
func (g *gentle) excuse(why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broke = why
}

// flooded is a running swarm that 30 proven liars talk to, with everything that it sends under watch.
type flooded struct {
	*peer
	*gentle
	liars  []netip.AddrPort
	rng    *rand.Rand
	before runtime.MemStats
	stop   func()
}

func newFlooded(t *testing.T) *flooded {
	f := &flooded{rng: rand.New(rand.NewPCG(1, 1))}
	f.gentle = &gentle{t: t, known: map[netip.AddrPort]bool{}, nets: map[netip.Prefix]time.Time{}, each: map[netip.AddrPort]*[4]time.Time{}}
	conn := &fakeConn{local: []netip.AddrPort{ap("10.0.0.1:24254")}, quiet: true, onSend: f.gentle.sent}
	f.peer = newPeer(t, conn, Config{})
	f.stop = f.run(t)
	for i := range 30 {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i), 1, 1, 1}), 24254)
		f.knows(a)
		f.prove(t, a)
		f.liars = append(f.liars, a)
	}
	runtime.GC()
	runtime.ReadMemStats(&f.before)
	return f
}

// tell is one datagram of some liar, with its proof.
func (f *flooded) tell(data []byte) {
	from := f.liars[f.rng.IntN(len(f.liars))]
	f.receive(from, append(append(data[:len(data)-1:len(data)-1], ','), returning(f.peer, from)+"]"...))
}

// checkTable looks at the caps, now.
func (f *flooded) checkTable() {
	f.t.Helper()
	f.Table.mu.Lock()
	defer f.Table.mu.Unlock()
	if err := f.Table.check(); err != nil {
		f.t.Fatal(err)
	}
}

// end stops the swarm and compares.
func (f *flooded) end(told int) {
	f.t.Helper()
	f.stop()
	probes, addresses, worst := f.n, len(f.each), f.worst
	f.each, f.nets, f.known = nil, nil, nil // what the watch itself remembers does not count
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	f.checkTable()
	if f.broke != "" {
		f.t.Error(f.broke)
	}
	grown := int64(after.HeapAlloc) - int64(f.before.HeapAlloc)
	if grown > 16<<20 {
		f.t.Errorf("the heap grew by %d bytes", grown)
	}
	if st := f.Gate.Stats(); st.In != st.Handled+st.DroppedAll() {
		f.t.Errorf("C2: %+v", st)
	}
	f.t.Logf("%d addresses, %d probes to %d of them, at most %d to one, heap %+d KiB", told, probes, addresses, worst, grown>>10)
}

// TestFloodOfPeers is A10: proven peers tell us very many addresses in a quarter of an hour, and go
// on telling them again for a day, in virtual time.
func TestFloodOfPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlooded(t)
		const list = 250
		total := floodSize(200_000)
		var some [][]byte // that are told again all day
		for told := 0; told < total; told += list {
			data := wire.AppendArray(nil, wire.Peers{Peers: randomAddrs(f.rng, list)})
			if len(some) < 40 {
				some = append(some, data)
			}
			f.tell(data)
			if told%(100*list) == 0 {
				f.checkTable()
			}
			time.Sleep(15 * time.Minute * list / time.Duration(total))
		}
		for range 25 * 12 {
			f.tell(some[f.rng.IntN(len(some))])
			time.Sleep(5 * time.Minute)
		}
		f.end(total)
		if f.worst < 3 || f.n < 3000/min(raceFactor, 4) {
			t.Errorf("%d probes, at most %d to one address: the flood was not tried", f.n, f.worst)
		}
	})
}

// TestFloodOfHolders is A10 by MaybeTheyHaveSome: very many addresses are named as holders of very many
// contents, and a transfer without sense asks each of them whenever it is let, for a day.
func TestFloodOfHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlooded(t)
		total := floodSize(100_000)
		b := f.Gate.NewBatch()
		ask := func(a netip.AddrPort) {
			if buf, ok := b.Open(a, 0, Request); ok {
				b.Close(append(buf, `{"PleaseSendContent":{"id":"x","offset":0,"length":4096}}`...), SmallDatagram)
			}
		}
		var some []netip.AddrPort
		for told := 0; told < total; told += 50 {
			id := chunk.ID{Kind: chunk.BLAKE3}
			binary.BigEndian.PutUint64(id.Hash[:], f.rng.Uint64())
			named := randomAddrs(f.rng, 50)
			for _, a := range named {
				f.Holders.Add(id, a)
				ask(a)
			}
			if len(some) < 2000 {
				some = append(some, named...)
			}
			if err := b.Flush(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(15 * time.Minute * 50 / time.Duration(total))
		}
		for range 24 * 60 {
			for range 20 {
				ask(some[f.rng.IntN(len(some))])
			}
			if err := b.Flush(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		f.end(total)
		if f.Holders.Len() > MaxIDs || f.worst < 3 || f.n < 3000/min(raceFactor, 4) {
			t.Errorf("%d contents, %d requests, at most %d to one address", f.Holders.Len(), f.n, f.worst)
		}
	})
}

// TestFloodOfStrangers is A10 directly: forged sources neither grow the table nor push anyone out.
func TestFloodOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlooded(t)
		f.excuse("not watched: each datagram is answered within twice its size")
		data := array(`{"PleaseSendPeers":{}}`, `{"PleaseAlwaysReturnThisMessage":{"cookie":"00000000"}}`, `{"AlwaysReturned":{"cookie":"0123456789abcdef"}}`)
		total := floodSize(100_000)
		for i := range uint32(total) {
			ip := netip.AddrFrom4([4]byte{byte(i>>16) + 60, byte(i >> 8), 7, byte(i)})
			if i%2 == 1 { // a /64
				ip = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 11: byte(i >> 24), 12: byte(i >> 16), 13: byte(i >> 8), 15: byte(i)})
			}
			f.receive(netip.AddrPortFrom(ip, uint16(i)|1), data)
		}
		if all, unproven := f.Table.Len(); all != len(f.liars) || unproven != 0 {
			t.Errorf("%d entries, %d unproven", all, unproven)
		}
		if st := f.Gate.Stats(); st.CookiesWrong != uint64(total) || st.Out[Reply] != uint64(total) {
			t.Errorf("%d wrong cookies, %d replies", st.CookiesWrong, st.Out[Reply])
		}
		f.excuse("")
		f.end(total)
	})
}

// TestFloodOfProven is A10 by an attacker who receives what is sent to all his addresses: a /64, a /48, a
// whole /32 of IPv6, and a /16 of IPv4. The caps hold, and honest peers stay.
func TestFloodOfProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlooded(t)
		each := floodSize(100_000) / 4
		for i := range uint32(each) {
			var v6 [3][16]byte
			for k := range v6 {
				v6[k] = [16]byte{0x20, 1, 0xd, byte(k)}
				binary.BigEndian.PutUint32(v6[k][12:], i)
			}
			binary.BigEndian.PutUint16(v6[1][6:], uint16(i))
			binary.BigEndian.PutUint16(v6[2][4:], uint16(i))
			for _, ip := range []netip.Addr{netip.AddrFrom16(v6[0]), netip.AddrFrom16(v6[1]), netip.AddrFrom16(v6[2]), netip.AddrFrom4([4]byte{200, 1, byte(i >> 8), byte(i)})} {
				a := netip.AddrPortFrom(ip, uint16(i>>16)+1)
				f.knows(a)
				if s := f.receive(a, array(returning(f.peer, a))); !s.Proven {
					t.Fatalf("%s is not proven", a)
				}
			}
			if i%1000 == 0 {
				f.checkTable()
			}
			if i%16 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		crowd := map[netip.Prefix]int{}
		for _, p := range f.Table.Peers(time.Now()) {
			crowd[groupOf(p.Addr.Addr())]++
		}
		if n := crowd[netip.MustParsePrefix("2001:d00::/32")]; n != MaxPerNet {
			t.Errorf("%d entries of one /64", n)
		}
		if n := crowd[netip.MustParsePrefix("2001:d01::/32")]; n != MaxPerNet {
			t.Errorf("%d entries of one /48", n)
		}
		t.Logf("of a /32: %d, of an IPv4 /16: %d", crowd[netip.MustParsePrefix("2001:d02::/32")], crowd[netip.MustParsePrefix("200.1.0.0/16")])
		for _, a := range f.liars {
			if !f.Table.Proven(a) {
				t.Errorf("%s was pushed out", a)
			}
		}
		f.end(4 * each)
	})
}

// BenchmarkProvenSweep is one datagram of an attacker who sweeps through proven addresses of his own while
// the table is full.
func BenchmarkProvenSweep(b *testing.B) {
	for name, at := range map[string]func(i int) netip.Addr{
		"one /64": func(i int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
		},
		"a /32": func(i int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 4: byte(i >> 8), 5: byte(i), 14: byte(i >> 24), 15: byte(i >> 16)})
		},
	} {
		b.Run(name, func(b *testing.B) {
			p := newPeer(b, &fakeConn{quiet: true}, Config{})
			now := time.Now()
			for i := range MaxPeers {
				p.Table.proveDirect(netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i/256), byte(i), 1, 1}), 1), p.Gate.cookies, now)
			}
			i := 0
			for b.Loop() {
				a := netip.AddrPortFrom(at(i), 1)
				p.receive(a, array(returning(p, a)))
				i++
			}
		})
	}
}

// TestSilentSketch: never too few, hardly ever too many, and forgotten after a day.
func TestSilentSketch(t *testing.T) {
	now := time.Now()
	var s silent
	at := func(n uint32) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 1)
	}
	const n = 50_000
	for i := range uint32(n) {
		for range i%3 + 1 {
			s.tried(at(i), now)
		}
		if i%1000 == 0 {
			now = now.Add(10 * time.Minute) // 8 hours in all: two generations
		}
	}
	more := 0
	for i := range uint32(n) {
		got, want := s.count(at(i), now), int(i%3+1)
		if got < want {
			t.Fatalf("counted %d of %d", got, want)
		}
		if got > want {
			more++
		}
	}
	if more > n/1000 {
		t.Errorf("%d of %d are counted too often", more, n)
	}
	for i := range uint32(100) {
		if s.count(at(i), now.Add(31*time.Hour)) != 0 {
			t.Fatal("not forgotten")
		}
	}
	x := at(1 << 30)
	for range 100 { // day after day, all generations
		if got := s.count(x, now); got > 3 {
			t.Fatalf("%d", got)
		}
		if s.count(x, now) < 3 {
			s.tried(x, now)
		}
		now = now.Add(7 * time.Hour)
	}
}
