package sim

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/swarm"
	"sharer/wire"
)

// Rows of floods.
var floodRows = []row{
	{id: "A13", fault: "50,000 garbage datagrams a second of up to 1400 bytes beside an honest transfer", bar: "≥ 50 % of the goodput without; 200 µs each at most", where: "test", run: rowGarbage},
	{id: "A18", fault: "requests for unknown ids, content lists, from proven and unproven", bar: "no byte on disk beyond 16 MiB, tables ≤ caps (C4)", where: "test", run: rowUnknown},
	{id: "A21", fault: "100,000 bad datagrams a second, control characters in what is logged", bar: "≤ 10 log lines a second, nothing raw", where: "test", run: rowLog},
}

// garbage is what A13 lists: each a datagram of at most 1400 bytes.
var garbage = [][]byte{
	bytes.Repeat([]byte("["), 1400),
	bytes.Repeat([]byte(`{"a":`), 280),
	[]byte("[" + strings.TrimSuffix(strings.Repeat(`{"a":1},`, 170), ",") + "]"),
	[]byte(`[{"ChatMessage":{"message":"` + strings.Repeat(`\u0000`, 220) + `"}}]`),
	append([]byte(`[{"Peers":{"peers":["`), 0xff, 0xfe, '"', ']', '}', '}', ']'),
	[]byte(`[{"PleaseSendContent":{"id":"x","id":"y","offset":1e999,"length":` + strings.Repeat("9", 1000) + `}}]`),
	[]byte("\xef\xbb\xbf[]"),
	{0, 0, 0},
	nil,
	[]byte(`[{"Content":{"id":"blake3/` + strings.Repeat("0", 64) + `","offset":0,"base64":"` + strings.Repeat("A", 1200) + `","eof":5}}]`),
}

func rowGarbage(t *testing.T, r *result) {
	const rate = 50_000
	run := func(flood bool) (took time.Duration, n int, dropped uint64, real time.Duration) {
		inBubble(t, Options{Link: plain}, func(w *World) {
			s := w.Seeder(node.Config{}, size(8_000_000, 64_000_000))
			d := w.Node(node.Config{Peers: []netip.AddrPort{s.At}})
			var e *Evil
			if flood {
				// The flood has a link of its own, without bound.
				at := w.Addr()
				w.SetOneWay(at.Addr(), d.At.Addr(), netsim.Link{Delay: time.Millisecond})
				e = w.EvilAt(at, Flood(d.At, rate, func(_ *Evil, i int) []byte { return garbage[i%len(garbage)] }))
			}
			start := cpuTime()
			got, _ := d.Fetch(s.Contents[0].BLAKE3())
			real = cpuTime() - start
			if e != nil {
				e.Close()
				n = e.Count("flood")
			}
			took, dropped = got.Duration, d.Stats().Gate.DroppedAll()
		})
		return took, n, dropped, real
	}
	clean, _, _, calm := run(false)
	took, n, dropped, real := run(true)
	r.bar(float64(n) > 0.9*rate*took.Seconds() && dropped > 0, "%d garbage datagrams, %d dropped as a whole", n, dropped)
	ratio := clean.Seconds() / took.Seconds()
	r.bar(ratio >= 0.5, "%.2f of the goodput without (%.2f s, %.2f s)", ratio, took.Seconds(), clean.Seconds())
	each := (real - calm) / time.Duration(max(n, 1))
	// How fast the machine is, and whether the race detector runs, is not the node's affair: only the long run judges it.
	r.bar(each <= 200*time.Microsecond || !*long, "%v of processor time each, simulation and checkers counted", each)
}

func rowUnknown(t *testing.T, r *result) {
	ids := size(20_000, 1_000_000)
	inBubble(t, Options{Link: netsim.Link{Delay: time.Millisecond}, Poll: 100 * time.Millisecond}, func(w *World) {
		s := w.Seeder(node.Config{}, 100_000)
		state := s.config.StateDir
		time.Sleep(2 * time.Minute) // what it writes by itself is written
		before := diskUse(t, state)
		var start, end runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&start)
		unknown := func(i int) chunk.ID {
			return chunk.ID{Kind: chunk.Kind(1 + i%3), Hash: chunk.Hash{byte(i), byte(i >> 8), byte(i >> 16), 1}}
		}
		e := w.acquainted(s.At)
		list := wire.ContentList{}
		for i := range 70 {
			list.Results = append(list.Results, wire.Listing{ID: []byte(unknown(i).String()), Size: 1 << 40})
		}
		stranger := w.Addr()
		for i := range ids {
			ask := wire.PleaseSendContent{ID: []byte(unknown(i).String()), Length: chunk.BlockSize}
			switch i % 8 {
			case 0:
				w.Inject(stranger, s.At, wire.AppendArray(nil, ask))
			case 1:
				e.Send(s.At, list)
			default:
				e.Send(s.At, ask)
			}
			if i%500 == 499 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		time.Sleep(3 * time.Minute)
		runtime.GC()
		runtime.ReadMemStats(&end)
		got := s.Stats()
		r.bar(got.Uploads.Unknown >= int64(ids)/2, "%d requests for unknown ids", got.Uploads.Unknown)
		r.bar(got.Holders <= swarm.MaxIDs, "%d contents have holders", got.Holders)
		grown := diskUse(t, state) - before
		r.bar(grown <= 16<<20, "%d bytes more on disk", grown)
		heap := int64(end.HeapAlloc) - int64(start.HeapAlloc)
		r.bar(heap <= 16<<20, "heap %+d KiB", heap>>10)
	})
}

func diskUse(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			fi, err := d.Info()
			if err != nil {
				return err
			}
			sum += fi.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// logLines counts what is logged, by second.
type logLines struct {
	mu    sync.Mutex
	start time.Time
	each  map[int]int
	raw   int // lines with control characters in them
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.each[int(time.Since(l.start)/time.Second)] += bytes.Count(p, []byte("\n"))
	for _, b := range bytes.TrimSuffix(p, []byte("\n")) {
		if b < ' ' || b == 0x7f {
			l.raw++
			break
		}
	}
	return len(p), nil
}

func rowLog(t *testing.T, r *result) {
	const rate = 100_000
	seconds := size(1, 5)
	inBubble(t, Options{Link: netsim.Link{Delay: time.Millisecond}}, func(w *World) {
		lines := &logLines{start: time.Now(), each: map[int]int{}}
		n := w.Node(node.Config{Log: slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		nasty := append([][]byte{
			[]byte("[{\"ChatMessage\":{\"message\":\"\x1b[2J\"}}]"),
			[]byte(`[{"ChatMessage":{"message":"\u001b[31m red \r\n"}}]`),
			[]byte(`[{"\u001b[2J":{}}]`),
		}, garbage...)
		e := w.acquainted(n.At)
		flood := w.EvilAt(w.Addr(), Flood(n.At, rate, func(f *Evil, i int) []byte {
			if i%len(nasty) < 3 && f.theirs[n.At] != nil {
				return f.array(n.At, wire.ChatMessage{Message: "\x1b[2J"})
			}
			return nasty[i%len(nasty)]
		}))
		e.Send(n.At, wire.ChatMessage{Message: "\x1b]0;title\x07"})
		time.Sleep(time.Duration(seconds) * time.Second)
		flood.Close()
		most, all := 0, 0
		for _, k := range lines.each {
			most, all = max(most, k), all+k
		}
		got := n.Stats().Gate
		r.bar(flood.Count("flood") >= rate*seconds*9/10, "%d bad datagrams", flood.Count("flood"))
		r.bar(most <= 10, "%d log lines in a second at most, %d in all", most, all)
		r.bar(lines.raw == 0, "%d with raw control characters", lines.raw)
		r.figure("dropped: %s", fmt.Sprint(got.Dropped))
	})
}
