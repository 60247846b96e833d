//go:build linux

package e2e

import (
	"bytes"
	"cmp"
	be "encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"sharer/internal/impair"
	"sharer/internal/netsim"
	"sharer/internal/udp"
	lcdp "sharer/wire"
)

// Addresses at the ends of an impaired link.
const nearIP, farIP = "10.78.0.1", "10.78.0.2"

// tunQueue is how many packets wait for the impairer at most; the kernel's 500 would be a second queue that drops unseen.
const tunQueue = 10_000

// impaired is two network namespaces, near and far, with an impaired link between them and no route elsewhere.
type impaired struct {
	t      *testing.T
	ends   [2]*namespace
	bridge *impair.Bridge
	sent   *meter // of near to far, before the link
	came   *meter // of near to far, behind it
}

// newImpaired makes a link that ends with the test, the same each way.
func newImpaired(t *testing.T, l netsim.Link) *impaired {
	t.Helper()
	return newPattern(t, l, 1)
}

// newPattern is newImpaired whose chances follow from a seed.
func newPattern(t *testing.T, l netsim.Link, seed uint64) *impaired {
	t.Helper()
	needsRoot(t)
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("skipped: %v", err)
	}
	x := &impaired{t: t, sent: newMeter(), came: newMeter()}
	var devices [2]*os.File
	for i, ip := range []string{nearIP, farIP} {
		n := newNamespace(t)
		f, err := impair.OpenTUN("/run/netns/"+n.name, "tun0")
		check(t, err)
		n.set("net.ipv6.conf.all.disable_ipv6", "1") // or it would look for routers now and then, and take chances of loss
		n.ip("link", "set", "tun0", "mtu", "1500", "txqueuelen", strconv.Itoa(tunQueue))
		n.ip("addr", "add", ip+"/24", "dev", "tun0")
		n.ip("link", "set", "tun0", "up")
		x.ends[i], devices[i] = n, f
	}
	b, err := impair.NewBridge(seed, devices[0], devices[1], l, l)
	check(t, err)
	x.bridge = b
	x.bridge.Tap(impair.Tap{Came: x.sent.packet, Left: x.came.packet}, impair.Tap{})
	t.Cleanup(func() {
		for _, n := range x.ends {
			if d := n.device("tun0")[transmitDropped]; d > 0 {
				t.Errorf("the TUN device dropped %d packets before the link: figures are not those of the link", d)
			}
		}
		check(t, x.bridge.Close())
	})
	return x
}

// needsTime skips what takes minutes unless it is asked for.
func needsTime(t *testing.T) {
	t.Helper()
	if os.Getenv("SHARER_E2E_LADDER") != "1" {
		t.Skip("skipped: SHARER_E2E_LADDER=1 is not set")
	}
}

func (x *impaired) near() how { return x.ends[0].how() }
func (x *impaired) far() how  { return x.ends[1].how() }

// set sets a parameter of the kernel in the namespace.
func (n *namespace) set(name, value string) {
	n.t.Helper()
	run(n.t, "ip", "netns", "exec", n.name, "sysctl", "-qw", name+"="+value)
}

// Columns of /proc/net/dev.
const (
	receivedBytes   = 0
	transmitDropped = 11
)

// device is the columns of an interface in /proc/net/dev.
func (n *namespace) device(name string) (columns []int64) {
	n.t.Helper()
	for line := range strings.Lines(run(n.t, "ip", "netns", "exec", n.name, "cat", "/proc/net/dev")) {
		if is, rest, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(is) == name {
			for _, f := range strings.Fields(rest) {
				columns = append(columns, number(n.t, f))
			}
			return columns
		}
	}
	n.t.Fatalf("%s has no %s", n.name, name)
	return nil
}

// inside runs f on a thread that is in the namespace: the sockets that it opens stay there. The thread ends with it.
func (n *namespace) inside(f func() error) error {
	n.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: nobody else may use the thread
		ns, err := os.Open("/run/netns/" + n.name)
		if err == nil {
			defer ns.Close()
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// socket opens one in the namespace that closes with the test.
func (n *namespace) socket(addr string) *udp.Conn {
	n.t.Helper()
	var c *udp.Conn
	check(n.t, n.inside(func() (err error) {
		c, err = udp.Listen([]string{addr}, udp.Options{Single: true})
		return err
	}))
	n.t.Cleanup(func() { _ = c.Close() }) // the test may have closed it
	return c
}

// meter counts content in the IP packets of one direction, put together where they are fragments.
type meter struct {
	mu          sync.Mutex
	parts       map[uint16]*assembly
	content     int64 // bytes, trees not counted
	short, long int64 // datagrams with content that are one packet, and fragments
	tcp         int64 // bytes of IP
}

type assembly struct {
	data []byte
	have int
	size int // 0: the last fragment has not come
}

func newMeter() *meter { return &meter{parts: map[uint16]*assembly{}} }

// figures is what was counted until now.
func (m *meter) figures() (content, short, long int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.content, m.short, m.long
}

// stream is the bytes of TCP that were counted until now, with their headers.
func (m *meter) stream() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tcp
}

// packet takes an IPv4 packet; what is neither UDP nor TCP is passed over.
func (m *meter) packet(b []byte) {
	if len(b) < 28 || b[0]>>4 != 4 || b[9] != unix.IPPROTO_UDP {
		if len(b) >= 28 && b[0]>>4 == 4 && b[9] == unix.IPPROTO_TCP {
			m.mu.Lock()
			m.tcp += int64(len(b))
			m.mu.Unlock()
		}
		return
	}
	id, flags := be.BigEndian.Uint16(b[4:]), be.BigEndian.Uint16(b[6:])
	load, at, more := b[int(b[0]&15)*4:], int(flags&0x1fff)*8, flags&0x2000 != 0
	m.mu.Lock()
	defer m.mu.Unlock()
	if at == 0 && !more {
		m.datagram(load[8:], false)
		return
	}
	a := m.parts[id]
	if a == nil || at == 0 { // without reordering the first fragment is the first: an older one of that number lacks something
		a = &assembly{data: make([]byte, 1<<16)}
		m.parts[id] = a
	}
	a.have += copy(a.data[at:], load)
	if !more {
		a.size = at + len(load)
	}
	if a.have == a.size {
		m.datagram(a.data[8:a.size], true)
		delete(m.parts, id)
	}
}

func (m *meter) datagram(b []byte, fragments bool) {
	es, _, _ := lcdp.Split(nil, b)
	content := int64(0)
	for _, e := range es {
		if e.Name != "Content" {
			continue
		}
		switch c, err := lcdp.ParseContent(e.Payload); {
		case err != nil || bytes.HasPrefix(c.ID, []byte("blake3_tree")) || c.For&3 == 1: // the tree's handle
		case c.For != 0:
			content += int64(c.Raw)
		default:
			content += int64(c.DecodedLen())
		}
	}
	switch m.content += content; {
	case content == 0:
	case fragments:
		m.long++
	default:
		m.short++
	}
}

// flight is what became of one datagram of a stream.
type flight struct {
	sent, came time.Duration
	arrived    bool
}

// stream is datagrams of one size, one each gap.
type stream struct {
	size int
	gap  time.Duration
	n    int
}

// over sends a stream over the impaired link, in real time, and counts the bytes of its IP packets.
func (s stream) over(t *testing.T, x *impaired) (flights []flight, packets int64) {
	t.Helper()
	from, to := x.ends[0].socket(nearIP+":7"), x.ends[1].socket(farIP+":7")
	flights = make([]flight, s.n)
	begun := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		receive(to.Readers()[0], flights, begun)
	}()
	before := x.bridge.Counts()[0].Packets
	data := make([]byte, s.size)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; i < s.n; <-tick.C {
		for now := time.Since(begun); i < s.n && time.Duration(i)*s.gap <= now; i++ {
			be.BigEndian.PutUint32(data, uint32(i))
			flights[i].sent = time.Since(begun)
			_, err := from.WriteBatch([]lcdp.Datagram{{Addr: netip.MustParseAddrPort(farIP + ":7"), Data: data}})
			check(t, err)
		}
	}
	<-time.After(time.Second) // more than any queue here holds
	packets = x.bridge.Counts()[0].Packets - before
	check(t, to.Close())
	<-done
	return flights, packets
}

// receive notes what comes until the socket closes.
func receive(r lcdp.BatchReader, flights []flight, begun time.Time) {
	for {
		ds, err := r.ReadBatch()
		now := time.Since(begun)
		if err != nil {
			return
		}
		for _, d := range ds {
			if i := be.BigEndian.Uint32(d.Data); int(i) < len(flights) {
				flights[i].came, flights[i].arrived = now, true
			}
		}
	}
}

// simulate sends the same datagrams at the same times over the simulated link.
func (s stream) simulate(t *testing.T, l netsim.Link, seed uint64, real []flight) (flights []flight, packets int64) {
	t.Helper()
	flights = make([]flight, s.n)
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		w := netsim.New(seed, l)
		defer w.Close()
		near, far := netip.MustParseAddrPort(nearIP+":7"), netip.MustParseAddrPort(farIP+":7")
		from, to := w.Host(near), w.Host(far)
		done := make(chan struct{})
		go func() {
			defer close(done)
			receive(to.Readers()[0], flights, begun)
		}()
		data := make([]byte, s.size)
		for i := range flights {
			time.Sleep(real[i].sent - time.Since(begun))
			be.BigEndian.PutUint32(data, uint32(i))
			flights[i].sent = real[i].sent
			_, err := from.WriteBatch([]lcdp.Datagram{{Addr: far, Data: data}})
			check(t, err)
		}
		time.Sleep(time.Second)
		check(t, to.Close())
		<-done
		packets = int64(w.Counts(near.Addr(), far.Addr()).Packets)
	})
	return flights, packets
}

// digest is what a stream has shown.
type digest struct {
	goodput  float64 // bytes a second, from the first arrival to the last
	loss     float64 // share of datagrams
	p50, p99 time.Duration
}

func digestOf(size int, flights []flight) (d digest) {
	var delays []time.Duration
	first, last := time.Duration(-1), time.Duration(0)
	for _, f := range flights {
		if f.arrived {
			delays = append(delays, f.came-f.sent)
			if last = max(last, f.came); first < 0 {
				first = f.came
			}
		}
	}
	if len(delays) < 2 {
		return digest{loss: 1}
	}
	slices.SortFunc(delays, cmp.Compare)
	d.goodput = float64(len(delays)-1) * float64(size) / (last - first).Seconds()
	d.loss = 1 - float64(len(delays))/float64(len(flights))
	d.p50, d.p99 = delays[len(delays)/2], delays[len(delays)*99/100]
	return d
}

// within reports whether two figures differ by a tenth at most, or by an absolute slack.
func within(a, b, slack float64) bool { return max(a, b)-min(a, b) <= max(0.1*b, slack) }

// busy is how late a link may hand over a packet before the machine is taken to be too busy for the tail of delays.
const busy = 5 * time.Millisecond

// stalled is how late the link may be before what it lost says nothing: queues of the kernel have then overflowed.
const stalled = 100 * time.Millisecond

// TestImpairCalibration sends the same datagrams at the same times over a simulated and an impaired link: what differs is then
// neither program nor congestion control. Chances are not the same ones, so the simulation takes the mean of several seeds.
func TestImpairCalibration(t *testing.T) {
	needs(t, "ip", "sysctl")
	const rate, delay = 25e6 / 8, 20 * time.Millisecond
	plain := netsim.Link{Rate: rate, Queue: rate / 10, Delay: delay, MTU: 1500}
	fast := func(loss, burst float64) netsim.Link {
		return netsim.Link{Rate: 100e6 / 8, Queue: 100e6 / 80, Delay: delay, Loss: loss, Burst: burst, MTU: 1500}
	}
	// A datagram of 5600 bytes is 4 packets, 5688 bytes with headers; one of 1200 is 1228.
	for _, c := range []struct {
		name string
		link netsim.Link
		stream
		seeds  uint64
		chance float64 // of the share lost: three times its standard deviation in one run
		long   bool
	}{
		{"half of the rate", plain, stream{1200, time.Millisecond, 3000}, 1, 0, false},
		{"one and a half of the rate", plain, stream{1200, 262 * time.Microsecond, 12_000}, 1, 0, false},
		{"fragments, nine tenths of the rate", plain, stream{5600, 2022 * time.Microsecond, 2000}, 1, 0, false},
		{"loss 5 %", fast(0.05, 1), stream{1200, 150 * time.Microsecond, 20_000}, 8, 0.005, false},
		{"loss 3 % in bursts", fast(0.03, 2.5), stream{1200, 150 * time.Microsecond, 20_000}, 8, 0.007, true},
		{"fragments, loss 3 % in bursts", fast(0.03, 2.5), stream{5600, time.Millisecond, 5000}, 8, 0.012, false},
		// What is left of broken datagrams fills the receiver's pool, and nothing comes any more until it expires.
		{"fragments, loss 1 % until the pool is full", fast(0.01, 1), stream{5600, 550 * time.Microsecond, 20_000}, 8, 0.03, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long {
				needsTime(t)
			}
			x := newImpaired(t, c.link)
			real, packets := c.over(t, x)
			got := digestOf(c.size, real)
			var want digest
			var simPackets int64
			for seed := range c.seeds {
				flights, n := c.simulate(t, c.link, seed+1, real)
				d := digestOf(c.size, flights)
				want.goodput += d.goodput / float64(c.seeds)
				want.loss += d.loss / float64(c.seeds)
				want.p50, want.p99 = want.p50+d.p50/time.Duration(c.seeds), want.p99+d.p99/time.Duration(c.seeds)
				simPackets = n
			}
			counts := x.bridge.Counts()[0]
			t.Logf("impaired | simulated: %s | %s; lost %.2f %% | %.2f %%; delay p50 %v | %v, p99 %v | %v; packets %d | %d; at most %v late", mbit(got.goodput), mbit(want.goodput),
				100*got.loss, 100*want.loss, got.p50.Round(10*time.Microsecond), want.p50.Round(10*time.Microsecond), got.p99.Round(10*time.Microsecond), want.p99.Round(10*time.Microsecond), packets, simPackets, counts.Late)
			if counts.Late > stalled {
				t.Skipf("skipped: the machine kept the link waiting for %v, which is another link than this one", counts.Late)
			}
			if packets != simPackets || counts.Refused > 0 || counts.Garbage > 0 {
				t.Errorf("%d packets, want %d; %d refused, %d garbage", packets, simPackets, counts.Refused, counts.Garbage)
			}
			if !within(got.goodput, want.goodput, 0) {
				t.Errorf("goodput %s, simulated %s", mbit(got.goodput), mbit(want.goodput))
			}
			if !within(got.loss, want.loss, max(0.002, c.chance)) {
				t.Errorf("%.2f %% lost, simulated %.2f %%", 100*got.loss, 100*want.loss)
			}
			delays := [][2]time.Duration{{got.p50, want.p50}, {got.p99, want.p99}}
			if counts.Late > busy {
				t.Logf("the 99 %% delay is not judged: the machine kept the link waiting for %v", counts.Late)
				delays = delays[:1]
			}
			for _, d := range delays {
				// Two milliseconds are what a machine may take to wake a thread.
				if !within(d[0].Seconds(), d[1].Seconds(), 0.002) {
					t.Errorf("delay %v, simulated %v", d[0], d[1])
				}
			}
		})
	}
}

// TestImpairGone: a bridge whose devices go first ends, and says so, rather than spin.
func TestImpairGone(t *testing.T) {
	needs(t, "ip")
	var devices [2]*os.File
	var ends [2]*namespace
	for i := range devices {
		ends[i] = newNamespace(t)
		var err error
		if devices[i], err = impair.OpenTUN("/run/netns/"+ends[i].name, "tun0"); err != nil {
			t.Skipf("skipped: %v", err)
		}
	}
	b, err := impair.NewBridge(1, devices[0], devices[1], netsim.Link{}, netsim.Link{})
	check(t, err)
	for _, n := range ends {
		n.ip("link", "set", "tun0", "up")
		n.ip("link", "set", "tun0", "down")
	}
	quiet(t, "with devices down")
	for _, n := range ends {
		n.ip("link", "del", "tun0")
	}
	quiet(t, "without devices")
	if err := b.Close(); err == nil {
		t.Error("closed as if the devices had been there")
	}
}

// quiet fails the test if it takes processor time while it waits.
func quiet(t *testing.T, when string) {
	t.Helper()
	var before, after unix.Rusage
	check(t, unix.Getrusage(unix.RUSAGE_SELF, &before))
	<-time.After(300 * time.Millisecond)
	check(t, unix.Getrusage(unix.RUSAGE_SELF, &after))
	if used := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()); used > 100*time.Millisecond {
		t.Errorf("%s: %v of processor time in 300 ms, and nothing to carry", when, used)
	}
}

// mbit is bytes a second as people say it.
func mbit(bytes float64) string { return fmt.Sprintf("%.2f Mbit/s", bytes*8/1e6) }
