package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sharer/daemon"
	"sharer/node"
	"sharer/seed"
)

// TestFolderLinkIsOne: info and link say the link that seed says, of a folder with a short list and of one with a long one, also if no list
// can hold some of its files.
func TestFolderLinkIsOne(t *testing.T) {
	state := t.TempDir()
	d, err := daemon.Open(daemon.Config{Node: node.Config{StateDir: state, Listen: []string{"127.0.0.1:0"}, Isolated: true}, Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	for name, files := range map[string]map[string]int{
		"short list of long files": {"a": 5000, "b": 7000},
		"long list of short files": {strings.Repeat("a", 200): 1, strings.Repeat("b", 200): 2},
		"unlisted":                 {"a": 5000, "b\xff": 300},
		"empty":                    {"a": 0},
		"odd\xff":                  {"a": 5000},
	} {
		dir := filepath.Join(t.TempDir(), name)
		if os.Mkdir(dir, 0o700) != nil {
			continue // a system that takes no such names
		}
		if name == "long list of short files" {
			for i := range 30 {
				files[strings.Repeat("c", 200)+string(rune('a'+i))] = 1
			}
		}
		for file, size := range files {
			if err := os.WriteFile(filepath.Join(dir, file), make([]byte, size), 0o600); err != nil && file != "b\xff" {
				t.Fatal(err)
			}
		}
		want := ""
		if _, err := d.Seed(t.Context(), seed.Options{Paths: []string{dir}}, func(e seed.Event) {
			if e.Kind == seed.FolderDone {
				want = folderOfferOf(e.Folder).Link
			}
		}); err != nil {
			t.Fatal(err)
		}
		k, err := d.Know(dir)
		if got := linkOf(k); err != nil || got != want {
			t.Errorf("%s: %v, info says %s, seed %s", name, err, got, want)
		}
		newConsole(t).run(t.Context(), "link", "--state-dir", state, dir).want(t, exitDone, want+"\n", "")
	}
}
