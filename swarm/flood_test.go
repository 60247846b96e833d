package swarm

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"sharer/wire"
)

// randomPeers is a list of n random public addresses, never the same twice.
func randomPeers(rng *rand.Rand, n int) []byte {
	var as []netip.AddrPort
	for len(as) < n {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], rng.Uint64())
		binary.BigEndian.PutUint64(b[8:], rng.Uint64())
		ip := netip.AddrFrom4([4]byte(b[:4]))
		if rng.IntN(2) == 0 {
			b[0], b[1] = 0x2a, b[1]&3 // an IPv6 provider's /14, whole /64 of it
			ip = netip.AddrFrom16(b)
		}
		if a := netip.AddrPortFrom(ip, uint16(1+rng.IntN(65000))); ClassOf(a) == Public {
			as = append(as, a)
		}
	}
	return wire.AppendArray(nil, wire.Peers{Peers: as})
}

// TestPeersFlood is A10: proven peers tell us a million addresses in a quarter of an hour, and go
// on telling them again for a day. In virtual time: the caps hold, the probes stay gentle, no
// silent address gets more than three datagrams in 24 hours.
func TestPeersFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &fakeConn{local: []netip.AddrPort{ap("10.0.0.1:24254")}}
		p := newPeer(t, conn, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		liars := make([]netip.AddrPort, 30)
		for i := range liars {
			liars[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i), 1, 1, 1}), 24254)
			p.prove(t, liars[i])
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)

		rng := rand.New(rand.NewPCG(1, 1))
		const list = 250
		total := 1_000_000 / raceFactor
		var some [][]byte // that are told again all day
		tell := func(from netip.AddrPort, data []byte) {
			text := p.Gate.cookies.Make(from, time.Now())
			proof := fmt.Sprintf(`,{"AlwaysReturned":{"cookie":"%s"}}]`, text[:])
			p.receive(from, append(data[:len(data)-1:len(data)-1], proof...))
		}
		told := 0
		for told < total {
			data := randomPeers(rng, list)
			if len(some) < 40 {
				some = append(some, data)
			}
			tell(liars[rng.IntN(len(liars))], data)
			told += list
			if told%(100*list) == 0 {
				p.Table.mu.Lock()
				err := p.Table.check()
				p.Table.mu.Unlock()
				if err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(15 * time.Minute * list / time.Duration(total))
		}
		for range 25 * 12 {
			tell(liars[rng.IntN(len(liars))], some[rng.IntN(len(some))])
			time.Sleep(5 * time.Minute)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err := p.Table.check(); err != nil {
			t.Error(err)
		}
		known := map[netip.AddrPort]bool{}
		for _, a := range liars {
			known[a] = true
		}
		each := map[netip.AddrPort][]time.Time{}
		var all []sentDatagram
		for _, d := range conn.take() {
			if !known[d.Addr] {
				all = append(all, d)
			}
		}
		worst := 0
		inNet := map[netip.Prefix]time.Time{}
		for i, d := range all {
			if i >= 10 && d.at.Sub(all[i-10].at) < time.Second {
				t.Fatalf("11 probes in %v", d.at.Sub(all[i-10].at))
			}
			n := netOf(d.Addr.Addr())
			if at, ok := inNet[n]; ok && d.at.Sub(at) < time.Second {
				t.Fatalf("two probes to %v in %v", n, d.at.Sub(at))
			}
			inNet[n] = d.at
			ts := append(each[d.Addr], d.at)
			if len(ts) > 3 && d.at.Sub(ts[len(ts)-4]) < 24*time.Hour {
				t.Fatalf("%s got four datagrams in %v", d.Addr, d.at.Sub(ts[len(ts)-4]))
			}
			each[d.Addr] = ts
			worst = max(worst, len(ts))
		}
		if worst < 3 || len(all) < 3000/min(raceFactor, 4) {
			t.Errorf("%d probes, at most %d to one address: the flood was not tried", len(all), worst)
		}
		grown := int64(after.HeapAlloc) - int64(before.HeapAlloc) - int64(len(all))*200 // what the fake keeps
		if grown > 16<<20 {
			t.Errorf("the heap grew by %d bytes", grown)
		}
		t.Logf("%d addresses told, %d probes to %d of them, heap %+d KiB", told, len(all), len(each), grown>>10)
	})
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

// TestStrangersLeaveNothing: forged sources neither grow the table nor push anyone out.
func TestStrangersLeaveNothing(t *testing.T) {
	conn := &fakeConn{quiet: true}
	p := newPeer(t, conn, Config{})
	for i := range 100 {
		p.prove(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i), 1, 1, 1}), 24254))
	}
	data := array(`{"PleaseSendPeers":{}}`, `{"PleaseAlwaysReturnThisMessage":{"cookie":"00000000"}}`, `{"AlwaysReturned":{"cookie":"0123456789abcdef"}}`)
	for i := range uint32(50_000 / raceFactor) {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(i>>16) + 1, byte(i >> 8), 7, byte(i)}), uint16(i)|1)
		p.receive(a, data)
	}
	all, unproven := p.Table.Len()
	if all != 100 || unproven != 0 {
		t.Errorf("%d entries, %d unproven", all, unproven)
	}
	if st := p.Gate.Stats(); st.In != st.Handled+st.DroppedAll() || st.CookiesWrong == 0 {
		t.Errorf("%+v", st)
	}
}
