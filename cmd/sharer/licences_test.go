package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// modules are those that the program is built from, on all systems that it is released for: path, version, folder.
func modules(t *testing.T) (out []string) {
	t.Helper()
	systems := []string{runtime.GOOS} // a second each
	if *update {
		systems = []string{"linux", "darwin", "windows", "freebsd"}
	}
	for _, system := range systems {
		cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}", ".")
		cmd.Env = append(os.Environ(), "GOOS="+system)
		text, err := cmd.Output()
		if err != nil {
			t.Skip("the modules are not at hand:", err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !slices.Contains(out, line) {
				out = append(out, line)
			}
		}
	}
	slices.Sort(out)
	return out
}

// licenceIn is the text of a module's licence.
func licenceIn(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*LICEN[CS]E*"))
	if err != nil || len(names) == 0 {
		t.Errorf("%s has no licence", dir)
	}
	var all string
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += strings.TrimSpace(strings.ReplaceAll(string(b), "\r", "")) + "\n"
	}
	return all
}

// TestLicences: the licences of all modules that are inside are inside too (go test -update writes them anew).
func TestLicences(t *testing.T) {
	parts := []string{"== sharer\n" + licenceIn(t, filepath.Join("..", ".."))}
	for _, line := range modules(t) {
		module, dir, _ := strings.Cut(line, "\t")
		parts = append(parts, "== "+module+"\n"+licenceIn(t, dir))
	}
	if *update {
		root, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, "== Go, its library and runtime\n"+licenceIn(t, strings.TrimSpace(string(root))))
		if err := os.WriteFile("licences.txt", []byte(strings.Join(parts, "\n")), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, part := range parts {
		if !strings.Contains(licences, part) {
			t.Errorf("licences.txt lacks %.60q: go test ./cmd/sharer -run Licences -update", part)
		}
	}
}
