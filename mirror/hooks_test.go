//go:build unix

package mirror

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHooks: what a command leaves running on purpose is no failure; what it waits for ends with it.
func TestHooks(t *testing.T) {
	if said, err := runHook(t.Context(), "sleep 3 & echo done", time.Minute, nil); err != nil || said != "done" {
		t.Errorf("a command that leaves another: %q %v", said, err)
	}
	file := filepath.Join(t.TempDir(), "child")
	var pid []byte
	for limit := 200 * time.Millisecond; len(pid) == 0; limit *= 2 { // on a busy machine it does not get as far at once
		_, err := runHook(t.Context(), "sleep 100 & echo $! > "+file+"; wait", limit, nil)
		if err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Fatalf("a command that takes too long: %v", err)
		}
		if pid, err = os.ReadFile(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	// Its output has ended by now, and its memory went before.
	if line, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/cmdline"); err == nil && len(line) > 0 {
		t.Errorf("what it had started runs on: %q", line)
	}
	if said, err := runHook(t.Context(), `printf %s "$SHARER_REASON"`, time.Minute, []string{"SHARER_REASON=$(id); `id` \"'"}); err != nil || said != "$(id); `id` \"'" {
		t.Errorf("a stranger's words: %q %v", said, err)
	}
}

// TestHooksBeside: a command that takes its time holds up neither its mirror nor another; those that wait run in order, and of
// more than may wait the first are left out, aloud. What runs when the set closes is ended.
func TestHooksBeside(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(3, "v"))
	gate, said := filepath.Join(dir, "gate"), filepath.Join(dir, "said")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	set, m := open(t, s, dir, func(spec *Spec) { spec.Hooks.Update = "read x < " + gate + "; echo $SHARER_SEQ >> " + said })
	const versions = maxHooks + 4
	for seq := range versions {
		s.publish(int64(seq+1), texts(3, strings.Repeat("v", seq+1)))
		mustSync(t, m)
	}
	in, err := os.OpenFile(gate, os.O_WRONLY, 0) // it opens when the first one reads
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.WriteString(strings.Repeat("\n", 100)); err != nil {
		t.Fatal(err)
	}
	endHooks(m)
	text, err := os.ReadFile(said)
	lines := strings.Fields(string(text))
	if err != nil || len(lines) < maxHooks || lines[len(lines)-1] != strconv.Itoa(versions) || !slices.IsSortedFunc(lines, func(a, b string) int { return len(a) - len(b) }) {
		t.Errorf("the commands say %q %v", text, err)
	}
	events, err := m.Log(100)
	left := 0
	for _, e := range events {
		if e.What == "hook" && strings.Contains(e.Text, "left out: too many wait") {
			left++
		}
	}
	if err != nil || left+len(lines) != versions {
		t.Errorf("%d were left out aloud and %d ran, of %d; %v", left, len(lines), versions, err)
	}
	set.Close()
}
