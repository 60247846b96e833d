//go:build linux

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestRelease: the release script builds the same bytes twice, each compiled for itself, and what it builds knows its licences.
func TestRelease(t *testing.T) {
	needs(t, "sha256sum")
	targets := runtime.GOOS + "/" + runtime.GOARCH // all eight with SHARER_E2E_BARS
	if os.Getenv("SHARER_E2E_BARS") != "" {
		targets = ""
	}
	var sums [2][]byte
	for i := range sums {
		dir := filepath.Join(t.TempDir(), strings.Repeat("x", i+1))
		cmd := exec.Command(filepath.Join("..", "packaging", "release"), dir)
		cmd.Env = append(os.Environ(), "RELEASE_TARGETS="+targets)
		if i == 1 { // compiled again, not taken from the cache
			cmd.Env = append(cmd.Env, "GOCACHE="+t.TempDir())
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var err error
		if sums[i], err = os.ReadFile(filepath.Join(dir, "SHA256SUMS")); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			out, err := exec.Command(filepath.Join(dir, "sharer-"+runtime.GOOS+"-"+runtime.GOARCH), "version", "--licences").Output()
			if err != nil || !bytes.Contains(out, []byte("== go.etcd.io/bbolt ")) {
				t.Errorf("licences: %v", err)
			}
		}
	}
	if !bytes.Equal(sums[0], sums[1]) {
		t.Errorf("two builds differ:\n%s\n%s", sums[0], sums[1])
	}
	t.Logf("%s", sums[0])
}

// TestUnits: systemd understands the units, and finds the system one well confined.
func TestUnits(t *testing.T) {
	needs(t, "systemd-analyze")
	dir := t.TempDir()
	for _, name := range []string{"sharer.service", "sharer-user.service"} {
		text, err := os.ReadFile(filepath.Join("..", "packaging", "systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		// The program is not installed here.
		text = bytes.ReplaceAll(text, []byte("/usr/bin/sharer"), []byte("/bin/true"))
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"verify", "--man=no", path}
		if name == "sharer-user.service" {
			args = append([]string{"--user"}, args...)
		}
		cmd := exec.Command("systemd-analyze", args...)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), name) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
