package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sharer/node"
	"sharer/seed"
)

// TestMetrics: a daemon that seeds counts it, and all that it writes is in the form of the format.
func TestMetrics(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Open(Config{Node: node.Config{StateDir: t.TempDir(), Listen: []string{"127.0.0.1:0"}, Isolated: true}, Release: "1 \"x\""})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Seed(t.Context(), seed.Options{Paths: []string{filepath.Join(dir, "a")}}, nil); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := d.Metrics().Write(&b); err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="([^"\\\n]|\\[\\n"])*",?)+\})? [0-9.e+-]+)$`)
	for line := range strings.Lines(b.String()) {
		if !form.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("%q", line)
		}
	}
	for _, want := range []string{"\nsharer_seeds 1\n", "\nsharer_seeded_bytes 3\n", `sharer_info{version="1 \"x\"",go="`, `sharer_bytes_total{dir="down",kind="all"} `} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
	if err := (health{d}).Ready(); err != nil {
		t.Error(err)
	}
}

// TestDashboard: every metric of the dashboard exists, and every metric that exists is on it.
func TestDashboard(t *testing.T) {
	var d Daemon
	d.countNode()
	d.countKept()
	d.countMirrors()
	there := d.Metrics().Names()
	text, err := os.ReadFile(filepath.Join("..", "packaging", "grafana", "sharer.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Fatal("the dashboard is no JSON")
	}
	shown := regexp.MustCompile(`\bsharer_[a-z_]+`).FindAllString(string(text), -1)
	for _, name := range shown {
		if !slices.Contains(there, name) {
			t.Errorf("the dashboard shows %s, which does not exist", name)
		}
	}
	for _, name := range there {
		if !slices.Contains(shown, name) && name != "sharer_mirror_seq" { // a number that nobody draws
			t.Errorf("%s is not on the dashboard", name)
		}
	}
}
