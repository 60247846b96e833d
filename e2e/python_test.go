//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPythonNode lets a node of twenty lines join two of ours. It is told of one of them only:
// it finds the other, which has the file, fetches the file by its sha256, and is found by both.
func TestPythonNode(t *testing.T) {
	t.Parallel()
	needs(t, "python3", "nc")
	t.Run("loopback", func(t *testing.T) { pythonNode(t, how{}, how{}, "127.0.0.1", "127.0.0.1") })
	t.Run("unproven at first", func(t *testing.T) {
		needs(t, "ip")
		home, away := wire(t)
		pythonNode(t, home.how(), away.how(), "10.77.0.1", "10.77.0.2")
	})
}

func pythonNode(t *testing.T, ours, its how, ourIP, itsIP string) {
	dir := folder(t)
	const size = 40*4096 + 17
	generate(t, filepath.Join(dir, "wanted"), size, 3)
	generate(t, filepath.Join(dir, "other"), size, 4)
	states := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
	a, addrA := seeding(t, ours, ourIP+":0", "--state-dir", states[0], filepath.Join(dir, "wanted"))
	b, addrB := seeding(t, ours, ourIP+":0", "--state-dir", states[1], filepath.Join(dir, "other"), "--peer", addrA)

	_, port, _ := strings.Cut(freePort(t), ":")
	me := itsIP + ":" + port
	target := filepath.Join(dir, "copy")
	script, err := filepath.Abs("testdata/node.py")
	check(t, err)
	python := start(t, its, "python3", script, itsIP, port, a.file(filepath.Join(dir, "wanted")).SHA256, target, addrB)
	begun := time.Now()
	grown(t, python, target, size)
	t.Logf("fetched %d bytes after %.2fs", size, time.Since(begun).Seconds())
	same(t, target, filepath.Join(dir, "wanted"))

	// Whoever asks one of ours hears of it: b, too, to which it never proved itself but
	// which hears of it from a.
	for _, addr := range []string{addrA, addrB} {
		begun, told := time.Now(), []string(nil)
		for !slices.Contains(told, me) && time.Since(begun) < time.Minute {
			told = proven(t, its, itsIP, addr)
			python.alive()
		}
		t.Logf("%s tells of it after %.0fs", addr, time.Since(begun).Seconds())
		if !slices.Contains(told, me) {
			t.Errorf("%s does not tell of the Python node %s, but of %v", addr, me, told)
		}
	}
	for i, p := range []*process{a, b} {
		if code := p.stop(); code != 0 {
			t.Errorf("seed %d ends with %d", i, code)
		}
		text, err := os.ReadFile(filepath.Join(states[i], "peers.json"))
		check(t, err)
		t.Logf("peers.json of seed %d names it: %t", i, strings.Contains(string(text), `"`+me+`"`))
	}
}

// proven asks for peers as one who returns the cookie, if there is one.
func proven(t *testing.T, h how, ip, addr string) []string {
	t.Helper()
	const port = "4321"
	answer := netcat(t, h, addr, askPeers, "-s", ip, "-p", port)
	if cookie := message(t, answer, "PleaseAlwaysReturnThisMessage"); cookie != nil {
		answer = netcat(t, h, addr, fmt.Sprintf(`[{"PleaseSendPeers":{}},{"AlwaysReturned":%s}]`, cookie), "-s", ip, "-p", port)
	}
	peers, _ := peersIn(t, answer)
	return peers
}

// grown waits until another process's file is as long as it must become.
func grown(t *testing.T, p *process, path string, size int64) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience / 5)
	for {
		if fi, err := os.Stat(path); err == nil && fi.Size() >= size {
			return
		}
		select {
		case <-tick.C:
		case <-p.ended:
			t.Fatalf("%s ended: %s", p.name, p.errors.String())
		case <-late:
			t.Fatalf("%s is not there after %s", path, patience/5)
		}
	}
}
