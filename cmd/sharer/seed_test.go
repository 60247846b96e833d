package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"net/netip"

	"sharer/link"
	"sharer/node"
)

func TestSeed(t *testing.T) {
	c := newConsole(t)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a b.txt"), "hello")
	writeFile(t, filepath.Join(dir, ".hidden"), "x")
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		r := c.runUntilReached(t, sig, "seed", dir)
		r.want(t, exitDone, "*", "hashing\n", "hashed 1 file", "1 skipped (-v lists them)", "seeding 1 file, 5 B, on 127.0.0.1:40001. Ctrl-C to stop")
		file, rest, _ := strings.Cut(r.out, "\n")
		l, err := link.Parse(file)
		if err != nil || l.Name != "a b.txt" || l.Size != 5 || !strings.HasPrefix(file, "lcdp://blake3/") {
			t.Errorf("%q: %+v, %v", r.out, l, err)
		}
		l, err = link.Parse(rest)
		if err != nil || !l.Folder || l.Name != filepath.Base(dir) || l.Size != 5 || strings.Count(rest, "\n") != 1 {
			t.Errorf("%q: %+v, %v", rest, l, err)
		}
	}
	cfg := c.net.configs[0]
	if cfg.ReadOnly || cfg.StateDir == "" {
		t.Errorf("%+v", cfg)
	}
	c.runUntilReached(t, os.Interrupt, "seed", "-v", dir).want(t, exitDone, "*", "skipped "+filepath.Join(dir, ".hidden")+": hidden")
	if r := c.runUntilReached(t, os.Interrupt, "seed", "-q", dir); r.err != "" || r.out == "" {
		t.Errorf("-q: %+v", r)
	}
	if c.net.closed != 4 {
		t.Errorf("%d nodes were closed", c.net.closed)
	}
}

func TestSeedJSON(t *testing.T) {
	c := newConsole(t)
	c.net.inbox = []node.Chat{{From: netip.MustParseAddrPort("192.0.2.1:7"), Text: "hi\x1b[2J", At: time.Unix(1735787045, 0).UTC()}}
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	writeFile(t, path, "hello")
	r := c.runUntilReached(t, os.Interrupt, "seed", "--json", "--progress=none", path)
	sums := sumOf(t, []byte("hello"))
	want := `{"v":1,"type":"chat","from":"192.0.2.1:7","text":"hi\u001b[2J","time":"2025-01-02T03:04:05Z"}
{"v":1,"type":"file","path":"` + path + `","size":5,"blake3":"` + sums.BLAKE3.String() + `","sha256":"` + sums.SHA256.String() + `","link":"` + link.For(sums, "a").String() + `"}
{"v":1,"type":"ready","listen":["127.0.0.1:40001"],"files":1,"bytes":5}
{"v":1,"type":"summary","files":1,"failed":0,"bytes":5,"seconds":0,"verified":true,"code":"done","exit":0}
`
	r.out = timeless(r.out)
	r.want(t, exitDone, want, "")
}

// Whoever reads that it is ready may ask at once: all that was asked for holds by then.
func TestSeedIsReadyWhenItSaysSo(t *testing.T) {
	c := newConsole(t)
	path := filepath.Join(t.TempDir(), "a")
	writeFile(t, path, "hello")
	ctx, cancel := context.WithCancelCause(t.Context())
	var out readyWatch
	out.ready = func() {
		out.advice = len(c.net.advice)
		cancel(&interrupted{os.Interrupt})
	}
	s := c.stdio(nil, new(bytes.Buffer))
	s.out = &out
	if code := run(ctx, []string{"seed", "--json", "--recommend", path}, s); code != exitDone || out.times != 1 || out.advice != 1 {
		t.Errorf("exit %d; ready %d times, with %d recommendations", code, out.times, out.advice)
	}
}

// readyWatch calls ready when it is written.
type readyWatch struct {
	ready         func()
	times, advice int
}

func (w *readyWatch) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(`"type":"ready"`)) {
		w.times++
		w.ready()
	}
	return len(p), nil
}

func TestSeedShowsChats(t *testing.T) {
	c := newConsole(t)
	c.net.inbox = []node.Chat{
		{From: netip.MustParseAddrPort("192.0.2.1:7"), Text: "hi\x1b[2J\n", At: time.Date(2025, 1, 2, 3, 4, 5, 0, time.Local)},
		{From: netip.MustParseAddrPort("192.0.2.1:7"), Text: strings.Repeat("x", 60000)},
	}
	writeFile(t, filepath.Join(c.env["HOME"], "a"), "hello")
	r := c.runUntilReached(t, os.Interrupt, "seed", c.env["HOME"])
	r.want(t, exitDone, "*", `03:04:05 192.0.2.1:7: hi\x1b[2J\n`+"\n", "(57952 more bytes)", "!\x1b")
}

func TestSeedFailures(t *testing.T) {
	c := newConsole(t)
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad\x1b")
	writeFile(t, good, "hello")
	writeFile(t, bad, "x")
	named := filepath.Join(dir, `bad\x1b`) + ": permission denied"
	r := c.runUntilReached(t, os.Interrupt, "seed", dir)
	r.want(t, exitSome, "*", named, "seeding 1 file", "sharer: 1 of 2 files failed\n")
	c.runUntilReached(t, os.Interrupt, "seed", good, filepath.Join(dir, "gone")).want(t, exitSome, "*", "gone: no such file", "seeding 1 file")

	empty := t.TempDir()
	c.run(t.Context(), "seed", empty).want(t, exitFailed, "", "nothing to seed in "+empty)
	c.run(t.Context(), "seed", filepath.Join(dir, "gone")).want(t, exitFailed, "", "gone: no such file")
	c.run(t.Context(), "seed", filepath.Join(dir, "gone"), filepath.Join(dir, "too")).want(t, exitFailed, "", "2 of 2 paths failed")
	if err := os.Remove(good); err != nil {
		t.Fatal(err)
	}
	c.run(t.Context(), "seed", dir).want(t, exitRefused, "", named)
}
