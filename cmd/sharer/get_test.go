package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sharer/chunk"
	"sharer/node"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestGetTargets(t *testing.T) {
	c := newConsole(t)
	b3, sha := c.net.add(t, "hello")
	hex := b3.Hash.String()
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("folder", 0o777); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		want string // path of the file
	}{
		{[]string{"blake3/" + hex}, hex},
		{[]string{"blake3/" + hex + "/a.txt"}, "a.txt"},
		{[]string{"blake3/" + hex + "?n=..%2f.b.txt"}, "_.b.txt"},
		{[]string{"blake3/" + hex + "/c.txt.part"}, "c.txt.part_"},
		{[]string{"blake3/" + hex + "/d.txt", "-o", "folder"}, filepath.Join("folder", "d.txt")},
		{[]string{"blake3/" + hex + "/e.txt", "-o", "new/deep/"}, filepath.Join("new", "deep", "e.txt")},
		{[]string{"blake3/" + hex + "/f.txt", "-o", "other.txt"}, "other.txt"},
		{[]string{sha.String(), "-o", "folder/g"}, "folder/g"},
	} {
		c.run(t.Context(), append([]string{"get"}, tc.args...)...).want(t, exitDone, tc.want+"\n", "looking for peers", "done  5 B in 2s")
		if got := readFile(t, tc.want); got != "hello" {
			t.Errorf("%q: %q", tc.args, got)
		}
	}
	c.run(t.Context(), "get", sha.String(), "-o", "nowhere/x").want(t, exitFailed, "", "there is no folder nowhere")
	c.run(t.Context(), "get", sha.String(), "-o", "/dev/null").want(t, exitUsage, "", "-o -")
	c.run(t.Context(), "get", sha.String(), b3.String(), "-o", "a.txt").want(t, exitUsage, "", "is a file, and there are 2 links")
}

func TestGetPassesTheLinkOn(t *testing.T) {
	c := newConsole(t)
	b3, sha := c.net.add(t, "hello")
	out := filepath.Join(t.TempDir(), "x")
	c.run(t.Context(), "get", b3.String()+"?s=5&h=sha256:"+sha.Hash.String()+"&p=192.0.2.1:24254", "-o", out, "--stall-timeout", "9s").want(t, exitDone, "*", "")
	g := c.net.gets[0]
	if g.ID != b3 || g.Also != sha || g.Size != 5 || len(g.Peers) != 1 || g.StallTimeout.Seconds() != 9 || g.Force {
		t.Errorf("%+v", g)
	}
	c.run(t.Context(), "get", sha.String(), "-o", out).want(t, exitDone, out+"\n", "already have it")
	if g := c.net.gets[1]; g.ID.Kind != chunk.SHA256 || g.Size != -1 {
		t.Errorf("%+v", g)
	}
}

func TestGetFailures(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code exit
		want string
	}{
		{nil, exitNotFound, "(asked 3 peers). Try --find-timeout"},
		{node.ErrStalled, exitStalled, "the same command goes on"},
		{node.ErrIntegrity, exitIntegrity, "Nothing of it"},
		{syscall.ENOSPC, exitFull, "Free some space"},
		{node.ErrExists, exitExists, "--rename"},
		{&node.LockedError{Path: "x.part"}, exitLocked, "another sharer"},
		{os.ErrPermission, exitRefused, "permission"},
		{errors.New("odd"), exitFailed, "odd"},
	} {
		c := newConsole(t)
		id, err := chunk.ParseID(someHex)
		if err != nil {
			t.Fatal(err)
		}
		if tc.err != nil {
			c.net.fails[id] = tc.err
		}
		out := filepath.Join(t.TempDir(), "x")
		r := c.run(t.Context(), "get", someHex, "-o", out)
		r.want(t, tc.code, "", tc.want)
		if strings.Count(r.err, "sharer: ") != 1 {
			t.Errorf("%q: not one error", r.err)
		}
		r = c.run(t.Context(), "get", "--json", someHex, "-o", out)
		lines := strings.Split(strings.TrimSpace(r.out), "\n")
		if want := `{"v":1,"type":"error","code":"` + tc.code.String() + `","exit":`; !strings.HasPrefix(lines[len(lines)-1], want) {
			t.Errorf("last line %s, want %s", lines[len(lines)-1], want)
		}
		if r := c.run(t.Context(), "-q", "get", someHex, "-o", out); strings.Count(r.err, "\n") != 1 || r.out != "" {
			t.Errorf("-q: %+v", r)
		}
	}
}

func TestGetJSON(t *testing.T) {
	c := newConsole(t)
	b3, _ := c.net.add(t, "hello")
	t.Chdir(t.TempDir())
	r := c.run(t.Context(), "get", "--json", "--progress", "none", b3.String()+"/x")
	id := b3.String()
	want := `{"v":1,"type":"file","job":"g1","id":"` + id + `","path":"x","size":5,"seconds":1.5,"existed":false,"bytes_fetched":5,"bytes_resumed":0}
{"v":1,"type":"summary","job":"g1","id":"` + id + `","path":"x","files":1,"failed":0,"bytes":5,"seconds":0,"verified":true,"code":"done","exit":0}
`
	if timeless(r.out) != want || r.err != "" {
		t.Errorf("got %s%s\nwant %s", r.out, r.err, want)
	}
}

var summaryTime = regexp.MustCompile(`("type":"summary".*"seconds":)[0-9.]+`)

// timeless is output with the time that the command took taken out.
func timeless(out string) string { return summaryTime.ReplaceAllString(out, "${1}0") }

func TestGetStdout(t *testing.T) {
	c := newConsole(t)
	b3, _ := c.net.add(t, "he\x00llo\n")
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	c.run(t.Context(), "get", b3.String(), "-o", "-").want(t, exitDone, "he\x00llo\n", "done")
	c.net.fails[b3] = node.ErrStalled
	c.run(t.Context(), "get", b3.String(), "-o", "-").want(t, exitStalled, "", "stalled")
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestGetExists(t *testing.T) {
	c := newConsole(t)
	b3, _ := c.net.add(t, "hello")
	t.Chdir(t.TempDir())
	writeFile(t, "a.tar", "other")
	writeFile(t, "a (1).tar", "other")
	link := b3.String() + "/a.tar"
	c.run(t.Context(), "get", link).want(t, exitExists, "", "--force")
	c.run(t.Context(), "get", link, "--rename").want(t, exitDone, "a (2).tar\n", "")
	c.run(t.Context(), "get", link, "--rename").want(t, exitDone, "a (2).tar\n", "already have it")
	if readFile(t, "a.tar") != "other" || readFile(t, "a (2).tar") != "hello" {
		t.Error("the wrong file was written")
	}
	c.run(t.Context(), "get", link, "--force").want(t, exitDone, "a.tar\n", "")
	if readFile(t, "a.tar") != "hello" {
		t.Error("--force did not replace it")
	}
}

// Two links of one name never overwrite each other, whatever the flags.
func TestGetSameName(t *testing.T) {
	c := newConsole(t)
	a, aSHA := c.net.add(t, "first")
	b, _ := c.net.add(t, "second")
	for _, tc := range []struct {
		flags []string
		links []string
		code  exit
		out   string
	}{
		{nil, []string{a.String() + "/x", b.String() + "/x"}, exitSome, "x\n"},
		{nil, []string{a.String() + "/x", b.String() + "/X"}, exitSome, "x\n"},
		{[]string{"--force"}, []string{a.String() + "/x", b.String() + "/x"}, exitSome, "x\n"},
		{[]string{"--rename"}, []string{a.String() + "/x", b.String() + "/x"}, exitDone, "x\nx (1)\n"},
		{nil, []string{a.String() + "/x", a.String() + "/x"}, exitDone, "x\nx\n"},
		{nil, []string{a.String() + "/x", aSHA.String() + "/x"}, exitDone, "x\nx\n"},
	} {
		t.Chdir(t.TempDir())
		if tc.links[1] == b.String()+"/X" {
			// On a file system that ignores case the second would meet the first.
			if err := os.Symlink("x", "X"); err != nil {
				t.Fatal(err)
			}
		}
		args := append([]string{"get"}, tc.flags...)
		r := c.run(t.Context(), append(args, tc.links...)...)
		r.want(t, tc.code, tc.out, "")
		if tc.code == exitSome && (!strings.Contains(r.err, "1 of 2 links failed") || !strings.Contains(r.err, "sharer: ")) {
			t.Errorf("%q", r.err)
		}
		if got := readFile(t, "x"); got != "first" {
			t.Errorf("%q: x holds %q", args, got)
		}
	}
}

func TestGetList(t *testing.T) {
	c := newConsole(t)
	var list strings.Builder
	list.WriteString("# a list\n\n")
	for i := range 40 {
		b3, _ := c.net.add(t, strings.Repeat("x", i))
		list.WriteString("  " + b3.String() + "/f" + strconv.Itoa(i) + "\r\n")
	}
	t.Chdir(t.TempDir())
	c.stdin = list.String()
	r := c.run(t.Context(), "get", "-", "-o", "out", "-j", "64")
	r.want(t, exitDone, "*", "")
	if n := strings.Count(r.out, "\n"); n != 40 {
		t.Errorf("%d files", n)
	}
	if left, err := os.ReadDir("out"); err != nil || len(left) != 40 {
		t.Errorf("%d files, %v", len(left), err)
	}

	c.stdin = someHex + "\n" + strings.Replace(someHex, "3", "4", 1) + "\n"
	c.run(t.Context(), "get", "-").want(t, exitNotFound, "", "2 of 2 links failed", "3f2a", "4f2a")
	c.stdin = "\n" + someHex + "\nrubbish\n"
	c.run(t.Context(), "get", "-").want(t, exitUsage, "", "line 3 of standard input", `"rubbish"`)
}

func TestGetJobs(t *testing.T) {
	c := newConsole(t)
	args := []string{"get", "-j", "3", "-o", t.TempDir()}
	for i := range 9 {
		id, err := chunk.ParseID(strings.Replace(someHex, "3", string(rune('0'+i)), 1))
		if err != nil {
			t.Fatal(err)
		}
		c.net.hangs[id] = true
		args = append(args, id.String())
	}
	// Interrupted at the first that hangs: the others must not start then.
	r := c.runUntilReached(t, os.Interrupt, args...)
	r.want(t, exitInterrupted, "", "go on with: sharer get -j 3 -o", "sharer: interrupted\n", "!failed")
	if c.net.most > 3 {
		t.Errorf("%d at the same time", c.net.most)
	}
}

func TestGetInterrupted(t *testing.T) {
	c := newConsole(t)
	id, err := chunk.ParseID(someHex)
	if err != nil {
		t.Fatal(err)
	}
	c.net.hangs[id] = true
	out := filepath.Join(t.TempDir(), "my file")
	for _, tc := range []struct {
		sig  os.Signal
		code exit
	}{{os.Interrupt, exitInterrupted}, {syscall.SIGTERM, exitTerminated}} {
		r := c.runUntilReached(t, tc.sig, "get", someHex, "-o", out)
		r.want(t, tc.code, "", "go on with: sharer get "+someHex+" -o '"+out+"'\n")
	}
	c.stdin = someHex
	c.runUntilReached(t, os.Interrupt, "get", "-").want(t, exitInterrupted, "", "(and the same list)")
	c.runUntilReached(t, os.Interrupt, "get", someHex, "-o", "-").want(t, exitInterrupted, "", "nothing is kept")
	if c.net.closed != 4 {
		t.Errorf("%d nodes were closed", c.net.closed)
	}
}

func TestGetKeepsSeeding(t *testing.T) {
	c := newConsole(t)
	b3, _ := c.net.add(t, "hello")
	out := filepath.Join(t.TempDir(), "x")
	c.run(t.Context(), "get", b3.String(), "-o", out, "--seed", "1ms").want(t, exitDone, out+"\n", "done, seeding")
	c.run(t.Context(), "get", b3.String(), "-o", out).want(t, exitDone, out+"\n", "!seeding")
}

func TestNumbered(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"a.iso", "a (2).iso"}, {"a", "a (2)"}, {"d.x/a", "d.x/a (2)"}, {".profile", ".profile (2)"}, {"a.tar.gz", "a.tar (2).gz"},
	} {
		if got := numbered(c.path, 2); got != c.want {
			t.Errorf("numbered(%q) = %q, want %q", c.path, got, c.want)
		}
	}
}
