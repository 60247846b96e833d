package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sharer/identity"
	"sharer/node"
)

const someHex = "3f2a0000000000000000000000000000000000000000000000000000000000aa"

func TestUsage(t *testing.T) {
	c := newConsole(t)
	for _, tc := range []struct {
		args []string
		want string // part of the error
	}{
		{nil, "no command given"},
		{[]string{"sead", "x"}, "did you mean seed?"},
		{[]string{"download", "x"}, "did you mean get?"},
		{[]string{"frobnicate"}, "sharer help lists the commands"},
		{[]string{"--json"}, "no command given"},
		{[]string{"get"}, "get needs a link"},
		{[]string{"get", "--fnd-timeout", "1s", someHex}, "did you mean --find-timeout?"},
		{[]string{"get", "--xyzzy", someHex}, "see sharer help get"},
		{[]string{"get", "-z", someHex}, "has no flag -z"},
		{[]string{"get", "--jobs", "many", someHex}, "jobs"},
		{[]string{"get", "-j", "65", someHex}, "want 1 to 64"},
		{[]string{"get", "-o"}, "flag needs an argument"},
		{[]string{"get", "--force", "--rename", someHex}, "contradict"},
		{[]string{"get", "--json", "-o", "-", someHex}, "both want standard output"},
		{[]string{"get", "--seed", "soon", someHex}, "forever"},
		{[]string{"get", "--bwlimit", "1Mbit", someHex}, "unknown unit"},
		{[]string{"get", "--find-timeout", "0s", someHex}, "--find-timeout"},
		{[]string{"get", "--color", "blue", someHex}, "want auto, always, never"},
		{[]string{"get", "--progress", "fancy", someHex}, "want auto, bar, line, none"},
		{[]string{"get", "--progress-interval", "-1s", someHex}, "want more than 0"},
		{[]string{"get", "--listen", "localhost", someHex}, "--listen"},
		{[]string{"get", "--peer", "127.0.0.1", someHex}, "HOST:PORT"},
		{[]string{"get", "--peer", "127.0.0.1:0", someHex}, "port"},
		{[]string{"get", "--peer", "127.0.0.1:99999", someHex}, "port"},
		{[]string{"get", "blake3/3f2a"}, "has 4 hex digits, want 64"},
		{[]string{"get", "blake4/" + someHex}, "unknown kind of id"},
		{[]string{"get", "ftp://x/" + someHex}, "unknown scheme"},
		{[]string{"get", "blake3/" + someHex + "?s=large"}, "size s="},
		{[]string{"get", "blake3/" + strings.Repeat("g", 64)}, `has "g" at digit 1`},
		{[]string{"get", "-", "-"}, "twice"},
		{[]string{"get", "-"}, "holds no link"},
		{[]string{"get", someHex, "blake3/" + someHex, "-o", "-"}, "takes one link"},
		{[]string{"seed"}, "seed needs"},
		{[]string{"seed", "--exclude", "[", "."}, "--exclude"},
		{[]string{"hash"}, "hash needs"},
		{[]string{"hash", "--blake3", "--sha256", "x"}, "contradict"},
		{[]string{"hash", "--check", "x", "y"}, "left over"},
		{[]string{"ping", "nowhere"}, "HOST:PORT"},
		{[]string{"ping", "-i", "1ms", "127.0.0.1:1"}, "at least"},
		{[]string{"ping", "-c", "-1", "127.0.0.1:1"}, "--count"},
		{[]string{"chat", "--to", "127.0.0.1:1", " "}, "needs a text"},
		{[]string{"chat", "--to", "127.0.0.1:1", "--group", "main", "x"}, "contradict"},
		{[]string{"chat", "--to", "nowhere", "x"}, "HOST:PORT"},
		{[]string{"chat", "--to", "0x12", "x"}, "64 hex digits"},
		{[]string{"chat", "--group", strings.Repeat("g", 65), "x"}, "1 to 64 bytes"},
		{[]string{"chat", "--stay", "-1s", "x"}, "--stay"},
		{[]string{"ping", "0x" + strings.Repeat("0", 64)}, "not a usable"},
		{[]string{"whois"}, "whois needs"},
		{[]string{"whois", "somebody"}, "64 hex digits"},
		{[]string{"key", "steal"}, "want show, export or import"},
		{[]string{"key", "export"}, "takes one file"},
		{[]string{"key", "show", "x"}, "takes no argument"},
		{[]string{"publish", "a"}, "publish needs"},
		{[]string{"publish", "a/../b", "x"}, `has a part ".."`},
		{[]string{"publish", "/a", "x"}, "has a part"},
		{[]string{"publish", "", "x"}, "is empty"},
		{[]string{"publish", strings.Repeat("a", 256), "x"}, "at most 255"},
		{[]string{"publish", "a\x00b", "x"}, "must not have"},
		{[]string{"publish", strings.Repeat("n", 10<<10), "x"}, "at most 255"},
		{[]string{"seed", "--publish", "a", "x", "y"}, "takes one file or folder"},
		{[]string{"get", "0x" + someHex}, "published name is missing"},
		{[]string{"get", "0x" + strings.Repeat("0", 64) + "/a"}, "all zeros"},
		{[]string{"get", "0x01" + strings.Repeat("0", 62) + "/a"}, "small order"},
		{[]string{"get", "0x" + someHex + "/a/%2e%2e/b"}, `has the part ".."`},
		{[]string{"chat", "--to", "127.0.0.1:1", "bad\xff"}, "UTF-8"},
		{[]string{"chat", "--to", "127.0.0.1:1", strings.Repeat("a", 901)}, "at most 900"},
		{[]string{"demo", "x"}, "no arguments"},
		{[]string{"version", "x"}, "no arguments"},
		{[]string{"help", "a", "b"}, "one command"},
		{[]string{"help", "sed"}, "did you mean seed?"},
	} {
		r := c.run(t.Context(), tc.args...)
		out := ""
		if hasJSON(tc.args) {
			out = "*"
		}
		r.want(t, exitUsage, out, "sharer: ", tc.want)
		if strings.Count(r.err, "\n") != 1 {
			t.Errorf("%q: %q is not one line", tc.args, r.err)
		}
		if len(tc.args) > 0 {
			r = c.run(t.Context(), append([]string{"--json"}, tc.args...)...)
			if r.code != exitUsage {
				t.Errorf("--json %q: exit %d", tc.args, r.code)
			}
		}
	}
	if len(c.net.configs) > 0 {
		t.Error("a node was started")
	}
}

func TestFlagsAnywhere(t *testing.T) {
	c := newConsole(t)
	b3, _ := c.net.add(t, "hello")
	dir := t.TempDir()
	for i, args := range [][]string{
		{"get", b3.String(), "-o", dir + "/0", "--peer", "127.0.0.1:7", "--bwlimit", "1K:2K", "--isolated", "--fsync"},
		{"--isolated", "--bwlimit=1K:2K", "--fsync", "--peer", "127.0.0.1:7", "get", "-qo", dir + "/1", b3.String()},
		{"-o", dir + "/2", "-q", "--peer", "127.0.0.1:7", "--isolated", "get", "--fsync", "--bwlimit", "1K:2K", "--", b3.String()},
	} {
		c.run(t.Context(), args...).want(t, exitDone, args0(args, dir)+"\n", "")
		cfg := c.net.configs[i]
		if len(cfg.Peers) != 1 || cfg.Peers[0].Port() != 7 || cfg.Up != 1024 || cfg.Down != 2048 || !cfg.Isolated || !cfg.Fsync || !cfg.ReadOnly {
			t.Errorf("%q: %+v", args, cfg)
		}
	}
	c.run(t.Context(), "--version").want(t, exitDone, "*", "")
	c.run(t.Context(), "-h").want(t, exitDone, "*", "")
}

// args0 is the argument that names the target.
func args0(args []string, dir string) string {
	for _, a := range args {
		if strings.HasPrefix(a, dir) {
			return a
		}
	}
	return ""
}

func TestEnvironment(t *testing.T) {
	c := newConsole(t)
	b3, _ := c.net.add(t, "hello")
	dir := t.TempDir()
	c.env["SHARER_STATE_DIR"] = "/state"
	c.env["SHARER_PEER"] = "127.0.0.1:1,127.0.0.1:2"
	c.env["SHARER_ISOLATED"] = "true"
	c.env["SHARER_FIND_TIMEOUT"] = "7s"
	c.env["SHARER_BWLIMIT"] = "1K"
	c.env["SHARER_COUNT"] = "rubbish, but not a flag of get"
	c.run(t.Context(), "get", b3.String(), "-o", dir+"/a", "--bwlimit", "2K").want(t, exitDone, dir+"/a\n", "")
	cfg, get := c.net.configs[0], c.net.gets[0]
	if cfg.StateDir != "/state" || len(cfg.Peers) != 2 || !cfg.Isolated || cfg.Up != 2048 || get.FindTimeout != 7*time.Second {
		t.Errorf("%+v %+v", cfg, get)
	}
	c.env["SHARER_FIND_TIMEOUT"] = "soon"
	c.run(t.Context(), "get", b3.String()).want(t, exitUsage, "", `SHARER_FIND_TIMEOUT="soon"`)
}

func TestStateFolder(t *testing.T) {
	for _, c := range []struct {
		flag string
		env  map[string]string
		want string
	}{
		{"/x", map[string]string{"HOME": "/h"}, "/x"},
		{"", map[string]string{"HOME": "/h", "XDG_STATE_HOME": "/s"}, "/s/sharer"},
		{"", map[string]string{"HOME": "/h", "XDG_STATE_HOME": "relative"}, "/h/.local/state/sharer"},
		{"", map[string]string{}, ""},
	} {
		got, err := (&options{stateDir: c.flag}).stateFolder(func(k string) string { return c.env[k] })
		if filepath.ToSlash(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
}

func TestNoDaemonYet(t *testing.T) {
	c := newConsole(t)
	for _, args := range [][]string{{"seed", "-d", "."}, {"get", "--daemon=require", someHex}} {
		c.run(t.Context(), args...).want(t, exitDaemon, "", "no daemon is running")
	}
	r := c.run(t.Context(), "--json", "get", "-d", someHex)
	if want := `{"v":1,"type":"error","code":"no_daemon","exit":10,`; !strings.HasPrefix(r.out, want) {
		t.Errorf("got %s", r.out)
	}
}

func TestStartFails(t *testing.T) {
	c := newConsole(t)
	c.net.startErr = &node.LockedError{Path: "/state", PID: 42}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/a", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"seed", dir}, {"get", someHex, "-o", dir + "/x"}, {"ping", "127.0.0.1:1"}, {"chat", "--to", "127.0.0.1:1", "x"}, {"demo"}} {
		c.run(t.Context(), args...).want(t, exitLocked, "*", "(pid 42)", "Wait until it ends")
	}
}

// A result that cannot be written is a failure, and a full disk behind a
// redirection has the code of a full disk.
func TestOutputFails(t *testing.T) {
	c := newConsole(t)
	var errs bytes.Buffer
	s := c.stdio(nil, &errs)
	s.out = failingWriter{syscall.ENOSPC}
	if code := run(t.Context(), []string{"version"}, s); code != exitFull {
		t.Errorf("exit %d: %s", code, &errs)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestColour(t *testing.T) {
	c := newConsole(t)
	const painted = "\x1b[1;31msharer:\x1b[0m "
	c.run(t.Context(), "get", "x", "--color", "always").want(t, exitUsage, "", painted)
	c.run(t.Context(), "get", "x").want(t, exitUsage, "", "!\x1b")
	c.tty = true
	c.run(t.Context(), "get", "x").want(t, exitUsage, "", painted)
	c.run(t.Context(), "get", "x", "--color=never").want(t, exitUsage, "", "!\x1b")
	c.env["NO_COLOR"] = "1"
	c.run(t.Context(), "get", "x").want(t, exitUsage, "", "!\x1b")
}

func TestVersion(t *testing.T) {
	c := newConsole(t)
	r := c.run(t.Context(), "version")
	if r.code != exitDone || !strings.HasPrefix(r.out, "sharer "+release) {
		t.Errorf("%+v", r)
	}
	r = c.run(t.Context(), "version", "--json")
	if !strings.HasPrefix(r.out, `{"v":1,"type":"version","version":"`+release+`"`) {
		t.Errorf("%+v", r)
	}
}

func TestPing(t *testing.T) {
	c := newConsole(t)
	c.net.rtts = []time.Duration{430 * time.Microsecond, time.Millisecond, 1570 * time.Microsecond}
	c.net.notes = []string{"a note"}
	r := c.run(t.Context(), "ping", "-v", "-c", "3", "-i", "10ms", "127.0.0.1:24254")
	r.want(t, exitDone, "*", "PING 127.0.0.1:24254\n", "a note")
	for _, line := range []string{
		"41 B from 127.0.0.1:24254 time=0.43 ms\n",
		"3 sent, 3 answered, 0% loss, time ",
		"rtt min/avg/max = 0.43/1.00/1.57 ms\n",
	} {
		if !strings.Contains(r.out, line) {
			t.Errorf("%q is not in %q", line, r.out)
		}
	}
	r = c.run(t.Context(), "ping", "--json", "-c", "1", "127.0.0.1:24254", "[::1]:7")
	if !strings.Contains(r.out, `{"v":1,"type":"pong","from":"[::1]:7","seq":1,"bytes":41,"rtt_ms":1}`+"\n") ||
		!strings.HasSuffix(r.out, `"code":"done","exit":0}`+"\n") || r.err != "" {
		t.Errorf("%+v", r)
	}
	c.net.pingErr = node.ErrNoAnswer
	c.run(t.Context(), "ping", "-c", "1", "127.0.0.1:1").want(t, exitFailed, "*", "no answer from 127.0.0.1:1 within 2s\n", "sharer: no answer\n")
	c.net.pingErr = errors.New("evil\x1b[31m")
	c.run(t.Context(), "ping", "-c", "1", "127.0.0.1:1").want(t, exitFailed, "*", `evil\x1b[31m`)
}

func TestChat(t *testing.T) {
	c := newConsole(t)
	c.run(t.Context(), "chat", "--to", "127.0.0.1:7", "the", "mirror is up").want(t, exitDone, "", "sent to 127.0.0.1:7, not sealed")
	friend := "0x" + fakeFriend.Public().String()
	c.run(t.Context(), "chat", "--to", friend, "hello").want(t, exitDone, "", "sealed for "+friend[:14])
	c.run(t.Context(), "chat", "--group", "games", "-v", "hello all").want(t, exitDone, "", "2 of 3 have it")
	if want := []string{"127.0.0.1:7 the mirror is up", friend[2:10] + " hello", "#games hello all"}; !slices.Equal(c.net.said, want) {
		t.Errorf("said %q", c.net.said)
	}
	r := c.run(t.Context(), "chat", "--json", "--to", friend, "hi")
	if lines := strings.Split(r.out, "\n"); len(lines) != 3 || !strings.Contains(lines[0], `"text":"hi"`) || !strings.Contains(lines[0], `"key":"`+friend[2:]+`","sealed":true`) || lines[1] != `{"v":1,"type":"summary","code":"done","exit":0}` {
		t.Errorf("%+v", r)
	}
	c.net.chatErr = node.ErrNoAnswer
	c.run(t.Context(), "chat", "--to", "127.0.0.1:7", "hi").want(t, exitFailed, "", "no answer from 127.0.0.1:7 within 10s")
	c.run(t.Context(), "chat", "hi").want(t, exitFailed, "", "it reached nobody within 10s: 3 keys known")
}

// On a pipe each line is a message, and what others say is a line of the result, with nothing in it that a terminal would obey.
func TestChatOnAPipe(t *testing.T) {
	c := newConsole(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	c.net.inbox = []node.Chat{
		{From: netip.MustParseAddrPort("192.0.2.1:5"), Text: "evil\x1b[2J", At: at},
		{From: netip.MustParseAddrPort("192.0.2.1:5"), Key: fakeFriend.Public(), Group: "ma\x07in", Text: "hi", Sealed: true, At: at},
	}
	c.stdin = "one\r\n\n" + strings.Repeat("x", 901) + "\ntwo" // without an end
	out := "03:04:05 192.0.2.1:5: evil\\x1b[2J\n03:04:05 #ma\\ain " + shortKey(fakeFriend.Public()) + ": hi\n"
	c.run(t.Context(), "chat", "--to", "127.0.0.1:7").want(t, exitSome, out, "talking with 127.0.0.1:7", "at most 900 fit")
	if want := []string{"127.0.0.1:7 one", "127.0.0.1:7 two"}; !slices.Equal(c.net.said, want) {
		t.Errorf("said %q", c.net.said)
	}
	c.stdin = strings.Repeat("y", 1<<20)
	c.run(t.Context(), "chat", "--to", "127.0.0.1:7").want(t, exitSome, "*", "at most 900 fit")
}

// On a terminal the line is edited, and what others say appears above it.
func TestChatEditor(t *testing.T) {
	keys := strings.NewReader("hullo\x1b[D\x1b[D\x1b[D\x1b[D\x7fhe\x1b[3~\r") // made to hello
	var shown bytes.Buffer
	editor, out := editorOf(&stdio{}, struct {
		io.Reader
		io.Writer
	}{keys, &shown})
	io.WriteString(out.out, "03:04:05 somebody: hi\n")
	line, err := editor.ReadLine()
	if err != nil || line != "hello" || !strings.Contains(shown.String(), "somebody: hi\r\n") {
		t.Errorf("%q, %v, %q", line, err, shown.String())
	}
	if _, err := editor.ReadLine(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestWhois(t *testing.T) {
	c := newConsole(t)
	friend := fakeFriend.Public()
	c.run(t.Context(), "whois", friend.String()).want(t, exitNotFound, "", "nobody who was asked knows where 0x"+friend.String())
	c.run(t.Context(), "whois", fakeKey.Public().String()).want(t, exitFailed, "", "your own key")
	old := netip.MustParseAddrPort("192.0.2.9:1")
	now := time.Now()
	c.net.places = map[identity.PublicKey]identity.Place{friend: {
		Key: friend, Addr: netip.MustParseAddrPort("192.0.2.1:24254"), Proven: true, First: now.Add(-time.Hour), Seen: now, Proved: now.Add(-time.Minute), Former: []netip.AddrPort{old},
	}}
	r := c.run(t.Context(), "whois", friend.String())
	if r.code != exitDone || !strings.HasPrefix(r.out, "0x"+friend.String()+"  192.0.2.1:24254  proven 1m") || !strings.HasSuffix(r.out, "before at 192.0.2.9:1\n") {
		t.Errorf("%+v", r)
	}
	r = c.run(t.Context(), "whois", "--json", "0x"+friend.String())
	if !strings.Contains(r.out, `"address":"192.0.2.1:24254","proven":true`) {
		t.Errorf("%+v", r)
	}
	c.run(t.Context(), "ping", "-c", "1", friend.String()).want(t, exitDone, "*", "PING 0x"+friend.String()+", which is at 192.0.2.1:24254")
	c.run(t.Context(), "ping", "-c", "1").want(t, exitFailed, "", "no peer is known")
	c.net.nearest = []netip.AddrPort{old}
	c.run(t.Context(), "ping", "-c", "1").want(t, exitDone, "*", "PING 192.0.2.9:1")
}

// The newest version of a name that nobody has gives way to the one before, and that is said; a number that the link wants is kept to.
func TestGetOlderVersion(t *testing.T) {
	c := newConsole(t)
	t.Chdir(t.TempDir())
	b3, sha := c.net.add(t, "hello")
	key := fakeKey.Public()
	b, none := [32]byte(b3.Hash), [32]byte{1, 2, 3}
	c.net.records = []identity.Record{{Key: key, Path: "page.html", Seq: 8, SHA256: none, BLAKE3: &none}}
	name := "lcdp://" + key.String() + "/page.html"
	c.run(t.Context(), "get", name).want(t, exitNotFound, "", "no peer has")
	c.net.olders = []identity.Record{{Key: key, Path: "page.html", Seq: 7, SHA256: sha.Hash, BLAKE3: &b}}
	c.run(t.Context(), "get", name+"?seq=8").want(t, exitNotFound, "", "no peer has")
	c.run(t.Context(), "get", name).want(t, exitDone, "page.html\n", "nobody has the newest version")
	if text, err := os.ReadFile("page.html"); err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	c.net.records[0].Path, c.net.olders[0].Path = "isos/folder.json", "isos/folder.json"
	c.run(t.Context(), "get", "lcdp://"+key.String()+"/isos").want(t, exitFailed, "", "nobody has the newest version")
}

func TestGetByName(t *testing.T) {
	c := newConsole(t)
	t.Chdir(t.TempDir())
	b3, sha := c.net.add(t, "hello")
	key := fakeKey.Public()
	b := [32]byte(b3.Hash)
	c.net.records = []identity.Record{{Key: key, Path: "notes/page.html", Seq: 7, SHA256: sha.Hash, BLAKE3: &b}, {Key: key, Path: "old", Seq: 7, SHA256: sha.Hash}}
	name := "lcdp://" + key.String() + "/notes/page.html"
	c.run(t.Context(), "get", name).want(t, exitDone, "page.html\n", "")
	c.run(t.Context(), "get", "http://127.0.0.1:24255/latest/"+key.String()+"/old").want(t, exitDone, "old\n", "")
	if g := c.net.gets; len(g) != 2 || g[0].ID != b3 || g[0].Also != sha || g[1].ID != sha || g[1].Also.Valid() {
		t.Errorf("%+v", g)
	}
	c.run(t.Context(), "get", name+"?seq=8").want(t, exitNotFound, "", `no peer knows the name "notes/page.html"`)
	c.run(t.Context(), "get", name+"?h=sha256:"+someHex).want(t, exitIntegrity, "", "the link wants")
	c.run(t.Context(), "get", "0x"+key.String()+"/nothing").want(t, exitNotFound, "", "asked 7 peers")
	c.run(t.Context(), "ls", name).want(t, exitUsage, "", "is a file")
	c.net.resolveErr = fmt.Errorf("%w: x", node.ErrConflict)
	c.run(t.Context(), "get", name).want(t, exitIntegrity, "", "contradicts itself")
}

func TestDemo(t *testing.T) {
	c := newConsole(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	r := c.run(t.Context(), "demo")
	r.want(t, exitDone, "*", "")
	if !strings.Contains(r.out, "every byte is the same") {
		t.Errorf("%s", r.out)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if c.net.closed != 2 {
		t.Errorf("%d nodes were closed", c.net.closed)
	}
	for _, cfg := range c.net.configs {
		if !cfg.Isolated || len(cfg.Listen) != 1 || cfg.Listen[0] != "127.0.0.1:0" {
			t.Errorf("%+v", cfg)
		}
	}
}

func TestCompareFoldersSeesADifference(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		if _, err := makeDemoFolder(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := compareFolders(a, b); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(b, "films", "short.mkv"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0, 1}, 3<<20-2); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := compareFolders(a, b); exitOf(t.Context(), err) != exitIntegrity {
		t.Errorf("got %v", err)
	}
}
