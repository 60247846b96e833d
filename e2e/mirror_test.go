//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// peerNode is a daemon with its state folder.
type peerNode struct {
	*process
	t    *testing.T
	ns   *namespace
	dir  string
	addr string

	scrub string // how often all is read
}

// daemonIn starts a daemon on a port of a namespace's loopback.
func daemonIn(t *testing.T, ns *namespace, port int, peers ...*peerNode) *peerNode {
	t.Helper()
	n := &peerNode{t: t, ns: ns, dir: filepath.Join(folder(t), "state"), addr: fmt.Sprintf("127.0.0.1:%d", port), scrub: "1s"}
	n.start(peers...)
	return n
}

func (n *peerNode) start(peers ...*peerNode) {
	n.t.Helper()
	args := []string{"daemon", "--json", "--isolated", "--listen", n.addr, "--http", strings.Replace(n.addr, ":4", ":5", 1), "--state-dir", n.dir, "--scrub-every", n.scrub}
	for _, p := range peers {
		args = append(args, "--peer", p.addr)
	}
	n.process = sharer(n.t, n.ns.how(), args...)
	n.wait("ready", isType("ready"))
}

// say runs a command against the daemon, and returns what it prints and its exit code.
func (n *peerNode) say(args ...string) (string, int) {
	n.t.Helper()
	args = append(append(n.ns.how().through, binary(n.t)), append(args, "--state-dir", n.dir)...)
	cmd := exec.Command(args[0], args[1:]...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (n *peerNode) must(args ...string) string {
	n.t.Helper()
	out, code := n.say(args...)
	if code != 0 {
		n.t.Fatalf("sharer %s: exit %d: %s", strings.Join(args, " "), code, out)
	}
	return out
}

// publish signs a name for a folder and returns its link.
func (n *peerNode) publish(name, dir string) string {
	n.t.Helper()
	for line := range strings.Lines(n.must("publish", "--json", name, dir)) {
		var e event
		if json.Unmarshal([]byte(line), &e) == nil && e.Type == "published" && strings.HasSuffix(e.Link, "/"+name) {
			return e.Link
		}
	}
	n.t.Fatal("nothing was published")
	return ""
}

func (n *peerNode) tree(name string) string {
	return filepath.Join(n.dir, "mirrors", name, "tree", "current")
}

// awaited waits for something that must come true.
func awaited(t *testing.T, what string, is func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Since(begun) > patience {
			t.Fatalf("waited in vain for %s", what)
		}
		<-tick.C
	}
	return time.Since(begun)
}

// version fills a folder with files that all say one number.
func version(t *testing.T, dir string, n, files int) {
	t.Helper()
	check(t, os.MkdirAll(dir, 0o755))
	old, err := filepath.Glob(filepath.Join(dir, "*"))
	check(t, err)
	for _, path := range old {
		check(t, os.Remove(path))
	}
	for i := range files {
		check(t, os.WriteFile(filepath.Join(dir, "f"+strconv.Itoa(i)), []byte(strings.Repeat(fmt.Sprintf("version %d of file %d\n", n, i), 1+i*20)), 0o644))
	}
}

// versionAt is which version a tree is, which must be one: 0: none.
func versionAt(t *testing.T, dir string, files int) int {
	t.Helper()
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return 0
	}
	got := 0
	for i := range files {
		text, err := os.ReadFile(filepath.Join(root, "f"+strconv.Itoa(i)))
		check(t, err)
		var n, k int
		if _, err := fmt.Sscanf(string(text), "version %d of file %d", &n, &k); err != nil || k != i || got != 0 && n != got {
			t.Fatalf("a mixture in %s: file %d says %.40q beside version %d", root, i, text, got)
		}
		got = n
	}
	return got
}

// TestMirrors is the life of a published folder: three mirrors carry it, follow its second version under the eyes of a reader,
// outlive its publisher, feed a newcomer, heal a damaged disk, and hold a wipe.
func TestMirrors(t *testing.T) {
	needs(t, "ip")
	ns := newNamespace(t)
	const files = 40
	src := filepath.Join(folder(t), "isos")
	version(t, src, 1, files)
	publisher := daemonIn(t, ns, 40100)
	link := publisher.publish("isos", src)
	t.Logf("published v1: %s", link)
	var mirrors []*peerNode
	for i := range 3 {
		m := daemonIn(t, ns, 40101+i, append([]*peerNode{publisher}, mirrors...)...)
		m.must("mirror", "add", link, "--min-free", "0", "--every", "5s", "--grace", "0s")
		mirrors = append(mirrors, m)
	}
	at := func(m *peerNode) int { return versionAt(t, m.tree("isos"), files) }
	for i, m := range mirrors {
		t.Logf("mirror %d has v1 after %.1fs", i+1, awaited(t, "version 1", func() bool { return at(m) == 1 }).Seconds())
	}

	version(t, src, 2, files)
	publisher.publish("isos", src)
	looks := 0
	took := awaited(t, "version 2 everywhere", func() bool {
		looks++
		return at(mirrors[0]) == 2 && at(mirrors[1]) == 2 && at(mirrors[2]) == 2
	})
	t.Logf("v2 is everywhere after %.1fs; a reader walked the trees %d times and saw one version each time", took.Seconds(), looks)

	if code := publisher.stop(); code != 0 {
		t.Errorf("the publisher ends with %d", code)
	}
	target := filepath.Join(folder(t), "new")
	get := sharer(t, ns.how(), "get", link, "-o", target, "--isolated", "--listen", "127.0.0.1:40110", "--peer", mirrors[1].addr)
	get.want(0)
	if got := versionAt(t, target, files); got != 2 {
		t.Errorf("the newcomer has version %d", got)
	}
	t.Log("the publisher has left; a newcomer fetched v2 from the mirrors alone")

	damaged := damage(t, mirrors[0], files)
	took = awaited(t, "the damage to heal", func() bool {
		text, err := os.ReadFile(damaged)
		return err == nil && strings.HasPrefix(string(text), "version 2 of file")
	})
	awaited(t, "the log", func() bool { return strings.Contains(mirrors[0].must("mirror", "log", "isos"), "and brought again") })
	t.Logf("a flipped byte was found, put aside and healed after %.1fs", took.Seconds())

	publisher.start(mirrors[0])
	version(t, src, 3, 3)
	publisher.publish("isos", src)
	for i, m := range mirrors {
		awaited(t, "the wipe to be held", func() bool { return strings.Contains(m.must("mirror", "ls"), "max-delete") })
		if got := at(m); got != 2 {
			t.Errorf("mirror %d has version %d after a wipe", i+1, got)
		}
	}
	t.Logf("a version without %d of %d files is held: %s", files-3, files, strings.TrimSpace(mirrors[0].must("mirror", "ls")))
	mirrors[2].must("mirror", "approve", "isos")
	awaited(t, "what was approved", func() bool { return versionAt(t, mirrors[2].tree("isos"), 3) == 3 })
	t.Log("approved at one mirror: it has v3")
	for _, m := range mirrors {
		if code := m.stop(); code != 0 {
			t.Errorf("a mirror ends with %d", code)
		}
	}
}

// damage flips a byte of the longest content of a mirror, and keeps its times.
func damage(t *testing.T, m *peerNode, files int) (path string) {
	t.Helper()
	name := filepath.Join(m.tree("isos"), "f"+strconv.Itoa(files-1))
	text, err := os.ReadFile(name)
	check(t, err)
	all, err := filepath.Glob(filepath.Join(m.dir, "blobs", "??", "*"))
	check(t, err)
	for _, path := range all {
		fi, err := os.Stat(path)
		check(t, err)
		if is, err := os.ReadFile(path); err != nil || string(is) != string(text) {
			continue // of the version before, perhaps
		}
		bad := append([]byte("X"), text[1:]...)
		check(t, errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, bad, 0o600), os.Chmod(path, fi.Mode()), os.Chtimes(path, fi.ModTime(), fi.ModTime())))
		return path
	}
	t.Fatal("the content is not in the store of the mirror")
	return ""
}

// TestMirrorApt serves a pool of one package by a mirror's HTTP tree, and has apt install from it.
func TestMirrorApt(t *testing.T) {
	needs(t, "ip", "apt-get", "dpkg-deb", "dpkg-scanpackages", "wget", "sha256sum")
	ns := newNamespace(t)
	pool := filepath.Join(folder(t), "debian")
	pkg := filepath.Join(folder(t), "hello-lcdp")
	write := func(path, text string) {
		t.Helper()
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte(text), 0o644))
	}
	write(filepath.Join(pkg, "DEBIAN", "control"), "Package: hello-lcdp\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: a package that came through a swarm\n")
	write(filepath.Join(pkg, "usr", "share", "hello-lcdp", "hello"), "hello\n")
	check(t, os.MkdirAll(pool, 0o755))
	run(t, "dpkg-deb", "--build", "--root-owner-group", pkg, filepath.Join(pool, "hello-lcdp_1.0_all.deb"))
	list := exec.Command("dpkg-scanpackages", "-m", ".")
	list.Dir = pool
	index, err := list.Output()
	check(t, err)
	write(filepath.Join(pool, "Packages"), string(index))

	publisher := daemonIn(t, ns, 40120)
	link := publisher.publish("debian", pool)
	m := daemonIn(t, ns, 40121, publisher)
	m.must("mirror", "add", link, "--min-free", "0")
	awaited(t, "the pool", func() bool { _, err := os.Stat(filepath.Join(m.tree("debian"), "Packages")); return err == nil })
	publisher.stop()

	root := filepath.Join(folder(t), "root")
	for _, dir := range []string{"etc/apt/sources.list.d", "etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg", "var/log/apt"} {
		check(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	write(filepath.Join(root, "var/lib/dpkg/status"), "")
	base := "http://127.0.0.1:50121/mirror/debian/"
	write(filepath.Join(root, "etc/apt/sources.list"), "deb [trusted=yes] "+base+" ./\n")
	apt := func(args ...string) {
		t.Helper()
		args = append(append(ns.how().through, "apt-get", "-y", "-o", "Dir="+root, "-o", "Dir::State::status="+root+"/var/lib/dpkg/status", "-o", "APT::Sandbox::User=root",
			"-o", "Acquire::Languages=none", "-o", "Dir::Bin::dpkg=/usr/bin/dpkg", "-o", "DPkg::Options::=--root="+root, "-o", "DPkg::Options::=--force-not-root"), args...)
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "http_proxy=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	apt("update")
	apt("install", "hello-lcdp")
	text, err := os.ReadFile(filepath.Join(root, "usr/share/hello-lcdp/hello"))
	if err != nil || string(text) != "hello\n" {
		t.Fatalf("installed: %q %v", text, err)
	}
	t.Log("apt-get update and install from the mirror's HTTP tree: installed")

	// wget goes on with what it has, and the sums fit.
	dir := folder(t)
	deb, err := os.ReadFile(filepath.Join(pool, "hello-lcdp_1.0_all.deb"))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "hello-lcdp_1.0_all.deb"), deb[:100], 0o644))
	for _, args := range [][]string{{"wget", "-q", "-c", base + "hello-lcdp_1.0_all.deb"}, {"wget", "-q", base + "Packages"}, {"wget", "-q", base + "SHA256SUMS"}, {"sha256sum", "-c", "SHA256SUMS"}} {
		cmd := exec.Command(ns.how().through[0], append(ns.how().through[1:], args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	t.Log("wget -c went on at byte 100, and sha256sum -c SHA256SUMS is content")
	m.stop()
}
