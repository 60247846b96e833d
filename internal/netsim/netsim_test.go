package netsim

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sharer/wire"
)

var (
	here  = netip.MustParseAddrPort("192.0.2.1:24254")
	there = netip.MustParseAddrPort("192.0.2.2:24254")
	here6 = netip.MustParseAddrPort("[2001:db8::1]:24254")
	far6  = netip.MustParseAddrPort("[2001:db8::2]:24254")
)

// inbox gathers what a socket receives.
type inbox struct {
	data  [][]byte
	from  []netip.AddrPort
	after []time.Duration // since the inbox was made
	ended chan struct{}
}

func receive(r wire.BatchReader) *inbox {
	in := &inbox{ended: make(chan struct{})}
	start := time.Now()
	go func() {
		defer close(in.ended)
		for {
			ds, err := r.ReadBatch()
			if err != nil {
				return
			}
			for _, d := range ds {
				in.data = append(in.data, bytes.Clone(d.Data))
				in.from = append(in.from, d.Addr)
				in.after = append(in.after, time.Since(start))
			}
		}
	}()
	return in
}

func send(t *testing.T, c *Conn, to netip.AddrPort, data []byte) {
	t.Helper()
	if n, err := c.WriteBatch([]wire.Datagram{{Addr: to, Data: data}}); n != 1 || err != nil {
		t.Fatalf("sent %d of 1 to %s: %v", n, to, err)
	}
}

// flow is so many datagrams from one host to another.
type flow struct {
	seed     uint64
	link     Link
	from, to netip.AddrPort // here and there when not set
	n, size  int
	gap      time.Duration // between them
}

// run returns what arrived and the counts, after an hour. Each datagram is filled with the
// low byte of its number.
func (f flow) run(t *testing.T) (in *inbox, c Counts) {
	t.Helper()
	if !f.from.IsValid() {
		f.from, f.to = here, there
	}
	synctest.Test(t, func(t *testing.T) {
		w := New(f.seed, f.link)
		defer w.Close()
		a, b := w.Host(f.from), w.Host(f.to)
		b.SetRecvBuffer(math.MaxInt)
		in = receive(b.Readers()[0])
		for i := range f.n {
			send(t, a, f.to, bytes.Repeat([]byte{byte(i)}, f.size))
			if f.gap > 0 {
				time.Sleep(f.gap)
			}
		}
		time.Sleep(time.Hour)
		c = w.Counts(f.from.Addr(), f.to.Addr())
		if w.Total() != c {
			t.Errorf("in all %+v, on the one link %+v", w.Total(), c)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		<-in.ended
	})
	if c.Sent != f.n || c.Delivered != len(in.data) || c.Sent+c.Duplicated != c.Delivered+c.Dropped() {
		t.Errorf("sent %d, arrived %d, counted %+v", f.n, len(in.data), c)
	}
	return in, c
}

func TestDelayIsExact(t *testing.T) {
	for _, d := range []time.Duration{1, time.Millisecond, 30*time.Millisecond + 7, 10 * time.Second} {
		in, _ := flow{link: Link{Delay: d}, n: 1, size: 100}.run(t)
		if len(in.after) != 1 || in.after[0] != d {
			t.Errorf("arrived after %v, want %v", in.after, d)
		}
	}
}

func TestThroughputIsTheRate(t *testing.T) {
	for _, tc := range []struct {
		f     flow
		bytes float64 // of IP, by hand
	}{
		{flow{link: Link{Rate: 100_000, Delay: 5 * time.Millisecond}, n: 1000, size: 972}, 1000},
		{flow{link: Link{Rate: 100_000}, from: here6, to: far6, n: 1000, size: 952}, 1000},
		// 5608 bytes in packets of at most 1480: 4 headers.
		{flow{link: Link{Rate: 1e6, MTU: 1500}, n: 1000, size: 5600}, 5608 + 4*20},
		// 5608 bytes in packets of at most 1448: 4 headers of 48.
		{flow{link: Link{Rate: 1e6, MTU: 1500}, from: here6, to: far6, n: 1000, size: 5600}, 5608 + 4*48},
		{flow{link: Link{Rate: 12.5e6, Jitter: time.Millisecond}, n: 2000, size: 1222}, 1250},
	} {
		in, c := tc.f.run(t)
		if float64(c.Bytes) != tc.bytes*float64(tc.f.n) {
			t.Errorf("%+v: %d bytes, want %v", tc.f.link, c.Bytes, tc.bytes*float64(tc.f.n))
		}
		last := in.after[len(in.after)-1] - tc.f.link.Delay
		if rate := float64(c.Bytes) / last.Seconds(); math.Abs(rate/tc.f.link.Rate-1) > 0.02 {
			t.Errorf("%+v: %.0f bytes a second", tc.f.link, rate)
		}
	}
}

func TestQueueDropsTheLast(t *testing.T) {
	in, c := flow{link: Link{Rate: 1000, Queue: 10_000}, n: 20, size: 972}.run(t)
	if len(in.data) != 10 || c.Overflow != 10 || in.data[9][0] != 9 {
		t.Errorf("%d arrived, %d overflowed, want 10 and 10, the first ones", len(in.data), c.Overflow)
	}
	// A sender that keeps to the rate loses nothing.
	if _, c := (flow{link: Link{Rate: 1000, Queue: 1000}, n: 100, size: 972, gap: time.Second}).run(t); c.Delivered != 100 {
		t.Errorf("%+v, want 100 delivered", c)
	}
}

func TestFaultsHappenAsOftenAsAsked(t *testing.T) {
	const n = 6000
	for i, tc := range []struct {
		name  string
		link  Link
		size  int
		got   func(Counts) int
		share float64
		burst float64 // packets; widens the bounds
	}{
		{"loss", Link{Loss: 0.1}, 100, func(c Counts) int { return c.Lost }, 0.1, 1},
		{"all is lost", Link{Loss: 1, Burst: 3}, 100, func(c Counts) int { return c.Lost }, 1, 1},
		{"loss of datagrams of four fragments", Link{Loss: 0.1, MTU: 1500}, 5600, func(c Counts) int { return c.Lost }, 1 - math.Pow(0.9, 4), 1},
		{"loss of bursts", Link{Loss: 0.05, Burst: 5}, 100, func(c Counts) int { return c.Lost }, 0.05, 5},
		{"all of them in the bad state", Link{Loss: 0.05, Burst: 5}, 100, func(c Counts) int { return c.InBurst }, 0.05, 5},
		{"Gilbert-Elliott", Link{Bursty: GilbertElliott{0.02, 0.18, 0.01, 0.6}}, 100,
			func(c Counts) int { return c.Lost }, 0.01 + (0.6-0.01)*0.1, 6},
		{"of these in the bad state", Link{Bursty: GilbertElliott{0.02, 0.18, 0.01, 0.6}}, 100,
			func(c Counts) int { return c.InBurst }, 0.06, 6},
		{"two causes", Link{Loss: 0.1, Bursty: Bursts(0.1, 4)}, 100, func(c Counts) int { return c.Lost }, 0.19, 4},
		{"duplicates", Link{Duplicate: 0.2, Delay: time.Millisecond}, 100, func(c Counts) int { return c.Duplicated }, 0.2, 1},
		{"reordering", Link{Reorder: 0.1, ReorderBy: time.Second}, 100, func(c Counts) int { return c.Reordered }, 0.1, 1},
		{"corruption", Link{Corrupt: 0.1}, 100, func(c Counts) int { return c.Corrupted }, 0.1, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := flow{seed: uint64(i), link: tc.link, n: n, size: tc.size}
			if tc.link.MTU != 0 {
				f.n, f.gap = n/4, time.Second // so that what is broken expires
			}
			_, c := f.run(t)
			// Four standard deviations of a binomial; runs multiply the variance by 2·length - 1 at most.
			want := float64(f.n) * tc.share
			if tolerance := 4 * math.Sqrt(want*(1-tc.share)*(2*tc.burst-1)); math.Abs(float64(tc.got(c))-want) > tolerance {
				t.Errorf("%d of %d, want %.0f ± %.0f", tc.got(c), f.n, want, tolerance)
			}
		})
	}
}

func TestBurstsAreBursts(t *testing.T) {
	for _, length := range []float64{1, 5} {
		in, c := flow{seed: 7, link: Link{Loss: 0.05, Burst: length}, n: 8000, size: 1}.run(t)
		runs, before := 0, byte(255)
		for _, d := range in.data {
			if d[0] != before+1 {
				runs++
			}
			before = d[0]
		}
		want := max(length, 1/(1-0.05))
		if mean := float64(c.Lost) / float64(runs); math.Abs(mean/want-1) > 0.15 {
			t.Errorf("losses come in runs of %.2f, want %.2f", mean, want)
		}
	}
}

func TestJitterKeepsOrderAndReorderDoesNot(t *testing.T) {
	const delay, jitter = 10 * time.Millisecond, 5 * time.Millisecond
	in, _ := flow{link: Link{Delay: delay, Jitter: jitter}, n: 200, size: 1, gap: time.Millisecond}.run(t)
	spread := map[time.Duration]bool{}
	for i, d := range in.data {
		late := in.after[i] - time.Duration(d[0])*time.Millisecond
		if int(d[0]) != i || late < delay || late >= delay+jitter {
			t.Fatalf("datagram %d is number %d, after %v", i, d[0], late)
		}
		spread[late] = true
	}
	if len(spread) < 100 {
		t.Errorf("only %d different delays", len(spread))
	}
	in, c := flow{seed: 1, link: Link{Reorder: 0.1, ReorderBy: 50 * time.Millisecond}, n: 200, size: 1, gap: time.Millisecond}.run(t)
	late, overtaken := 0, 0
	for i, d := range in.data {
		if in.after[i]-time.Duration(d[0])*time.Millisecond == 50*time.Millisecond {
			late++
		}
		if i > 0 && in.data[i-1][0] > d[0] {
			overtaken++
		}
	}
	if late != c.Reordered || overtaken == 0 {
		t.Errorf("%d came late, %d after a later one; %d were reordered", late, overtaken, c.Reordered)
	}
}

func TestDuplicatesAndCorruption(t *testing.T) {
	in, c := flow{seed: 3, link: Link{Duplicate: 0.3, Corrupt: 0.3}, n: 250, size: 10}.run(t)
	bad, seen := 0, map[byte]int{}
	for _, d := range in.data {
		most, at := 0, byte(0) // the byte that most of it has
		for _, b := range d {
			if k := bytes.Count(d, []byte{b}); k > most {
				most, at = k, b
			}
		}
		seen[at]++
		switch {
		case most == len(d):
		case most == len(d)-1:
			bad++
			for _, b := range d {
				if x := b ^ at; x&(x-1) != 0 {
					t.Errorf("% x: more than a bit is flipped", d)
				}
			}
		default:
			t.Errorf("% x: more than a byte is wrong", d)
		}
	}
	twice := 0
	for _, k := range seen {
		if k == 2 {
			twice++
		}
	}
	if bad != c.Corrupted || twice != c.Duplicated || bad == 0 || twice == 0 {
		t.Errorf("%d bad, %d twice, counted %+v", bad, twice, c)
	}
}

func TestPacketsOfADatagram(t *testing.T) {
	for _, tc := range []struct {
		payload, mtu   int
		v6             bool
		packets, bytes int
	}{
		{0, 1500, false, 1, 28},
		{1472, 1500, false, 1, 1500},
		{1473, 1500, false, 2, 1481 + 40},
		{1452, 1500, true, 1, 1500},
		{1453, 1500, true, 2, 1461 + 2*48},
		{1232, 1280, true, 1, 1280},
		{1233, 1280, true, 2, 1241 + 2*48},
		{5600, 1500, false, 4, 5608 + 80},
		{5600, 1500, true, 4, 5608 + 4*48},
		{5600, 1400, false, 5, 5608 + 100}, // 1380 is 1376 in multiples of 8
		{5600, 0, false, 1, 5628},
		{5600, 0, true, 1, 5648},
		{65507, 65535, false, 1, 65535},
		{65507, 1500, false, 45, 65515 + 45*20},
	} {
		if p, b := packetsOf(tc.payload, tc.mtu, tc.v6); p != tc.packets || b != tc.bytes {
			t.Errorf("%d bytes over %d, IPv6 %v: %d packets of %d bytes, want %d of %d", tc.payload, tc.mtu, tc.v6, p, b, tc.packets, tc.bytes)
		}
	}
}

// With 5 % of packets lost at 82 Mbit/s, 5.6 KB datagrams stop to arrive after seconds, and start again
// when what is broken expires; datagrams of one packet are not concerned.
func TestReassemblyPoolFillsUp(t *testing.T) {
	f := flow{seed: 1, link: Link{Loss: 0.05, MTU: 1500}, n: 6000, size: 5600, gap: time.Second / 1800}
	in, c := f.run(t)
	if last := in.after[len(in.after)-1]; last > 3*time.Second || c.Unassembled < 500 {
		t.Errorf("of 3.3 s the last arrived after %v, %+v", last, c)
	}
	f.n, f.gap = 4200, time.Second/125 // 33.6 s; full after 27 s, and the first that broke expire after 30
	if in, c = f.run(t); c.Unassembled == 0 || in.after[len(in.after)-1] < 33*time.Second {
		t.Errorf("the last arrived after %v, %+v", in.after[len(in.after)-1], c)
	}
	f.n, f.size, f.gap = 3000, 1472, time.Second/1800
	if _, c := f.run(t); c.Unassembled != 0 || c.Delivered+c.Lost != f.n {
		t.Errorf("datagrams of one packet: %+v", c)
	}
}

func TestFragmentsBlocked(t *testing.T) {
	link := Link{MTU: 1500, NoFrags: true}
	if _, c := (flow{link: link, n: 5, size: 1473}).run(t); c.Blocked != 5 {
		t.Errorf("%+v, want 5 blocked", c)
	}
	if _, c := (flow{link: link, n: 5, size: 1472}).run(t); c.Delivered != 5 {
		t.Errorf("%+v, want 5 delivered", c)
	}
}

func TestDownAndDark(t *testing.T) {
	if _, c := (flow{link: Link{Down: true}, n: 5, size: 10}).run(t); c.Down != 5 {
		t.Errorf("%+v, want 5 down", c)
	}
	// Light for 3 s, dark for 2 s; one datagram each second, at 0, 1 … 19 s, half a second on its way.
	link := Link{Delay: time.Second / 2, Dark: Every(5*time.Second, 2*time.Second, time.Minute)}
	in, c := flow{link: link, n: 20, size: 1, gap: time.Second}.run(t)
	var got []int
	for _, d := range in.data {
		got = append(got, int(d[0]))
	}
	if want := "[0 1 2 5 6 7 10 11 12 15 16 17]"; fmt.Sprint(got) != want || c.Down != 8 {
		t.Errorf("arrived %v, want %s; %+v", got, want, c)
	}
	// What is under way when it gets dark is lost.
	link.Delay = 2 * time.Second
	if in, _ = (flow{link: link, n: 5, size: 1, gap: time.Second}).run(t); len(in.data) != 1 || in.data[0][0] != 0 {
		t.Errorf("%d arrived, want the first", len(in.data))
	}
}

// The ladder is what its table says.
func TestLadder(t *testing.T) {
	for i, r := range Ladder {
		t.Run(r.Name, func(t *testing.T) {
			size := 1472 // packets of 1500 bytes at the rate
			_, c := flow{seed: uint64(i), link: r.Link, n: 2000, size: size, gap: time.Duration(1500 / r.Link.Rate * 1.001 * float64(time.Second))}.run(t)
			want := float64(c.Sent) * r.Link.Loss
			if math.Abs(float64(c.Lost)-want) > 4*math.Sqrt(want*(2*rungBurst-1)) || c.Delivered+c.Lost != c.Sent {
				t.Errorf("%+v, want %.0f lost and nothing else", c, want)
			}
		})
	}
}
