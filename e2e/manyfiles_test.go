//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sharer/control"
)

// manyFiles is how many files TestDaemonManyFiles seeds: SHARER_E2E_FILES, else 10,000; the bars are for 100,000.
func manyFiles(t *testing.T) int {
	if text := os.Getenv("SHARER_E2E_FILES"); text != "" {
		n, err := strconv.Atoi(text)
		check(t, err)
		return n
	}
	return 10_000
}

// TestDaemonManyFiles measures a daemon that seeds a folder of many files: how soon it answers and offers all after a start, how long
// ls takes, what it takes at rest; and what sharer --help takes. With SHARER_E2E_BARS=1 the figures must be those that are promised.
func TestDaemonManyFiles(t *testing.T) {
	needs(t)
	files, dir, state := manyFiles(t), folder(t), t.TempDir()
	shared := filepath.Join(dir, "shared")
	for i := range files {
		name := filepath.Join(shared, strconv.Itoa(i/1000), strconv.Itoa(i))
		if i%1000 == 0 {
			check(t, os.MkdirAll(filepath.Dir(name), 0o755))
		}
		check(t, os.WriteFile(name, fmt.Appendf(nil, "file %d\n", i), 0o644))
	}
	p, c, _ := daemonAt(t, how{}, state)
	begun := time.Now()
	seed := sharer(t, how{}, "seed", "-d", "-q", shared, "--state-dir", state)
	<-seed.ended
	t.Logf("%d files hashed in %.2fs", files, time.Since(begun).Seconds())
	check(t, p.cmd.Process.Kill())
	<-p.ended
	c.Close()

	p, c, answers := daemonAt(t, how{}, state)
	begun = time.Now()
	for st := lookAt(t, c); st.Hashing > 0 || st.Files < files; st = lookAt(t, c) {
		<-time.After(10 * time.Millisecond)
	}
	offers := answers + time.Since(begun)
	worked := cpuOf(t, p)
	ls := least(t, "ls", "--state-dir", state)
	lsFiles := least(t, "ls", "shared", "--state-dir", state)
	help := least(t, "--help")

	<-time.After(5 * time.Second) // what a start leaves is given back
	idle := cpuOf(t, p)
	const rest = 20 * time.Second
	<-time.After(rest)
	idle = cpuOf(t, p) - idle
	anonymous := statusOf(t, p, "RssAnon")
	t.Logf("killed and started again: answers after %s, offers all after %s with %s of CPU; ls %s, ls of all files %s, --help %s; at rest %d KiB anonymous of %d KiB resident, %.2f %% of a core",
		answers, offers, worked, ls, lsFiles, help, anonymous, statusOf(t, p, "VmRSS"), 100*idle.Seconds()/rest.Seconds())
	if os.Getenv("SHARER_E2E_BARS") != "1" {
		return
	}
	if offers > 2*time.Second || ls > 300*time.Millisecond || help > 20*time.Millisecond || anonymous > 120<<10 || idle.Seconds() > 0.005*rest.Seconds() {
		t.Error("a bar is missed: all offered within 2s, ls 300ms, --help 20ms, 120 MiB, 0.5 % of a core")
	}
}

func lookAt(t *testing.T, c *control.Client) control.Status {
	t.Helper()
	st, err := c.Status(t.Context())
	check(t, err)
	return st
}

// least is the shortest of five runs.
func least(t *testing.T, args ...string) time.Duration {
	t.Helper()
	best := time.Hour
	for range 5 {
		begun := time.Now()
		cmd := exec.Command(binary(t), args...)
		out, err := cmd.Output()
		if err != nil || len(out) == 0 {
			t.Fatalf("%v: %v", args, err)
		}
		best = min(best, time.Since(begun))
	}
	return best
}

// cpuOf is what a process has worked so far.
func cpuOf(t *testing.T, p *process) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	check(t, err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	ticks := 0
	for _, f := range fields[11:13] { // utime, stime, in hundredths of a second
		n, err := strconv.Atoi(f)
		check(t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// statusOf is a line of /proc/PID/status in KiB.
func statusOf(t *testing.T, p *process, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	check(t, err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			check(t, err)
			return n
		}
	}
	t.Fatalf("no %s", name)
	return 0
}
