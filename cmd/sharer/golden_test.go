package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharer/node"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with testdata/golden/name.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s has changed (go test -update ./cmd/sharer writes it anew):\n%s\nwant:\n%s", name, text, want)
	}
}

func TestHelpTexts(t *testing.T) {
	c := newConsole(t)
	golden(t, "help.txt", c.run(t.Context(), "help").out)
	for _, verb := range commands() {
		r := c.run(t.Context(), "help", verb.name)
		r.want(t, exitDone, "*", "")
		golden(t, "help-"+verb.name+".txt", r.out)
		if again := c.run(t.Context(), verb.name, "--help"); again != r {
			t.Errorf("%s --help differs from help %s", verb.name, verb.name)
		}
	}
}

// A flag of one name has the same shape in all verbs: verbAt relies on it.
func TestFlagsHaveOneShape(t *testing.T) {
	shape := map[string]bool{}
	for _, c := range commands() {
		if c.long == "" || c.examples == "" {
			t.Errorf("%s has no help", c.name)
		}
		for _, line := range strings.Split(c.examples, "\n") {
			if !strings.Contains(line, "sharer ") {
				t.Errorf("example %q", line)
			}
		}
		for _, name := range []string{"count", "interval", "timeout", "output", "jobs", "quiet", "verbose", "detach", "json", "seed", "listen"} {
			f := c.flags.Lookup(name)
			if f == nil {
				continue
			}
			value := f.NoOptDefVal == ""
			for _, key := range []string{"--" + name, "-" + f.Shorthand} {
				if before, ok := shape[key]; ok && before != value && key != "-" {
					t.Errorf("%s of %s has another shape elsewhere", key, c.name)
				}
				shape[key] = value
			}
		}
	}
}

func TestEventLines(t *testing.T) {
	var b bytes.Buffer
	n, total, eta, rtt := 2, int64(3303444480), int64(161), 0.43
	at := time.Date(2025, 1, 2, 3, 4, 5, 600e6, time.UTC)
	for _, e := range []any{
		statusEvent{V: 1, Type: "status", Job: "g7", ID: "blake3/3f2a", State: "downloading", BytesDone: 1395864371, BytesTotal: &total, Rate: 11744051, ETA: &eta, Peers: 7, Sources: 4},
		statusEvent{V: 1, Type: "status", State: "hashing", FilesDone: &n, FilesTotal: &n},
		seededEvent{V: 1, Type: "file", Path: "/a/<b>", Size: 3, BLAKE3: "b3", SHA256: "sha", Link: "lcdp://blake3/b3/b?s=3&h=sha256:x"},
		seededEvent{V: 1, Type: "file", Path: "bad\xff", PathBytes: pathBytes("bad\xff")},
		readyEvent{V: 1, Type: "ready", Listen: []string{"127.0.0.1:40001"}, Files: 1, Bytes: 3},
		mappingEvent{V: 1, Type: "mapping", Internal: "192.168.1.7:24254", External: "203.0.113.7:24254", Protocol: "PCP", Public: true, Message: "port 24254 is open to the world as 203.0.113.7:24254 (PCP)"},
		gotEvent{V: 1, Type: "file", Job: "g1", ID: "blake3/3f", Path: "x", Size: 5, Seconds: 1.5, Fetched: 5},
		warningEvent{V: 1, Type: "warning", Code: "not_found", Job: "g2", Message: "no"},
		summaryEvent{V: 1, Type: "summary", Job: "g7", ID: "blake3/3f2a", Path: "ubuntu.iso", Files: 1, Bytes: 3303444480, Seconds: 284.2, Verified: true, Code: "done"},
		errorEvent{V: 1, Type: "error", Code: "stalled", Exit: 4, Message: "x"},
		chatEvent{V: 1, Type: "chat", From: "127.0.0.1:1", Text: "\x1b[31m\u202ehi\u009b\U000e0041 🙂", Time: at},
		pongEvent{V: 1, Type: "pong", From: "127.0.0.1:1", Seq: 1, Bytes: 41, RTT: &rtt},
		pingSummary{V: 1, Type: "summary", Targets: []pingResults{{Address: "127.0.0.1:1", Sent: 2, Answered: 1, Loss: 50, Min: &rtt, Avg: &rtt, Max: &rtt}}, Code: "done"},
		endEvent{V: 1, Type: "summary", Code: "done"},
		versionDocument{V: 1, Type: "version", Version: "0.1.0", Go: "go1.26", OS: "linux", Arch: "amd64"},
	} {
		writeEvent(&b, e)
	}
	golden(t, "events.jsonl", b.String())
}

func TestViewLine(t *testing.T) {
	v := view{name: "ubuntu-24.04-desktop-amd64.iso", state: stateDownloading, done: 1395864371, total: 3303444480, rate: 11744051, peers: 7, sources: 4}
	var b strings.Builder
	for _, width := range []int{0, 100, 60, 45, 30, 12, 5} {
		line := v.line(width)
		b.WriteString(line + "\n")
		if width > 0 && len([]rune(line)) > width {
			t.Errorf("%q is wider than %d", line, width)
		}
	}
	for _, v := range []view{
		{name: "a", state: string(node.LookingForPeers), total: -1},
		{name: "a", state: string(node.LookingForPeers), total: 3303444480},
		{name: "a", state: string(node.Waiting), total: -1, peers: 1},
		{name: "a", state: stateDownloading, done: 1395864371, total: -1, rate: 100},
		{name: "a", state: stateDownloading, done: 10, total: 5, rate: 100},
		{name: "a", state: string(node.Verifying), done: 5, total: 10},
		{name: "hashing", state: stateHashing, files: 2, filesTotal: 2, done: 6549825536, total: 6549825536, rate: 1.9 * (1 << 30)},
		{name: "你好你好你好你好你好你好你好你好.iso", state: stateDownloading, done: 5, total: 10},
	} {
		b.WriteString(v.line(0) + "\n" + v.line(40) + "\n")
		writeEvent(&b, v.event())
	}
	golden(t, "views.txt", b.String())
}

func TestPeersTable(t *testing.T) {
	c := newConsole(t)
	dir := t.TempDir()
	c.run(t.Context(), "peers", "--state-dir", dir).want(t, exitDone, "", "no node has run")
	c.run(t.Context(), "peers", "--state-dir", dir, "--json").want(t, exitDone, "{\"v\":1,\"type\":\"peers\",\"peers\":[]}\n", "")

	snapshot := filepath.Join(dir, "peers.json")
	text := `{"v":1,"peers":[
 {"addr":"192.0.2.9:24254","first":1735700000,"last":1735780000},
 {"addr":"192.0.2.7:24254","first":1735700000,"last":1735787045,"rtt_ms":41.5},
 {"addr":"[2001:db8::1]:24254","first":1725700000,"last":1735787000,"rtt_ms":3.25},
 {"addr":5}, {"addr":"evil\u001b[31m:1","first":-1,"last":1e3}, {"addr":"\u001b:2","last":9223372036854775807}
]}`
	if err := os.WriteFile(snapshot, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	saved := time.Unix(1735787045, 0)
	if err := os.Chtimes(snapshot, saved, saved); err != nil {
		t.Fatal(err)
	}
	r := c.run(t.Context(), "peers", "--state-dir", dir)
	r.want(t, exitDone, "*", "3 peers, as of ", " ago")
	golden(t, "peers.txt", r.out)
	var order strings.Builder
	for _, by := range []string{"rtt", "heard", "address"} {
		r := c.run(t.Context(), "peers", "--state-dir", dir, "--sort", by)
		for line := range strings.Lines(r.out) {
			order.WriteString(strings.Fields(line)[0] + " ")
		}
		order.WriteString("\n")
	}
	golden(t, "peers-order.txt", order.String())
	c.run(t.Context(), "peers", "--state-dir", dir, "--sort", "size").want(t, exitUsage, "", "--sort")

	for name, bad := range map[string]string{"rubbish": "{", "version": `{"v":9}`} {
		if err := os.WriteFile(snapshot, []byte(bad), 0o666); err != nil {
			t.Fatal(err)
		}
		if r := c.run(t.Context(), "peers", "--state-dir", dir, "--json"); r.code != exitFailed || !strings.Contains(r.out, `"code":"failed","exit":1`) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func FuzzParsePeers(f *testing.F) {
	f.Add([]byte(`{"v":1,"peers":[{"addr":"192.0.2.7:24254","first":1735700000,"last":1735787045,"rtt_ms":41.5}]}`))
	f.Add([]byte(`{"v":1,"peers":[{"addr":"x","first":-1,"last":9223372036854775807,"rtt_ms":1e300}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "peers.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		rows, _, err := readPeers(path)
		if err != nil {
			return
		}
		var b bytes.Buffer
		writeEvent(&b, peersDocument{V: 1, Type: "peers", Peers: rows}) // must not panic
		peersDocument{Peers: rows}.writeTable(&stdio{out: &b})
	})
}
