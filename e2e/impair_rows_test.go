//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sharer/internal/impair"
	"sharer/internal/netsim"
	"sharer/internal/udp"
	lcdp "sharer/wire"
)

// full is a short span in a usual run, and that of the reliability list with SHARER_E2E_BIG=1.
func full(short, whole time.Duration) time.Duration {
	if os.Getenv("SHARER_E2E_BIG") == "1" {
		return whole
	}
	return short
}

// sample is a look at what has come over an impaired link.
type sample struct {
	at          time.Duration
	content     int64 // bytes by UDP
	tcp         int64 // bytes of IP
	short, long int64 // answers that went in
	counts      impair.Counts
}

// sampling is looks at a link, four a second.
type sampling struct {
	x       *impaired
	begun   time.Time
	samples []sample
}

const samplePeriod = 250 * time.Millisecond

func (x *impaired) sampling() *sampling {
	s := &sampling{x: x, begun: time.Now()}
	s.look()
	return s
}

func (s *sampling) look() sample {
	n := sample{at: time.Since(s.begun), counts: s.x.bridge.Counts()[0], tcp: s.x.came.stream()}
	n.content, _, _ = s.x.came.figures()
	_, n.short, n.long = s.x.sent.figures()
	s.samples = append(s.samples, n)
	return n
}

// during looks until a span is over, or enough says so.
func (s *sampling) during(span time.Duration, enough func(before, now sample) bool) (last sample) {
	tick := time.NewTicker(samplePeriod)
	defer tick.Stop()
	last = s.samples[len(s.samples)-1]
	for until := last.at + span; last.at < until; {
		<-tick.C
		before := last
		if last = s.look(); enough != nil && enough(before, last) {
			break
		}
	}
	return last
}

// line is one figure of the samples.
func (s *sampling) line(name string, of func(sample) int64) (l line) {
	l.name = name
	for _, n := range s.samples {
		l.points = append(l.points, point{n.at, of(n)})
	}
	return l
}

func contentOf(n sample) int64 { return n.content }
func tcpOf(n sample) int64     { return n.tcp }

// pauses is when a get told of the first verified byte, since it was started, and the longest time until the next.
func (p *process) pauses(begun time.Time) (first, longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var done int64
	var last time.Time
	for i, e := range p.events {
		if e.Type != "status" || e.Done == done {
			continue
		}
		if at := p.times[i]; done == 0 {
			first = at.Sub(begun)
		} else {
			longest = max(longest, at.Sub(last))
		}
		done, last = e.Done, p.times[i]
	}
	return first, longest
}

// TestImpairClean is row N1: what a pair of nodes on a wire reaches, of what sending datagrams alone does.
func TestImpairClean(t *testing.T) {
	needs(t, "ip")
	needsTime(t)
	a, b := wire(t)
	rate := blast(t, a, b)
	size := large(t)
	path := filepath.Join(folder(t), "large")
	generate(t, path, size, 11)
	seed, addr := seeding(t, a.how(), "10.77.0.1:0", path)
	target := filepath.Join(folder(t), "copy")
	before := b.device("eth")[receivedBytes]
	e := getting(t, b.how(), "10.77.0.2:0", addr, seed.file(path).Link, target).got()
	same(t, target, path)
	received := float64(b.device("eth")[receivedBytes] - before)
	wireRate := received / e.Seconds
	// What is around the content of a packet takes an eighth of it at most; the rest came more than once.
	around := received/float64(size) - 1
	drops := b.counters("snmp", "Udp:")["RcvbufErrors"]
	t.Logf("%d MiB in %.2f s: %s of content, %s on the wire, WriteBatch alone %s: %.0f %%; %.1f %% of the wire beyond the content; %d found the receive buffer full",
		size/mib, e.Seconds, mbit(float64(size)/e.Seconds), mbit(wireRate), mbit(rate), 100*wireRate/rate, 100*around, drops)
	if around < 0.03 || around > 0.15 {
		t.Errorf("%.1f %% of the wire beyond the content, want 3 to 15: something came more than once", 100*around)
	}
	if timed() && wireRate < 0.6*rate {
		t.Errorf("%.0f %% of WriteBatch alone, want 60", 100*wireRate/rate)
	}
}

// blast is how many bytes a second reach the far end when one sends datagrams of a block as fast as it can.
func blast(t *testing.T, a, b *namespace) float64 {
	t.Helper()
	var from, to *udp.Conn
	check(t, a.inside(func() (err error) { from, err = udp.Listen([]string{"10.77.0.1:7"}, udp.Options{}); return err }))
	defer from.Close()
	check(t, b.inside(func() (err error) { to, err = udp.Listen([]string{"10.77.0.2:7"}, udp.Options{}); return err }))
	done := make(chan int64)
	go func() {
		var bytes int64
		for r := to.Readers()[0]; ; {
			ds, err := r.ReadBatch()
			if err != nil {
				done <- bytes
				return
			}
			for _, d := range ds {
				bytes += int64(len(d.Data))
			}
		}
	}()
	batch := make([]lcdp.Datagram, 64)
	for i := range batch {
		batch[i] = lcdp.Datagram{Addr: netip.MustParseAddrPort("10.77.0.2:7"), Data: make([]byte, 5640)} // a block in base64, with what is around it
	}
	begun := time.Now()
	for time.Since(begun) < 3*time.Second {
		_, err := from.WriteBatch(batch)
		check(t, err)
	}
	took := time.Since(begun).Seconds()
	check(t, to.Close())
	return float64(<-done) / took
}

// TestImpairBlackout is row N4: at 1 % of packets lost, broken datagrams fill the pool in which a receiver puts fragments together.
func TestImpairBlackout(t *testing.T) {
	needs(t, "ip", "sysctl")
	needsTime(t)
	lossy := netsim.Link{Rate: 12.5e6, Queue: 1_250_000, Delay: 8 * time.Millisecond, Loss: 0.01, MTU: 1500}
	clean := lossy
	clean.Loss = 0
	span := full(20*time.Second, 60*time.Second)
	path := filepath.Join(folder(t), "large")
	generate(t, path, 3<<29, 12) // more than the link carries meanwhile
	c := chart{title: fmt.Sprintf("100 Mbit/s, 16 ms, 1 %% of packets lost for %.0f s, then none: Mbit/s of content", span.Seconds())}
	t.Run("sharer", func(t *testing.T) {
		x := newImpaired(t, lossy)
		seed, addr := seeding(t, x.near(), nearIP+":24254", path)
		link := seed.file(path).Link
		s := x.sampling()
		get := getting(t, x.far(), farIP+":24254", addr, link, filepath.Join(folder(t), "copy"), "--progress-interval", "100ms")
		end := s.during(span, nil)
		attainable := x.attainable(lossy)
		x.bridge.Set(clean, clean)
		back := s.during(time.Minute, func(before, now sample) bool { return now.long-before.long > now.short-before.short })
		after := s.during(5*time.Second, nil)
		get.alive()
		first, longest := get.pauses(s.begun)
		reached := float64(end.content) / end.at.Seconds()
		fits := time.Duration(-1)
		for i := 1; i < len(s.samples) && s.samples[i].at < end.at; i++ {
			if a, b := s.samples[i-1], s.samples[i]; b.short-a.short > b.long-a.long {
				fits = b.at - first // there was nothing to lose before
				break
			}
		}
		c.panels = append(c.panels, panel{"sharer", []line{s.line("content", contentOf), s.line("answers of one packet", func(n sample) int64 { return 832 * n.short })}, []mark{{end.at, "no loss from here"}, {back.at, "answers of 4 KiB again"}}})
		t.Logf("%s of %s attainable while packets were lost: %.1f %%; first verified byte after %v, then %v without one at most; most answers fit a packet %v later, are of 4 KiB again %v after the last loss, %s then",
			mbit(reached), mbit(attainable), 100*reached/attainable, first.Round(time.Millisecond), longest.Round(time.Millisecond), fits.Round(time.Millisecond), (back.at - end.at).Round(time.Millisecond), mbit(float64(after.content-back.content)/(after.at-back.at).Seconds()))
		if longest > 2*time.Second || longest == 0 {
			t.Errorf("%v without a verified block", longest)
		}
		if timed() && reached < 0.85*attainable {
			t.Errorf("%.1f %% of the attainable, want 85", 100*reached/attainable)
		}
		if fits < 0 || fits > 3*time.Second {
			t.Errorf("most answers fit a packet %v after the first byte, want 3 s", fits)
		}
		if back.at-end.at >= time.Minute {
			t.Error("answers of 4 KiB do not come back within a minute")
		}
	})
	t.Run("bbr", func(t *testing.T) {
		needs(t, "nginx", "curl")
		x := newImpaired(t, lossy)
		x.control("bbr")
		url := nginxAt(t, x.near(), nearIP+":80", filepath.Dir(path)) + "/" + filepath.Base(path)
		s := x.sampling()
		start(t, x.far(), "curl", "-sS", "-o", "/dev/null", url)
		end := s.during(span, nil)
		t.Logf("TCP BBR: %s with headers", mbit(float64(end.tcp)/end.at.Seconds()))
		c.panels = append(c.panels, panel{"curl from nginx, TCP BBR (bytes of IP)", []line{s.line("", tcpOf)}, nil})
	})
	t.Run("rust", func(t *testing.T) {
		program := os.Getenv("SHARER_RUST")
		if program == "" {
			t.Skip("skipped: SHARER_RUST names no binary")
		}
		x := newImpaired(t, lossy)
		_, id := rustGiver(t, x, program, path)
		s := x.sampling()
		rustTaker(t, x, program, id)
		end := s.during(span, nil)
		t.Logf("Rust node: %s", mbit(float64(end.content)/end.at.Seconds()))
		c.panels = append(c.panels, panel{"Rust node to Rust node", []line{s.line("", contentOf)}, nil})
	})
	if len(c.panels) > 0 {
		c.save(t, "N4.svg")
	}
}

// TestImpairNoFragments is row N5, TestImpairNarrow row N6.
func TestImpairNoFragments(t *testing.T) {
	impairedGet(t, netsim.Link{Rate: 2.5e6, Queue: 250_000, Delay: 20 * time.Millisecond, MTU: 1500, NoFrags: true}, func(t *testing.T, c impair.Counts) {
		if c.Blocked == 0 {
			t.Error("no fragment was blocked")
		}
	})
}

func TestImpairNarrow(t *testing.T) {
	for _, mtu := range []int{1280, 1400} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			impairedGet(t, netsim.Link{Rate: 2.5e6, Queue: 250_000, Delay: 20 * time.Millisecond, MTU: mtu}, func(t *testing.T, c impair.Counts) {
				if c.TooLarge > 0 {
					t.Errorf("%d packets were too large and must not be cut", c.TooLarge)
				}
			})
		})
	}
}

// impairedGet fetches 16 MiB over a link: the first verified byte comes within 3 s, and never 3 s pass without another.
func impairedGet(t *testing.T, l netsim.Link, more func(t *testing.T, c impair.Counts)) {
	needs(t, "ip", "sysctl")
	needsTime(t)
	const size = 16 * mib
	path := filepath.Join(folder(t), "content")
	generate(t, path, size, 13)
	x := newImpaired(t, l)
	seed, addr := seeding(t, x.near(), nearIP+":24254", path)
	target := filepath.Join(folder(t), "copy")
	begun := time.Now()
	get := getting(t, x.far(), farIP+":24254", addr, seed.file(path).Link, target, "--progress-interval", "50ms")
	get.got()
	took := time.Since(begun)
	same(t, target, path)
	first, longest := get.pauses(begun)
	rate, attainable := size/took.Seconds(), x.attainable(l)
	_, short, long := x.sent.figures()
	t.Logf("%s of %s attainable: %.1f %%; first verified byte after %v, then %v without one at most; %d answers of one packet, %d of fragments", mbit(rate), mbit(attainable), 100*rate/attainable,
		first.Round(time.Millisecond), longest.Round(time.Millisecond), short, long)
	if first == 0 || first > 3*time.Second || longest > 3*time.Second {
		t.Errorf("first verified byte after %v, then %v without one, want 3 s at most", first, longest)
	}
	more(t, x.bridge.Counts()[0])
}

// TestImpairShared is row N10: a bottleneck that is shared with a bulk flow of TCP.
func TestImpairShared(t *testing.T) {
	needs(t, "ip", "sysctl", "nginx", "curl")
	needsTime(t)
	const rate = 20e6 / 8
	link := netsim.Link{Rate: rate, Queue: rate * 3 / 10, Delay: 20 * time.Millisecond, MTU: 1500}
	alone, together := full(10*time.Second, 15*time.Second), full(25*time.Second, 60*time.Second)
	dir := folder(t)
	path := filepath.Join(dir, "large")
	generate(t, path, 512*mib, 14) // more than the link carries meanwhile
	c := chart{title: "20 Mbit/s with a queue of 300 ms, 40 ms round trip: Mbit/s of content (sharer) and of IP (TCP)"}
	for _, mode := range []struct {
		name   string
		flags  []string
		lo, hi float64 // share of the link that TCP keeps
	}{{"default", nil, 0.30, 0.70}, {"background", []string{"--background"}, 0.85, 1}} {
		for _, control := range []string{"cubic", "bbr"} {
			t.Run(mode.name+"/"+control, func(t *testing.T) {
				x := newImpaired(t, link)
				x.control(control)
				url := nginxAt(t, x.near(), nearIP+":80", dir) + "/" + filepath.Base(path)
				seed, addr := seeding(t, x.near(), nearIP+":24254", path)
				id := seed.file(path).Link
				s := x.sampling()
				get := getting(t, x.far(), farIP+":24254", addr, id, filepath.Join(folder(t), "copy"), mode.flags...)
				grown := s.during(3*time.Second, nil)
				lone := s.during(alone-3*time.Second, nil)
				standing := lone.counts.Sojourn.Since(grown.counts.Sojourn)
				ctx, cancel := context.WithTimeout(t.Context(), together)
				defer cancel()
				args := append(x.far().through, "curl", "-sS", "-o", "/dev/null", url)
				flow := exec.CommandContext(ctx, args[0], args[1:]...)
				check(t, onStarter(flow.Start))
				shared := s.during(together, nil)
				get.alive()
				var killed *exec.ExitError
				if err := flow.Wait(); !errors.As(err, &killed) {
					t.Fatalf("curl ended before its time: %v", err)
				}
				share := float64(shared.tcp-lone.tcp) / (shared.at - lone.at).Seconds() / rate
				busy := float64(shared.counts.DeliveredBytes-lone.counts.DeliveredBytes) / (shared.at - lone.at).Seconds() / rate
				queue := shared.counts.Sojourn.Since(lone.counts.Sojourn)
				c.panels = append(c.panels, panel{fmt.Sprintf("sharer %s, TCP %s", mode.name, control), []line{s.line("sharer", contentOf), s.line("TCP", tcpOf)}, []mark{{lone.at, "TCP begins"}}})
				t.Logf("TCP %s keeps %.1f %% of the link for %v, all together use %.1f %%; sharer alone: %s of content, standing queue %v at the median, %v for 95 %%; shared: %v at the median", control, 100*share, together, 100*busy,
					mbit(float64(lone.content-grown.content)/(lone.at-grown.at).Seconds()), standing.Quantile(0.5), standing.Quantile(0.95), queue.Quantile(0.5))
				if share == 0 || lone.content == 0 {
					t.Error("one of the two did not run")
				}
				if timed() && (share < mode.lo || share > mode.hi) {
					t.Errorf("TCP keeps %.1f %% of the link, want %.0f to %.0f", 100*share, 100*mode.lo, 100*mode.hi)
				}
				if timed() && standing.Quantile(0.5) > 100*time.Millisecond {
					t.Errorf("standing queue of %v with sharer alone, want 100 ms", standing.Quantile(0.5))
				}
			})
		}
	}
	if len(c.panels) > 0 {
		c.save(t, "N10.svg")
	}
}
