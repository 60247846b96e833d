//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
	"sharer/sim"
)

// spell is how long who is only compared with may take; what has come by then gives its rate.
const spell = 30 * time.Second

// rungSizes are the bytes of content on each rung: a quarter of a minute, and with SHARER_E2E_BIG=1 what the reliability list asks for.
var rungSizes = [][2]int64{{64 * mib, 256 * mib}, {16 * mib, 64 * mib}, {8 * mib, 64 * mib}, {3 * mib, 16 * mib}, {2 * mib, 8 * mib}, {mib, 4 * mib}, {32 * mib, 64 * mib}}

// climb is a line of the table of the ladder; rates are bytes of content a second, 0: not measured.
type climb struct {
	Rung       string  `json:"rung"`
	Size       int64   `json:"size"`
	Rate       float64 `json:"rate"`
	Attainable float64 `json:"attainable"`
	Sharer     float64 `json:"sharer"`
	Redundant  float64 `json:"redundant"` // content that came beyond what was needed, as a share of it
	Simulated  float64 `json:"simulated"`
	Cubic      float64 `json:"tcp_cubic"`
	BBR        float64 `json:"tcp_bbr"`
	Rust       float64 `json:"rust"`
}

// TestLadder measures downloads on links as users have them, of sharer and of others on the same links. SHARER_E2E_LADDER=1
// climbs all rungs, else there are two, and sharer alone. SHARER_RUST is a binary of the Rust node.
func TestLadder(t *testing.T) {
	needs(t, "ip", "sysctl")
	whole := os.Getenv("SHARER_E2E_LADDER") == "1"
	var lines []climb
	for i, rung := range netsim.Ladder {
		short := i == 1 || i == 3
		if !whole && !short {
			continue
		}
		c := climb{Rung: rung.Name, Size: rungSizes[i][0], Rate: rung.Link.Rate}
		if os.Getenv("SHARER_E2E_BIG") == "1" {
			c.Size = rungSizes[i][1]
		}
		bar := 0.90
		if i >= 4 {
			bar = 0.75
		}
		t.Run(rung.Name, func(t *testing.T) {
			dir := folder(t)
			path := filepath.Join(dir, "content")
			generate(t, path, c.Size, uint64(100+i))
			t.Run("sharer", func(t *testing.T) { c.sharer(t, rung.Link, path, bar) })
			t.Run("simulated", func(t *testing.T) { c.simulated(t, rung.Link) })
			if whole {
				t.Run("cubic", func(t *testing.T) { c.Cubic = tcp(t, rung.Link, path, "cubic") })
				t.Run("bbr", func(t *testing.T) { c.BBR = tcp(t, rung.Link, path, "bbr") })
				t.Run("rust", func(t *testing.T) { c.Rust = rust(t, rung.Link, path, c.Size) })
			}
		})
		if c.Sharer == 0 {
			continue // not asked for by -run, or failed
		}
		line, err := json.Marshal(c)
		check(t, err)
		t.Logf("%s", line)
		lines = append(lines, c)
	}
	t.Logf("Mbit/s of content:\n%s", ladderTable(lines))
}

// ladderTable is the table as Markdown.
func ladderTable(lines []climb) string {
	var b strings.Builder
	b.WriteString("| link | content | rate | attainable | sharer | of the attainable | redundant | simulated | TCP BBR | TCP CUBIC | Rust node |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	cell := func(bytes float64) string {
		if bytes == 0 {
			return "-"
		}
		return strconv.FormatFloat(bytes*8/1e6, 'f', 2, 64)
	}
	for _, c := range lines {
		fmt.Fprintf(&b, "| %s | %d MiB | %s | %s | %s | %.1f %% | %.1f %% | %s | %s | %s | %s |\n", c.Rung, c.Size/mib, cell(c.Rate), cell(c.Attainable), cell(c.Sharer),
			100*c.Sharer/c.Attainable, 100*c.Redundant, cell(c.Simulated), cell(c.BBR), cell(c.Cubic), cell(c.Rust))
	}
	return b.String()
}

// attainable is rate × (1 − loss) × content ÷ IP bytes of the datagrams that carried it, as counted.
func (x *impaired) attainable(l netsim.Link) float64 {
	content, _, _ := x.sent.figures()
	return l.Rate * (1 - l.Loss) * float64(content) / float64(x.bridge.Counts()[0].Bytes)
}

func (c *climb) sharer(t *testing.T, l netsim.Link, path string, bar float64) {
	x := newImpaired(t, l)
	seed, addr := seeding(t, x.near(), nearIP+":24254", path)
	target := filepath.Join(folder(t), "copy")
	begun := time.Now()
	getting(t, x.far(), farIP+":24254", addr, seed.file(path).Link, target).got()
	c.Sharer = float64(c.Size) / time.Since(begun).Seconds()
	same(t, target, path)
	c.Attainable = x.attainable(l)
	came, short, long := x.came.figures()
	c.Redundant = float64(came-c.Size) / float64(c.Size)
	counts := x.bridge.Counts()[0]
	t.Logf("%s of %s attainable: %.1f %%; %.2f %% came without need; %d answers of one packet, %d of fragments; of %d packets %d lost, %d overflowed; at most %v late", mbit(c.Sharer), mbit(c.Attainable),
		100*c.Sharer/c.Attainable, 100*c.Redundant, short, long, counts.Packets, counts.Lost, counts.Overflow, counts.Late)
	if l.Loss > 0 && counts.Lost == 0 {
		t.Error("the link lost nothing")
	}
	if timed() && c.Sharer < bar*c.Attainable {
		t.Errorf("%.1f %% of the attainable, want %.0f", 100*c.Sharer/c.Attainable, 100*bar)
	}
	if c.Redundant > 0.05 {
		t.Errorf("%.1f %% of the content came without need, want 5 at most", 100*c.Redundant)
	}
}

// simulated is the same download on the simulated network.
func (c *climb) simulated(t *testing.T, l netsim.Link) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Link: l})
		defer w.Close()
		s := w.Seeder(node.Config{}, int(c.Size))
		got, ok := w.Node(node.Config{Peers: []netip.AddrPort{s.At}}).Fetch(s.Contents[0].BLAKE3())
		if !ok {
			t.Fatal("the simulated download failed")
		}
		c.Simulated = float64(c.Size) / got.Duration.Seconds()
	})
	ratio := c.Sharer / c.Simulated
	t.Logf("%s: impaired ÷ simulated %.3f", mbit(c.Simulated), ratio)
	if timed() && (ratio < 0.9 || ratio > 1.1) {
		t.Errorf("the impaired link gives %.2f of what the simulated one does, want 0.9 to 1.1", ratio)
	}
}

// tcp is what curl gets from nginx, under a congestion control.
func tcp(t *testing.T, l netsim.Link, path, control string) (rate float64) {
	needs(t, "nginx", "curl")
	x := newImpaired(t, l)
	x.control(control)
	url := nginxAt(t, x.near(), nearIP+":80", filepath.Dir(path)) + "/" + filepath.Base(path)
	target := filepath.Join(folder(t), "copy")
	args := append(x.far().through, "curl", "-sS", "-f", "-o", target, "--max-time", fmt.Sprint(spell.Seconds()), "-w", "%{size_download} %{time_total}", url)
	out, err := exec.Command(args[0], args[1:]...).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 28) { // 28: out of time
		t.Fatal(err)
	}
	var bytes, seconds float64
	if _, err := fmt.Sscan(string(out), &bytes, &seconds); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	t.Logf("%s in %.1f s under %s", mbit(bytes/seconds), seconds, control)
	return bytes / seconds
}

// control sets the congestion control of TCP by the routes of both ends: the default of a namespace may be unrestricted ones only,
// and the machine's is not ours to change.
func (x *impaired) control(name string) {
	x.t.Helper()
	for _, n := range x.ends {
		if out, err := exec.Command("ip", "-n", n.name, "route", "change", "10.78.0.0/24", "dev", "tun0", "congctl", name).CombinedOutput(); err != nil {
			x.t.Skipf("skipped: no %s in this kernel: %s", name, out)
		}
	}
}

// rust is what one Rust node gets from another.
func rust(t *testing.T, l netsim.Link, path string, size int64) (rate float64) {
	program := os.Getenv("SHARER_RUST")
	if program == "" {
		t.Skip("skipped: SHARER_RUST names no binary")
	}
	x := newImpaired(t, l)
	_, id := rustGiver(t, x, program, path)
	begun := time.Now()
	taker := rustTaker(t, x, program, id)
	home := filepath.Join(taker.cmd.Dir, "cjp2p")
	late := time.After(spell)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting; {
		if _, err := os.Stat(filepath.Join(home, "public", id)); err == nil {
			rate = float64(size) / time.Since(begun).Seconds()
			t.Logf("%s, all of it", mbit(rate))
			return rate
		}
		select {
		case <-late:
			waiting = false
		case <-tick.C:
		}
	}
	// Not all of it: as much as came, what came twice counted too.
	came, _, _ := x.came.figures()
	rate = float64(came) / spell.Seconds()
	t.Logf("%s until it was stopped", mbit(rate))
	return rate
}

// rustGiver starts a node at the near end that shares a file, and returns the sha256 of that.
func rustGiver(t *testing.T, x *impaired, program, path string) (p *process, id string) {
	t.Helper()
	p, typing := rustNode(t, x.near(), program)
	shared := filepath.Join(folder(t), "shared") // it links what it shares
	run(t, "cp", path, shared)
	say(t, typing, "/share "+shared)
	id = strings.TrimSpace(p.line("  sha256: "))
	return p, id[strings.LastIndexByte(id, '/')+1:]
}

// rustTaker starts a node at the far end that fetches an id from the near end.
func rustTaker(t *testing.T, x *impaired, program, id string) *process {
	t.Helper()
	p, typing := rustNode(t, x.far(), program)
	say(t, typing, "/addpeer "+nearIP+":24254")
	<-time.After(300 * time.Millisecond) // two lines at once are read as one, and the other never
	say(t, typing, "/get "+id)
	p.line("QUEING FILE")
	return p
}

// rustNode starts one in a folder of its own; what it is told goes to typing.
func rustNode(t *testing.T, h how, program string) (p *process, typing *os.File) {
	t.Helper()
	in, typing, err := os.Pipe()
	check(t, err)
	h.dir, h.typed = folder(t), in
	p = start(t, h, program)
	check(t, in.Close())
	t.Cleanup(func() { _ = typing.Close() })
	p.line("web console at")
	return p, typing
}

func say(t *testing.T, to *os.File, line string) {
	t.Helper()
	_, err := fmt.Fprintln(to, line)
	check(t, err)
}

// line waits for a line with a text in it that is no event.
func (p *process) line(with string) string {
	p.t.Helper()
	late := time.After(patience)
	for {
		p.mu.Lock()
		plain, changed := p.plain, p.changed
		p.mu.Unlock()
		for _, l := range plain {
			if strings.Contains(l, with) {
				return l
			}
		}
		select {
		case <-changed:
		case <-p.ended:
			p.t.Fatalf("%s ended without %q: %s", p.name, with, p.errors.String())
		case <-late:
			p.t.Fatalf("%s does not say %q", p.name, with)
		}
	}
}
