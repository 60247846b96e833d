package seed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sharer/chunk"
	"sharer/index"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a folder to seed, with an index and trees beside it.
type bench struct {
	testing.TB
	dir   string
	ix    *index.Index
	trees *Trees
}

func newBench(t testing.TB) *bench {
	t.Helper()
	state := t.TempDir()
	ix, err := index.Open(filepath.Join(state, "index"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	trees, err := OpenTrees(filepath.Join(state, "trees"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		trees.Close()
		if err := ix.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{t, t.TempDir(), ix, trees}
}

// write makes a file below the folder and returns its path.
func (b *bench) write(rel, content string) string {
	b.Helper()
	path := filepath.Join(b.dir, rel)
	b.must(os.MkdirAll(filepath.Dir(path), 0o755))
	b.must(os.WriteFile(path, []byte(content), 0o644))
	return path
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// seen is what a scan told.
type seen struct {
	Report
	err    error
	files  map[string]File   // by Rel
	skips  map[string]string // reason by path below the folder
	fails  map[string]error
	events []Event
}

func (b *bench) scan(o Options) seen {
	b.Helper()
	return b.scanCtx(b.Context(), o)
}

func (b *bench) scanCtx(ctx context.Context, o Options) seen {
	b.Helper()
	if o.Paths == nil {
		o.Paths = []string{b.dir}
	}
	s := seen{files: map[string]File{}, skips: map[string]string{}, fails: map[string]error{}}
	rel := func(path string) string {
		if r, err := filepath.Rel(b.dir, path); err == nil && filepath.IsLocal(r) {
			return r
		}
		return path
	}
	s.Report, s.err = Scan(ctx, b.ix, o, b.trees, func(e Event) {
		s.events = append(s.events, e)
		switch e.Kind {
		case FileDone:
			s.files[e.File.Rel] = e.File
			// It is announced only when it can be found.
			c, places, err := b.ix.Lookup(chunk.ID{Kind: chunk.SHA256, Hash: e.File.Content.SHA256})
			if err != nil || c != e.File.Content || len(places) == 0 {
				b.Errorf("%s is done, Lookup: %v, %v", e.File.Rel, places, err)
			}
			if c, p, err := b.ix.ByPath(e.File.Path); err != nil || c != e.File.Content || p.Stamp != e.File.Stamp {
				b.Errorf("%s is done, ByPath: %v, %v, %v", e.File.Rel, c, p, err)
			}
		case Skipped:
			s.skips[rel(e.Path)] = e.Reason
		case Failed:
			s.fails[rel(e.Path)] = e.Err
		}
	})
	if s.Files != len(s.files) || s.Skipped() != len(s.skips) || s.Failed != len(s.fails) {
		b.Errorf("report %+v; told %d files, %d skips, %d failures", s.Report, len(s.files), len(s.skips), len(s.fails))
	}
	return s
}

func (s seen) rels() []string {
	var rels []string
	for r := range s.files {
		rels = append(rels, r)
	}
	slices.Sort(rels)
	return rels
}

// check compares each file that was seeded with its bytes.
func (b *bench) check(s seen) {
	b.Helper()
	for rel, f := range s.files {
		data, err := os.ReadFile(f.Path)
		if err != nil {
			b.Error(err)
			continue
		}
		want, err := chunk.Sum(b.Context(), strings.NewReader(string(data)), int64(len(data)), nil, nil)
		if err != nil || f.Content != (index.Content{SHA256: want.SHA256, BLAKE3: want.BLAKE3, Size: want.Size}) {
			b.Errorf("%q: %+v, want %+v, %v", rel, f.Content, want, err)
		}
	}
}

func TestScan(t *testing.T) {
	b := newBench(t)
	var want []string
	var bytes int64
	for i, size := range []int{0, 1, 4095, 4096, 4097, 8192, 12289, smallTree, smallTree + 1, 1<<20 + 1} {
		rel := fmt.Sprintf("%c/%d", 'a'+i%3, size)
		b.write(rel, strings.Repeat(string(rune('a'+i)), size))
		want, bytes = append(want, rel), bytes+int64(size)
	}
	slices.Sort(want)
	s := b.scan(Options{})
	if s.err != nil || !slices.Equal(s.rels(), want) || s.Bytes != bytes || s.Read != bytes || s.Reused != 0 {
		t.Errorf("first: %+v, %v, %q", s.Report, s.err, s.rels())
	}
	b.check(s)
	last := func(k Kind) (e Event) {
		for _, x := range s.events {
			if x.Kind == k {
				e = x
			}
		}
		return e
	}
	if e := last(Found); e.Files != len(want) || e.Bytes != bytes || !e.Walked {
		t.Errorf("last Found: %+v", e)
	}
	if e := last(Hashing); e.Bytes != bytes {
		t.Errorf("last Hashing: %+v", e)
	}
	// Only contents of more than 64 blocks have a tree file.
	if trees, _ := filepath.Glob(filepath.Join(b.trees.dir, "*", "*")); len(trees) != 2 {
		t.Errorf("trees: %q", trees)
	}

	first := s.files
	s = b.scan(Options{})
	if s.err != nil || s.Reused != len(want) || s.Read != 0 || s.Bytes != bytes {
		t.Errorf("second: %+v, %v", s.Report, s.err)
	}
	for rel, f := range s.files {
		f.Reused = false
		if f != first[rel] {
			t.Errorf("%s: %+v, was %+v", rel, f, first[rel])
		}
	}
	// A file that is another one now is read, and those that are the same are not.
	b.write("a/0", "no longer empty")
	b.write("b/1", "X") // of the same length
	if s = b.scan(Options{}); s.Reused != len(want)-2 || s.Read != 16 || s.files["a/0"].Content.Size != 15 {
		t.Errorf("third: %+v", s.Report)
	}
	if s = b.scan(Options{Rehash: true}); s.Reused != 0 || s.Read != bytes+15 {
		t.Errorf("rehash: %+v", s.Report)
	}
	b.check(s)
}

func TestSkips(t *testing.T) {
	b := newBench(t)
	for _, rel := range []string{"keep", "a/keep~not", "a/keep#", "#", "swp", "partial", "x.part.txt"} {
		b.write(rel, rel)
	}
	want := map[string]string{
		".hidden": Hidden, ".git": Hidden, ".x.swp": Hidden, "..": "", "a/note~": EditorFile, "a/#note#": EditorFile,
		"film.part": PartialFile, "film.part.sharer": PartialFile,
		"out.log": Excluded, "a/b/c.tmp": Excluded, "cache": Excluded,
	}
	delete(want, "..")
	for rel := range want {
		if rel == ".git" || rel == "cache" {
			rel += "/file"
		}
		b.write(rel, rel)
	}
	o := Options{Exclude: []string{"out.*", "a/*/c.tmp", "cache"}}
	s := b.scan(o)
	if got := s.rels(); !slices.Equal(got, []string{"#", "a/keep#", "a/keep~not", "keep", "partial", "swp", "x.part.txt"}) {
		t.Errorf("seeded %q", got)
	}
	for rel, reason := range want {
		if s.skips[rel] != reason {
			t.Errorf("%s: skipped as %q, want %q", rel, s.skips[rel], reason)
		}
	}
	if len(s.skips) != len(want) || s.Skips[Hidden] != 3 || s.Skips[Excluded] != 3 {
		t.Errorf("skips %v, %v", s.skips, s.Skips)
	}

	// What is named itself is taken, also a folder.
	o.Paths = []string{filepath.Join(b.dir, ".hidden"), filepath.Join(b.dir, ".git"), filepath.Join(b.dir, "film.part"), filepath.Join(b.dir, "film.part")}
	if s := b.scan(o); !slices.Equal(s.rels(), []string{".hidden", "file", "film.part"}) {
		t.Errorf("named: %q", s.rels())
	}
	if s := b.scan(Options{Exclude: []string{"[a"}}); s.err == nil || s.Files != 0 {
		t.Errorf("bad pattern: %v", s.err)
	}
	if s := b.scan(Options{Paths: []string{filepath.Join(b.dir, "nowhere"), filepath.Join(b.dir, "keep")}}); !errors.Is(s.fails["nowhere"], fs.ErrNotExist) || s.Files != 1 || s.err != nil {
		t.Errorf("missing: %v, %+v", s.fails, s.Report)
	}
}

func TestOddNames(t *testing.T) {
	b := newBench(t)
	names := []string{"two\nlines", strings.Repeat("n", 255), "-rf", "CON", "\u202egpj.exe", "e\u0301", "\u00e9", "a\\b", "*?[", "sp ace "}
	if runtime.GOOS == "linux" {
		names = append(names, "bad\xff\xfeutf8")
	}
	deep := strings.Repeat("d/", 200) + "file"
	for _, n := range append(names, deep) {
		b.write(n, n)
	}
	s := b.scan(Options{})
	want := append(slices.Clone(names), deep)
	slices.Sort(want)
	if !slices.Equal(s.rels(), want) || s.err != nil || s.Failed != 0 {
		t.Errorf("seeded %q, %v, %v", s.rels(), s.err, s.fails)
	}
	b.check(s)
	if s = b.scan(Options{}); s.Reused != len(want) {
		t.Errorf("again: %+v", s.Report)
	}
}

// TestTooDeep: a path that is longer than the system takes can be walked, but nobody
// could open it to serve it.
func TestTooDeep(t *testing.T) {
	b := newBench(t)
	root, err := os.OpenRoot(b.dir)
	b.must(err)
	part := strings.Repeat("p", 250)
	for range 18 {
		b.must(root.Mkdir(part, 0o755))
		sub, err := root.OpenRoot(part)
		b.must(err)
		b.must(root.Close())
		root = sub
	}
	f, err := root.Create("file")
	b.must(err)
	b.must(errors.Join(f.Close(), root.Close()))
	b.write("fine", "fine")
	if s := b.scan(Options{}); s.err != nil || s.Files != 1 || s.Failed != 1 {
		t.Errorf("%+v, %v", s.Report, s.err)
	}
}

func TestManyFiles(t *testing.T) {
	b := newBench(t)
	const n = 1100 // more than one batch
	for i := range n {
		b.write(fmt.Sprintf("%02d/%04d", i%50, i), fmt.Sprint(i))
	}
	s := b.scan(Options{Workers: 3})
	if s.err != nil || s.Files != n {
		t.Fatalf("%+v, %v", s.Report, s.err)
	}
	b.check(s)
	if c, p, err := b.ix.Count(); c != n || p != n || err != nil {
		t.Errorf("index: %d, %d, %v", c, p, err)
	}
}

func TestUnreadable(t *testing.T) {
	b := newBench(t)
	b.write("fine", "fine")
	if os.Geteuid() != 0 {
		b.must(os.Chmod(b.write("locked", "locked"), 0))
		b.must(os.MkdirAll(filepath.Join(b.dir, "shut"), 0))
		s := b.scan(Options{})
		if s.Files != 1 || !errors.Is(s.fails["locked"], fs.ErrPermission) || !errors.Is(s.fails["shut"], fs.ErrPermission) || s.err != nil {
			t.Errorf("%v, %+v, %v", s.fails, s.Report, s.err)
		}
		return
	}
	// Permissions do not stop root; reading one's own memory at 0 does.
	const mem = "/proc/self/mem"
	if _, err := os.Stat(mem); err != nil {
		t.Skip("root can read every file here, and there is no " + mem)
	}
	s := b.scan(Options{Paths: []string{mem, b.dir}})
	if s.Files != 1 || s.fails[mem] == nil || s.err != nil {
		t.Errorf("%v, %+v, %v", s.fails, s.Report, s.err)
	}
}

// TestCancel ends a scan in the middle of a large file: it comes back, without a complaint about
// that file, and what was finished before is kept.
func TestCancel(t *testing.T) {
	b := newBench(t)
	b.write("0", "first")
	f, err := os.Create(filepath.Join(b.dir, "1-large"))
	b.must(err)
	b.must(f.Truncate(1 << 40)) // would take ten minutes, which no test has
	b.must(f.Close())
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	s := b.scanCtx(ctx, Options{Workers: 1, hook: func(stage, path string) {
		if stage == "hash" && strings.HasSuffix(path, "1-large") {
			time.AfterFunc(20*time.Millisecond, cancel)
		}
	}})
	if !errors.Is(s.err, context.Canceled) || len(s.fails) != 0 {
		t.Errorf("%v, %v", s.err, s.fails)
	}
	if _, _, err := b.ix.ByPath(filepath.Join(b.dir, "0")); err != nil {
		t.Errorf("what was finished is lost: %v", err)
	}
	if drafts, _ := filepath.Glob(filepath.Join(b.trees.dir, "*")); len(drafts) != 0 {
		t.Errorf("left %q", drafts)
	}
}

// TestIndexFails: an index that takes nothing ends the scan with its error.
func TestIndexFails(t *testing.T) {
	b := newBench(t)
	for i := range 50 {
		b.write(fmt.Sprint(i), "x")
	}
	ix, err := index.Open(filepath.Join(b.TempDir(), "index"), index.Options{})
	b.must(err)
	b.must(ix.Close())
	r, err := Scan(b.Context(), ix, Options{Paths: []string{b.dir}}, nil, nil)
	if err == nil || r.Files != 0 || r.Failed != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = Scan(b.Context(), ix, Options{Paths: []string{b.dir}, Rehash: true}, nil, nil); err == nil || r.Files != 0 {
		t.Errorf("only recording fails: %+v, %v", r, err)
	}
}

// Nothing of the state folder is taken, however one comes to it; folders in it can be named, as those of mirrors are.
func TestPrivate(t *testing.T) {
	b := newBench(t)
	b.write("keep", "k")
	b.write("state/key.json", "secret")
	b.write("state/mirrors/m/file", "f")
	state := filepath.Join(b.dir, "state")
	if runtime.GOOS != "windows" {
		b.must(os.Symlink("state", filepath.Join(b.dir, "to-folder")))
		b.must(os.Symlink("state/key.json", filepath.Join(b.dir, "to-file")))
	}
	s := b.scan(Options{Private: state, FollowLinks: true})
	if got := s.rels(); !slices.Equal(got, []string{"keep"}) || s.skips["state"] != Private {
		t.Errorf("seeded %q, skipped %v", got, s.skips)
	}
	for _, path := range []string{state, filepath.Join(state, "key.json"), filepath.Join(b.dir, "to-folder"), filepath.Join(b.dir, "to-file")} {
		if s := b.scan(Options{Private: state, Paths: []string{path}}); s.Files != 0 || s.Failed != 1 {
			t.Errorf("%s: %+v", path, s.Report)
		}
	}
	if s := b.scan(Options{Private: state, Paths: []string{filepath.Join(state, "mirrors", "m")}}); s.Files != 1 {
		t.Errorf("a mirror's folder: %+v", s.Report)
	}
	looked := 0
	see := func(s Sight) {
		if !s.Folder {
			looked++
		}
	}
	if err := Look(t.Context(), Options{Private: state, Paths: []string{b.dir}, FollowLinks: true}, see, nil); err != nil || looked != 1 {
		t.Errorf("a look: %d files, %v", looked, err)
	}
}
