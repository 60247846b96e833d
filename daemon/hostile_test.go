package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/index"
	"sharer/mirror"
	"sharer/node"
)

// thief is a node that has a publisher's key, and offers whatever it likes.
type thief struct {
	t   *testing.T
	n   *node.Node
	dir string
}

func newThief(t *testing.T) *thief {
	t.Helper()
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm") // all that is kept is synced, some thousand times
	}
	dir := t.TempDir()
	n, err := node.Start(node.Config{StateDir: filepath.Join(dir, "state"), Listen: []string{"127.0.0.1:0"}, Isolated: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return &thief{t, n, dir}
}

// offer offers a content, and returns what it is called.
func (s *thief) offer(data []byte) chunk.Sums {
	s.t.Helper()
	sums, err := chunk.Sum(s.t.Context(), bytes.NewReader(data), int64(len(data)), nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.dir, sums.BLAKE3.String())
	if err := os.WriteFile(path, data, 0o600); err != nil {
		s.t.Fatal(err)
	}
	f, stamp, err := chunk.OpenRegular(path)
	if err != nil {
		s.t.Fatal(err)
	}
	f.Close()
	content := index.Content{SHA256: sums.SHA256, BLAKE3: sums.BLAKE3, Size: sums.Size}
	if err := s.n.OfferFiles([]index.Entry{{Content: content, Place: index.Place{Path: path, Stamp: stamp}}}); err != nil {
		s.t.Fatal(err)
	}
	return sums
}

// publish offers pages, and signs the name for the first.
func (s *thief) publish(first string, others ...string) {
	s.t.Helper()
	for _, p := range others {
		s.offer([]byte(p))
	}
	if _, err := s.n.Publish(s.t.Context(), "isos", s.offer([]byte(first))); err != nil {
		s.t.Fatal(err)
	}
}

// honest publishes texts by path as a publisher does.
func (s *thief) honest(texts map[string]string) {
	s.t.Helper()
	var files []folder.File
	for path, text := range texts {
		sums := s.offer([]byte(text))
		files = append(files, folder.File{Path: path, Size: sums.Size, BLAKE3: sums.BLAKE3, SHA256: sums.SHA256})
	}
	f, err := folder.New("isos", files)
	if err != nil {
		s.t.Fatal(err)
	}
	pages, err := f.Pages(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	s.publish(string(pages[0].Data))
}

// entry is a file of a page; path is JSON already, without its quotes.
func (s *thief) entry(path, text string, size int64) string {
	return fmt.Sprintf(`{"blake3":"%s","path":"%s","size":%d}`, s.offer([]byte(text)).BLAKE3, path, size)
}

func page(files ...string) string {
	return `{"files":[` + strings.Join(files, ",") + `],"folder":1}`
}

func (s *thief) more(pages ...string) string {
	var ids []string
	for _, p := range pages {
		ids = append(ids, `"`+s.offer([]byte(p)).BLAKE3.String()+`"`)
	}
	return `{"files":[],"folder":1,"more":[` + strings.Join(ids, ",") + `]}`
}

// paths are a page of files that hold their own number.
func (s *thief) paths(paths ...string) string {
	var files []string
	for i, p := range paths {
		text := fmt.Sprint("content ", i)
		files = append(files, s.entry(p, text, int64(len(text))))
	}
	return page(files...)
}

// carried is a daemon with a mirror of the thief's name, and what it must have.
type carried struct {
	t    *testing.T
	d    *Daemon
	want map[string]string
}

// carry is called when there is something to carry: who asks in vain goes on asking for a while.
func carry(t *testing.T, s *thief) *carried {
	t.Helper()
	d := open(t, t.TempDir(), true)
	if err := d.AddPeers([]netip.AddrPort{s.n.Addrs()[0]}); err != nil {
		t.Fatal(err)
	}
	rules := mirror.DefaultRules()
	rules.Every, rules.MinFree = time.Hour, mirror.Portion{}
	if _, err := d.AddMirror(t.Context(), mirror.Spec{Name: "m", Key: s.n.Key(), Path: "isos", Rules: rules}); err != nil {
		t.Fatal(err)
	}
	return &carried{t: t, d: d}
}

// sync looks at the name; nothing more is expected than that it ends.
func (c *carried) sync() error {
	c.t.Helper()
	_, err := c.d.SyncMirror(c.t.Context(), "m", false)
	return err
}

func (c *carried) look() mirror.Look { return c.d.Mirrors()[0] }

// holds compares the tree on disk, and what HTTP serves, with what must be there.
func (c *carried) holds(when string) {
	c.t.Helper()
	l := c.look()
	root, err := filepath.EvalSymlinks(filepath.Join(l.Spec.Dir, "current"))
	if err != nil {
		c.t.Fatalf("%s: %v", when, err)
	}
	got := map[string]string{}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		got[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
		c.t.Fatalf("%s: the tree is %.300v, want %.300v; %v", when, got, c.want, err)
	}
	for path, text := range c.want {
		w := httptest.NewRecorder()
		c.d.mirrorTrees().ServeHTTP(w, httptest.NewRequest("GET", "/mirror/m/"+path, nil))
		if w.Code != 200 || w.Body.String() != text {
			c.t.Fatalf("%s: HTTP gives %d %.60q for %s, want %.60q", when, w.Code, w.Body, path, text)
		}
	}
	w := httptest.NewRecorder()
	c.d.mirrorTrees().ServeHTTP(w, httptest.NewRequest("GET", "/mirror/m/B3SUMS", nil))
	if n := strings.Count(w.Body.String(), "\n"); n != len(c.want) {
		c.t.Fatalf("%s: HTTP lists %d files, want %d", when, n, len(c.want))
	}
}

// TestHostile lets a thief of a publisher's key sign everything that no publisher means, each through a whole mirror: node,
// transfer, plan, tree, HTTP. After each the version before is whole and served, what is wrong is said in words, and the
// next honest version is taken.
func TestHostile(t *testing.T) {
	s := newThief(t)
	long := strings.Repeat("x", 900_000)
	var deep []string // each names the next
	for range 5 {
		deep = append(deep, s.more(append([]string{s.paths("z")}, deep[max(0, len(deep)-1):]...)...))
	}
	empties := make([]string, 600)
	for i := range empties {
		empties[i] = fmt.Sprintf(`{"files":[],"folder":1,"x":%d}`, i)
	}
	// lie is a page with the three files that the version before has, and one more.
	lie := func(text string, size int64) string {
		return page(s.entry("VERSION", "v", 1), s.entry("d/more", "m", 1), s.entry("d/same", "s", 1), s.entry("x", text, size))
	}
	cases := []struct {
		name string
		page string
		says string
	}{
		{"nothing", "", "not a folder's manifest"},
		{"no JSON", "\x00\x01", "bad JSON"},
		{"a later format", `{"folder":2}`, "newer version"},
		{"above", s.paths("../above"), "has the part .."},
		{"above, further down", s.paths("a/../../above"), "has the part .."},
		{"absolute", s.paths("/etc/cron.d/x"), "is absolute"},
		{"empty", s.paths(""), "is empty"},
		{"a dot", s.paths("."), "has the part ."},
		{"an empty part", s.paths("a//b"), "has an empty part"},
		{"a control character", s.paths(`a\u001b[2J`), "holds the control character"},
		{"a NUL", s.paths(`a\u0000`), "holds the control character"},
		{"a line's end", s.paths(`a\nb`), "holds the control character"},
		{"turned around", s.paths(`a\u202egpj.exe`), "holds the control character"},
		{"half a character", s.paths(`a\ud800`), "bad JSON"},
		{"where downloads wait", s.paths(".Sharer-Part/x"), "kept for downloads"},
		{"a long name", s.paths(strings.Repeat("n", 256)), "has a part of 256 bytes"},
		{"a name as long as a page", s.paths(long), "has 900000 bytes"},
		{"a name that is longer", page(`{"path":"` + strings.Repeat("x", 8<<20) + `"}`), "more than 1048576 bytes"},
		{"deep", s.paths(strings.Repeat("d/", 200) + "f"), "is deeper than 128"},
		{"twice", s.paths("a", "a"), "is there twice"},
		{"not in order", s.paths("b", "a"), "is not in order"},
		{"a file and a folder", s.paths("a", "a-b", "a/b"), "is a file and a folder"},
		{"no size", page(fmt.Sprintf(`{"blake3":"%s","path":"a"}`, chunk.Hash{1})), "size of"},
		{"a size below zero", page(s.entry("a", "text", -1)), "size of"},
		{"a size beyond all", page(s.entry("a", "text", 1<<53)), "size of"},
		{"sizes that add up to more", page(s.entry("a", "text", 1<<52), s.entry("b", "text b", 1<<52), s.entry("c", "text c", 1<<52)), "in all"},
		{"an empty file with a content", page(s.entry("a", "text", 0)), "is false"},
		{"a size too small", lie("text of some bytes", 4), "4 bytes"},
		{"a size too large", lie("another text of some bytes", 4000), "4000"},
		{"a large one, too small", lie(strings.Repeat("large ", 100_000), 599_999), "599999"},
		{"a large one, too large", lie(strings.Repeat("larger", 100_000), 1<<20), "1048576"},
		{"more than any disk", lie("text", 1<<52), "disk"},
		{"a page twice", strings.Replace(s.more(s.paths("a")), `"more":[`, `"more":["`+s.offer([]byte(s.paths("a"))).BLAKE3.String()+`",`, 1), "is there twice"},
		{"pages that name further ones", deep[len(deep)-1], "names further pages"},
		{"more pages than a folder has", s.more(empties...), "more than 512 pages"},
		{"pages not in order", s.more(s.paths("b"), s.paths("a")), "is not in order"},
		{"a page of another kind", s.more(`{"folder":3}`), "newer version"},
		{"a member twice", `{"folder":1,"files":[],"files":[]}`, "bad JSON"},
		{"all gone", page(), "max-delete"},
	}
	version := 0
	honest := func() map[string]string {
		version++
		texts := map[string]string{"VERSION": fmt.Sprint("version ", version), "d/same": "the same in all", "d/more": fmt.Sprint("more of ", version)}
		s.honest(texts)
		return texts
	}
	want := honest()
	c := carry(t, s)
	next := func() {
		c.want = want
		if err := c.sync(); err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		c.holds(fmt.Sprint("version ", version))
	}
	next()
	var before, after runtime.MemStats
	for _, k := range cases {
		s.publish(k.page)
		runtime.ReadMemStats(&before)
		err := c.sync()
		l := c.look()
		said := fmt.Sprint(l.Failed, " ", l.State.Held, " ", l.State.Why)
		if err == nil || !strings.Contains(said, k.says) {
			t.Errorf("%s: the sync says %.200v, the mirror %.200q, want %q", k.name, err, said, k.says)
		}
		if l.Doing != mirror.Waiting && l.Doing != mirror.Held || len(said) > 2000 {
			t.Errorf("%s: the mirror is %q, and says %d bytes", k.name, l.Doing, len(said))
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
			t.Errorf("%s: took %d MiB of memory in all", k.name, took>>20)
		}
		c.holds(k.name)
		want = honest()
		next()
	}
	above, err := filepath.Glob(filepath.Join(c.d.cfg.Node.StateDir, "mirrors", "m", "tree", "versions", "*", "..", "above*"))
	if err != nil || len(above) > 0 {
		t.Errorf("outside of the tree: %v, %v", above, err)
	}
}

// TestOddManifests: what is no fault is taken: another order of members, blanks, members that nobody knows, names that only some
// systems can hold.
func TestOddManifests(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: file systems here may hold fewer names")
	}
	s := newThief(t)
	one, two := s.entry("A", "upper", 5), s.entry("a", "lower", 5)
	for name, page := range map[string]string{
		"blanks and order":  " { \"later\" : [1,{}], \"files\" : [ " + one + " ,\n" + two + " ], \"folder\" : 1 } ",
		"more, and nothing": s.more(page(one), page(), page(two)),
	} {
		t.Run(name, func(t *testing.T) {
			s.publish(page)
			c := carry(t, s)
			if err := c.sync(); err != nil {
				t.Fatal(err)
			}
			c.want = map[string]string{"A": "upper", "a": "lower"}
			c.holds(name)
		})
	}
}
