//go:build linux

package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// rustPort is where the Rust node listens, rubyPort where the Ruby one does; the latter cannot be told otherwise.
const (
	rustPort = "24254"
	rubyPort = "24257"
)

// rust is a running node of kermit4/cjp2p-rust.
type rust struct{ *process }

// rust starts one; it is asked for ids by its command line.
func (p *place) rust(args ...string) (rust, error) {
	p.t.Helper()
	path, err := program("SHARER_RUST")
	if err != nil {
		return rust{}, err
	}
	r := rust{p.start(folder(p.t), append([]string{path}, args...)...)}
	if !until(patience, func() bool { return strings.Contains(r.stdout(), "web console") }) {
		return rust{}, fmt.Errorf("the Rust node does not start: %s", r.stderr())
	}
	return r, nil
}

// ids are the names of one content.
type ids struct{ sha256, blake3 string }

// of is an id as the wire and our commands take it.
func (i ids) of(kind string) string {
	switch kind {
	case "sha256":
		return i.sha256
	case "tree":
		return "blake3_tree_v2/" + i.blake3
	}
	return "blake3/" + i.blake3
}

var shared = regexp.MustCompile(`/blake3/([0-9a-f]{64})\n  sha256: \S+/([0-9a-f]{64})\n`)

// share has the node share a file.
func (r rust) share(path string) (i ids, err error) {
	r.say("/share %s", path)
	found := until(patience+2*time.Minute, func() bool {
		if _, after, ok := strings.Cut(r.stdout(), "\n"+path+" is shared at "); ok {
			if m := shared.FindStringSubmatch(after); m != nil {
				i = ids{sha256: m[2], blake3: m[1]}
			}
		}
		return i.blake3 != ""
	})
	if !found {
		return ids{}, fmt.Errorf("the Rust node does not share %s: %s", path, r.stdout())
	}
	return i, nil
}

// file is where it keeps the content of an id when it is complete.
func (r rust) file(id string) string { return filepath.Join(r.dir, "cjp2p", "public", id) }

// gets waits until it has fetched an id, and compares that with what it should be. It returns how long it took.
func (r rust) gets(id, want string, most time.Duration) (time.Duration, error) {
	begun := time.Now()
	r.say("/get %s", id)
	if !until(most, func() bool { _, err := os.Stat(r.file(id)); return err == nil }) {
		return 0, fmt.Errorf("not there after %v", most)
	}
	return time.Since(begun), same(r.file(id), want)
}

// ruby starts a node of kermit4/cjp2p-ruby that has files under their sha256, and fetches id if it is not empty.
func (p *place) ruby(id string, files map[string]string) (*process, error) {
	p.t.Helper()
	path, err := program("SHARER_RUBY")
	if err != nil {
		return nil, err
	}
	dir := folder(p.t)
	check(p.t, os.Mkdir(filepath.Join(dir, "shared"), 0o755))
	for name, from := range files {
		check(p.t, os.Symlink(from, filepath.Join(dir, "shared", name)))
	}
	args := []string{"ruby", path}
	if id != "" {
		args = append(args, id)
	}
	return p.start(dir, args...), nil
}

// netcat sends one datagram and returns what came back within a second.
func (p *place) netcat(addr, text string) (string, error) {
	p.t.Helper()
	host, port, err := net.SplitHostPort(addr)
	check(p.t, err)
	cmd := exec.Command("ip", "netns", "exec", p.name, "nc", "-u", "-w1", host, port)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	return string(out), err
}

// meets waits until a node tells of a peer.
func (p *place) meets(addr, peer string) {
	p.t.Helper()
	c := p.client("127.0.0.1", 0)
	if !until(patience, func() bool {
		ms, _, err := c.ask(addr, `[{"PleaseSendPeers":{}}]`, has("Peers"))
		return err == nil && strings.Contains(string(payload(ms, "Peers")), `"`+peer+`"`)
	}) {
		p.t.Fatalf("%s does not tell of %s", addr, peer)
	}
}
