// Package sharer_test holds the tests of the house itself: what may import what,
// that the code is formatted, and that the documents tell the truth about paths.
package sharer_test

import (
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "sharer"

// law reads the table of rooms in DESIGN.md: what each may import of ours.
func law(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| room | is | may import of ours |\n")
	if !ok {
		t.Fatal("DESIGN.md has no table of rooms")
	}
	rooms := map[string][]string{}
	names := regexp.MustCompile("`([a-z0-9/-]+)`")
	for _, line := range strings.Split(table, "\n")[1:] {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			break
		}
		room := names.FindStringSubmatch(cells[1])[1]
		allowed := []string{}
		may, but, _ := strings.Cut(cells[3], " but ")
		if strings.Contains(may, "all of the above") {
			for above := range rooms {
				allowed = append(allowed, above)
			}
		}
		for _, m := range names.FindAllStringSubmatch(may, -1) {
			allowed = append(allowed, m[1])
		}
		for _, m := range names.FindAllStringSubmatch(but, -1) {
			allowed = slices.DeleteFunc(allowed, func(a string) bool { return a == m[1] })
		}
		rooms[room] = allowed
	}
	return rooms
}

// goFiles calls f with every Go file of the project, those of its second module, s3, too.
func goFiles(t *testing.T, f func(name string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if err == nil && !d.IsDir() && strings.HasSuffix(name, ".go") {
			f(filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// imports returns what a file imports, ours as paths inside the module.
func imports(t *testing.T, name string) (ours, others []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Imports {
		p := strings.Trim(i.Path.Value, `"`)
		if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			ours = append(ours, rest)
		} else {
			others = append(others, p)
		}
	}
	return ours, others
}

func TestLayerLaw(t *testing.T) {
	rooms := law(t)
	seen := map[string]bool{}
	goFiles(t, func(name string) {
		room := path.Dir(name)
		if strings.HasSuffix(name, "_test.go") || room == "." {
			return // a test may use a simulated network; the house imports nothing
		}
		seen[room] = true
		allowed, known := rooms[room]
		if !known && !strings.HasPrefix(room, "bench") {
			t.Errorf("%s: the room is not in DESIGN.md", name)
			return
		}
		ours, others := imports(t, name)
		for _, i := range ours {
			if known && !slices.Contains(allowed, i) {
				t.Errorf("%s imports %s, which %s may not", name, i, room)
			}
		}
		network := room == "internal/udp" || room == "internal/portmap" || room == "cmd/sharer" || strings.HasPrefix(room, "bench") ||
			room == "bridge" || room == "daemon" || room == "control" || room == "gateway" || room == "metrics" || room == "mirror/web" || // handlers: it opens no socket
			room == "mirror/depot" || room == "s3" || strings.HasPrefix(room, "s3/")
		for _, i := range others {
			// net is imported elsewhere for its error values only; sockets are made in two rooms.
			if (i == "net/http" || i == "golang.org/x/net/ipv4" || i == "golang.org/x/net/ipv6") && !network {
				t.Errorf("%s imports %s: only internal/udp and internal/portmap touch the network", name, i)
			}
		}
	})
	for room := range rooms {
		if !seen[room] {
			t.Errorf("DESIGN.md names the room %s, which does not exist", room)
		}
	}
}

// TestSocketsLiveInTheirRooms looks for calls that open sockets.
func TestSocketsLiveInTheirRooms(t *testing.T) {
	opens := regexp.MustCompile(`\bnet\.(Listen|Dial)[A-Za-z]*\(|\bnet\.ListenConfig\b|\bunix\.Socket\(`)
	found := 0
	goFiles(t, func(name string) {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "bench/") {
			return
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if opens.Match(text) {
			found++
			// One file of internal/portmap: behind it is its fence.
			if path.Dir(name) != "internal/udp" && name != "internal/portmap/network.go" && name != "gateway/listen.go" && name != "control/socket.go" && name != "s3/cmd/sharer-s3/main.go" {
				t.Errorf("%s opens a socket: only internal/udp, internal/portmap/network.go and control/socket.go do", name)
			}
		}
	})
	if found == 0 {
		t.Error("no room opens a socket: this test looks for the wrong thing")
	}
}

func TestFormatted(t *testing.T) {
	goFiles(t, func(name string) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := format.Source(text); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if string(want) != string(text) {
			t.Errorf("%s is not formatted: run gofmt -w %s", name, name)
		}
	})
}

// TestNoSleepingTests: a test waits for a channel, or in virtual time.
func TestNoSleepingTests(t *testing.T) {
	sleeps := "time." + "Sleep("
	goFiles(t, func(name string) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") && strings.Contains(string(text), sleeps) && !strings.Contains(string(text), `"testing/synctest"`) && !strings.Contains(string(text), "inBubble(") {
			t.Errorf("%s sleeps, and not in virtual time", name)
		}
	})
}

// TestDocumentsNameWhatExists: paths in the documents are there.
func TestDocumentsNameWhatExists(t *testing.T) {
	paths := regexp.MustCompile("`((?:bridge|cmd|deny|gateway|store|chunk|config|metrics|control|daemon|s3|limit|watch|packaging|folder|identity|index|seed|link|mirror|swarm|transfer|wire|node|talk|internal|testdata|bench|\\.ci)(?:/[A-Za-z0-9_.*/-]+)?)`|\\]\\(([A-Za-z0-9_./-]+)\\)")
	for _, doc := range []string{"README.md", "DESIGN.md", "CHANGELOG.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		found := paths.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 && doc != "CHANGELOG.md" {
			t.Errorf("%s names no path: this test looks for the wrong thing", doc)
		}
		for _, m := range found {
			name := m[1] + m[2]
			if matches, err := filepath.Glob(strings.TrimSuffix(name, "/")); err != nil || len(matches) == 0 {
				t.Errorf("%s names %s, which does not exist", doc, name)
			}
		}
	}
}

// TestGuideNamesTheSections: the table at the top of DESIGN.md leads to sections that are there, and to all of them.
func TestGuideNamesTheSections(t *testing.T) {
	text, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n## Where to begin\n")
	guide, rest, ok := strings.Cut(rest, "\n## ")
	if !ok {
		t.Fatal("DESIGN.md has no guide")
	}
	for line := range strings.Lines("## " + rest) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "## ")
		short, _, _ := strings.Cut(name, ",")
		if ok && !strings.Contains(guide, short) {
			t.Errorf("the guide does not name the section %q", name)
		}
	}
	for line := range strings.Lines(guide) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.TrimSpace(cells[2]) == "reads" || strings.HasPrefix(cells[2], "---") {
			continue
		}
		for name := range strings.SplitSeq(cells[2], ", ") {
			if name = strings.TrimSpace(name); !strings.Contains(rest, "\n## "+name) {
				t.Errorf("the guide names %q, which is no section", name)
			}
		}
	}
}
