//go:build linux

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// readme returns the code blocks of the README that hold a text: what is printed there is what is run.
func readme(t *testing.T, holds string) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	check(t, err)
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(m[1], holds) {
			found = append(found, m[1])
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d blocks of the README have %q", len(found), holds)
	}
	return found[0]
}

// keyOf is the public key of a node, as its state folder has it.
func keyOf(t *testing.T, state string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(state, "key.json"))
	check(t, err)
	var k struct {
		Public string `json:"public"`
	}
	check(t, json.Unmarshal(text, &k))
	return strings.TrimPrefix(k.Public, "0x")
}

// says waits for a line of a process that is no event, and calls again now and then meanwhile, if that is not nil.
func (p *process) says(want string, again func()) {
	p.t.Helper()
	late := time.After(patience / 5)
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for {
		p.mu.Lock()
		plain, changed := strings.Join(p.plain, "\n"), p.changed
		p.mu.Unlock()
		if strings.Contains(plain, want) {
			return
		}
		select {
		case <-changed:
		case <-tick.C:
			if again != nil {
				again()
			}
		case <-p.ended:
			p.t.Fatalf("%s ended without %q: %s%s", p.name, want, plain, p.errors.String())
		case <-late:
			p.t.Fatalf("%s said no %q but %s", p.name, want, plain)
		}
	}
}

// TestPostOffice runs the Python program and the nc line as the README prints them, each on a machine of its own beside
// a node on the swarm's port: they talk by the keys of their nodes.
func TestPostOffice(t *testing.T) {
	needs(t, "python3", "nc", "sh", "ip")
	home, away := wire(t)
	path := filepath.Join(folder(t), "small")
	generate(t, path, 1000, 2)
	states := []string{filepath.Join(t.TempDir(), "home"), filepath.Join(t.TempDir(), "away")}
	_, _ = seeding(t, home.how(), ":24254", "--state-dir", states[0], path)
	_, _ = seeding(t, away.how(), ":24254", "--state-dir", states[1], path, "--peer", "10.77.0.1:24254")
	ours, theirs := keyOf(t, states[0]), keyOf(t, states[1])
	script := filepath.Join(folder(t), "talk.py")
	check(t, os.WriteFile(script, []byte(readme(t, "node.recv(65536)")), 0o644))

	// Who has not said anything yet is told nothing: so the others say it again until the first one hears.
	first := start(t, away.how(), "python3", script, ours, "is anybody there?")
	second := func() { start(t, home.how(), "python3", script, theirs, "yes, we are") }
	second()
	first.says(ours+" yes, we are", second)

	args := append(append([]string(nil), home.how().through...), "sh", "-c", readme(t, "nc -u -w3 127.0.0.1 24254"))
	nc := exec.Command(args[0], args[1:]...)
	nc.Env = append(os.Environ(), "KEY="+theirs)
	out, err := nc.StdoutPipe()
	check(t, err)
	check(t, onStarter(nc.Start))
	first.says(ours+" hello", nil) // nc has said something, so it is told
	start(t, away.how(), "python3", script, ours, "hello to you")
	heard := make([]byte, 1<<16)
	n := 0
	for !strings.Contains(string(heard[:n]), "hello to you") {
		m, err := out.Read(heard[n:])
		if n += m; err != nil {
			t.Fatalf("nc heard %s and %v", heard[:n], err)
		}
	}
	t.Logf("nc heard %s", heard[:n])
	check(t, nc.Wait())
}
