//go:build unix

package mirror

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHooks: what a command leaves running on purpose is no failure; what it waits for ends with it.
func TestHooks(t *testing.T) {
	if said, err := runHook(t.Context(), "sleep 3 & echo done", time.Minute, nil); err != nil || said != "done" {
		t.Errorf("a command that leaves another: %q %v", said, err)
	}
	file := filepath.Join(t.TempDir(), "child")
	_, err := runHook(t.Context(), "sleep 100 & echo $! > "+file+"; wait", 200*time.Millisecond, nil)
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a command that takes too long: %v", err)
	}
	pid, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Its output has ended by now, and its memory went before.
	if line, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/cmdline"); err == nil && len(line) > 0 {
		t.Errorf("what it had started runs on: %q", line)
	}
	if said, err := runHook(t.Context(), `printf %s "$SHARER_REASON"`, time.Minute, []string{"SHARER_REASON=$(id); `id` \"'"}); err != nil || said != "$(id); `id` \"'" {
		t.Errorf("a stranger's words: %q %v", said, err)
	}
}
