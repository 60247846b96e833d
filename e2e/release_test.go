//go:build linux

package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestRelease: the release script builds the same bytes from two folders, with nothing of either in them, for this system and for
// another one, and what it builds knows its licences.
func TestRelease(t *testing.T) {
	t.Parallel()
	needs(t, "sha256sum", "bash")
	foreign := "windows/arm64"
	targets := runtime.GOOS + "/" + runtime.GOARCH + " " + foreign // all eight with SHARER_E2E_BARS
	if os.Getenv("SHARER_E2E_BARS") != "" {
		targets = ""
	}
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(t.TempDir(), "elsewhere")
	copySource(t, here, there)
	var sums [2][]byte
	for i, source := range []string{here, there} {
		dir := filepath.Join(t.TempDir(), strings.Repeat("x", i+1))
		cmd := exec.Command(filepath.Join(source, "packaging", "release"), dir)
		cmd.Env = append(os.Environ(), "RELEASE_TARGETS="+targets)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if sums[i], err = os.ReadFile(filepath.Join(dir, "SHA256SUMS")); err != nil {
			t.Fatal(err)
		}
		own := filepath.Join(dir, "sharer-"+runtime.GOOS+"-"+runtime.GOARCH)
		for _, path := range []string{own, filepath.Join(dir, "sharer-"+strings.ReplaceAll(foreign, "/", "-")+".exe")} {
			// Both builds take what they compile from one cache: a path in it would be the same in both.
			program, err := os.ReadFile(path)
			if err != nil || bytes.Contains(program, []byte(here+"/")) || bytes.Contains(program, []byte(there+"/")) {
				t.Errorf("%s: %v, or it holds the path of its source", path, err)
			}
		}
		out, err := exec.Command(own, "version", "--licences").Output()
		if err != nil || !bytes.Contains(out, []byte("== go.etcd.io/bbolt ")) {
			t.Errorf("licences: %v", err)
		}
	}
	if !bytes.Equal(sums[0], sums[1]) {
		t.Errorf("two builds differ:\n%s\n%s", sums[0], sums[1])
	}
	t.Logf("%s", sums[0])
}

// copySource copies a checkout without what is hidden.
func copySource(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case rel != "." && strings.HasPrefix(d.Name(), ".") && d.IsDir():
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, fi.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnits: a daemon starts as the units have it where nobody has made a file of settings, and systemd understands the units.
func TestUnits(t *testing.T) {
	needs(t)
	for name, settings := range map[string]string{"sharer.service": "/etc/sharer/config.toml", "sharer-user.service": "/nowhere/.config/sharer/config.toml"} {
		text, err := os.ReadFile(filepath.Join("..", "packaging", "systemd", name))
		check(t, err)
		cmd := exec.Command(binary(t), "config", "check")
		cmd.Env = []string{"HOME=/nowhere"}
		for line := range strings.Lines(string(text)) {
			if of, ok := strings.CutPrefix(line, "Environment="); ok {
				cmd.Env = append(cmd.Env, strings.Fields(of)...)
			}
		}
		// Its restarts would end the same: a file that is named, and is not there, is an error.
		if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), settings) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
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
