//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
	"sharer/sim"
)

// speeds are of one program, bytes of content a second, one for each pattern of losses that was tried.
type speeds []float64

func (r speeds) mean() float64 {
	sum := 0.0
	for _, v := range r {
		sum += v
	}
	return sum / float64(max(len(r), 1))
}

// over is how r compares with another program on the same patterns, in the order of the patterns.
func (r speeds) over(o speeds) (ratios speeds) {
	for i := range min(len(r), len(o)) {
		ratios = append(ratios, r[i]/o[i])
	}
	return ratios
}

// climb is a line of the table of the ladder; speeds of content, empty: not measured.
type climb struct {
	Rung       string  `json:"rung"`
	Size       int64   `json:"size"`
	Rate       float64 `json:"rate"`
	Attainable speeds  `json:"attainable"`
	Sharer     speeds  `json:"sharer"`
	Redundant  speeds  `json:"redundant"` // content that came beyond what was needed, as a share of it
	Simulated  speeds  `json:"simulated"`
	Cubic      speeds  `json:"tcp_cubic"`
	BBR        speeds  `json:"tcp_bbr"`
	Rust       speeds  `json:"rust"`

	link netsim.Link
	bar  float64 // of the attainable
}

// climbs are the rungs that are asked for, all of them with SHARER_E2E_LADDER=1.
func climbs(whole bool) (lines []*climb) {
	for i, rung := range netsim.Ladder {
		if short := i == 1 || i == 3; !whole && !short {
			continue
		}
		c := &climb{Rung: rung.Name, Size: rungSizes[i][0], Rate: rung.Link.Rate, link: rung.Link, bar: 0.90}
		if os.Getenv("SHARER_E2E_BIG") == "1" {
			c.Size = rungSizes[i][1]
		}
		if i >= 4 {
			c.bar = 0.75
		}
		lines = append(lines, c)
	}
	return lines
}

// patterns is how many patterns of losses are tried on each rung. A download of a quarter of a minute meets few runs of losses: on the
// last rungs one pattern differs from the next by a third.
func patterns(t *testing.T) int {
	text := os.Getenv("SHARER_E2E_PATTERNS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("SHARER_E2E_PATTERNS=%s: want a number from 1 on", text)
	}
	return n
}

// TestLadder measures downloads on links as users have them, of sharer and of others on the same links. SHARER_E2E_LADDER=1
// climbs all rungs, else there are two, and sharer alone. With SHARER_E2E_PATTERNS each program meets so many patterns of losses, the
// same for all, and as many rungs are climbed side by side as -test.parallel allows. SHARER_RUST is a binary of the Rust node.
func TestLadder(t *testing.T) {
	needs(t, "ip", "sysctl")
	whole, n := os.Getenv("SHARER_E2E_LADDER") == "1", patterns(t)
	lines := climbs(whole)
	t.Cleanup(func() {
		lines = slices.DeleteFunc(lines, func(c *climb) bool { return len(c.Sharer) == 0 }) // not asked for by -run, or failed
		for _, c := range lines {
			line, err := json.Marshal(c)
			check(t, err)
			t.Logf("%s", line)
		}
		t.Logf("Mbit/s of content, means of %d patterns:\n%s", n, ladderTable(lines))
	})
	for i, c := range lines {
		t.Run(c.Rung, func(t *testing.T) {
			if n > 1 {
				t.Parallel()
			}
			path := filepath.Join(folder(t), "content")
			generate(t, path, c.Size, uint64(100+i))
			each := func(name string, to *speeds, f func(t *testing.T, seed uint64) float64) {
				t.Run(name, func(t *testing.T) {
					for k := range n {
						t.Run(fmt.Sprint("pattern ", k+1), func(t *testing.T) {
							*to = append(*to, f(t, uint64(2*k+1))) // each direction has a seed of its own
						})
					}
				})
			}
			each("sharer", &c.Sharer, func(t *testing.T, seed uint64) float64 { return c.sharer(t, seed, path) })
			each("simulated", &c.Simulated, c.simulated)
			if whole {
				each("cubic", &c.Cubic, func(t *testing.T, seed uint64) float64 { return tcp(t, c.link, seed, path, "cubic") })
				each("bbr", &c.BBR, func(t *testing.T, seed uint64) float64 { return tcp(t, c.link, seed, path, "bbr") })
				each("rust", &c.Rust, func(t *testing.T, seed uint64) float64 { return rust(t, c.link, seed, path, c.Size) })
			}
		})
	}
}

// ladderTable is the table as Markdown.
func ladderTable(lines []*climb) string {
	var b strings.Builder
	b.WriteString("| link | content | rate | attainable | sharer | of the attainable | redundant | simulated | TCP BBR | sharer ÷ BBR | from, to | TCP CUBIC | Rust node |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, c := range lines {
		ratio, span := "-", "-"
		if each := c.Sharer.over(c.BBR); len(each) > 0 {
			ratio, span = fmt.Sprintf("%.3f", c.Sharer.mean()/c.BBR.mean()), fmt.Sprintf("%.2f, %.2f", slices.Min(each), slices.Max(each))
		}
		fmt.Fprintf(&b, "| %s | %d MiB | %s | %s | %s | %.1f %% | %.1f %% | %s | %s | %s | %s | %s | %s |\n", c.Rung, c.Size/mib, cell(c.Rate), cell(c.Attainable.mean()), cell(c.Sharer.mean()),
			100*c.Sharer.mean()/c.Attainable.mean(), 100*c.Redundant.mean(), cell(c.Simulated.mean()), cell(c.BBR.mean()), ratio, span, cell(c.Cubic.mean()), cell(c.Rust.mean()))
	}
	return b.String()
}

func cell(bytes float64) string {
	if bytes == 0 {
		return "-"
	}
	return strconv.FormatFloat(bytes*8/1e6, 'f', 2, 64)
}

// attainable is rate × (1 − loss) × content ÷ IP bytes of the datagrams that carried it, as counted.
func (x *impaired) attainable(l netsim.Link) float64 {
	content, _, _ := x.sent.figures()
	return l.Rate * (1 - l.Loss) * float64(content) / float64(x.bridge.Counts()[0].Bytes)
}

func (c *climb) sharer(t *testing.T, pattern uint64, path string) (rate float64) {
	x := newPattern(t, c.link, pattern)
	seed, addr := seeding(t, x.near(), nearIP+":24254", path)
	target := filepath.Join(folder(t), "copy")
	begun := time.Now()
	getting(t, x.far(), farIP+":24254", addr, seed.file(path).Link, target).got()
	rate = float64(c.Size) / time.Since(begun).Seconds()
	same(t, target, path)
	attainable := x.attainable(c.link)
	came, short, long := x.came.figures()
	redundant := float64(came-c.Size) / float64(c.Size)
	c.Attainable, c.Redundant = append(c.Attainable, attainable), append(c.Redundant, redundant)
	counts := x.bridge.Counts()[0]
	t.Logf("%s of %s attainable: %.1f %%; %.2f %% came without need; %d answers of one packet, %d of fragments; of %d packets %d lost, %d overflowed; at most %v late", mbit(rate), mbit(attainable),
		100*rate/attainable, 100*redundant, short, long, counts.Packets, counts.Lost, counts.Overflow, counts.Late)
	if c.link.Loss > 0 && counts.Lost == 0 {
		t.Error("the link lost nothing")
	}
	if timed() && rate < c.bar*attainable {
		t.Errorf("%.1f %% of the attainable, want %.0f", 100*rate/attainable, 100*c.bar)
	}
	if redundant > 0.05 {
		t.Errorf("%.1f %% of the content came without need, want 5 at most", 100*redundant)
	}
	return rate
}

// simulated is the same download on the simulated network.
func (c *climb) simulated(t *testing.T, pattern uint64) (rate float64) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Link: c.link, Seed: pattern})
		defer w.Close()
		s := w.Seeder(node.Config{}, int(c.Size))
		got, ok := w.Node(node.Config{Peers: []netip.AddrPort{s.At}}).Fetch(s.Contents[0].BLAKE3())
		if !ok {
			t.Fatal("the simulated download failed")
		}
		rate = float64(c.Size) / got.Duration.Seconds()
	})
	ratio := c.Sharer.mean() / rate
	t.Logf("%s: impaired ÷ simulated %.3f", mbit(rate), ratio)
	if timed() && (ratio < 0.9 || ratio > 1.1) {
		t.Errorf("the impaired link gives %.2f of what the simulated one does, want 0.9 to 1.1", ratio)
	}
	return rate
}
