package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/folder"
)

// contents is a store of a few files.
type contents struct {
	dir   string
	paths map[chunk.Hash]string
}

func newContents(t *testing.T) *contents {
	return &contents{dir: t.TempDir(), paths: map[chunk.Hash]string{}}
}

func (c *contents) add(t *testing.T, path, text string) folder.File {
	t.Helper()
	sums, err := chunk.Sum(t.Context(), strings.NewReader(text), int64(len(text)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(c.dir, sums.BLAKE3.String())
	if _, ok := c.paths[sums.BLAKE3]; !ok {
		if err := os.WriteFile(name, []byte(text), 0o444); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Unix(1700000000, 0), time.Unix(1700000000, 0)); err != nil {
			t.Fatal(err)
		}
		c.paths[sums.BLAKE3] = name
	}
	return folder.File{Path: path, Size: sums.Size, BLAKE3: sums.BLAKE3, SHA256: sums.SHA256, Mtime: 1700000000}
}

func (c *contents) from(f folder.File) (string, error) { return c.paths[f.BLAKE3], nil }

// version makes files that all say which version they are of.
func (c *contents) version(t *testing.T, n int) (Head, Files) {
	t.Helper()
	var files []folder.File
	for _, path := range []string{"a", "d/b", "d/e/c", "z"} {
		files = append(files, c.add(t, path, fmt.Sprintf("version %d of %s", n, path)))
	}
	files = append(files, c.add(t, "same", "the same in all"))
	f, err := folder.New("v", files)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := f.Pages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return Head{Seq: int64(n), ID: pages[0].Sums.BLAKE3}, list(f.Files)
}

func list(files []folder.File) Files {
	return func(visit func(folder.File) error) error {
		for _, f := range files {
			if err := visit(f); err != nil {
				return err
			}
		}
		return nil
	}
}

// look reads the tree through its pointer, as a reader does, and returns the number of the version.
func look(t *testing.T, tree *Tree) int {
	t.Helper()
	v, there, err := tree.Current()
	if err != nil {
		t.Fatal(err)
	}
	if !there {
		return 0
	}
	n := 0
	for _, path := range []string{"a", "d/b", "d/e/c", "z"} {
		text, err := os.ReadFile(filepath.Join(tree.Dir(v.Head), filepath.FromSlash(path)))
		if err != nil {
			t.Fatalf("the current version lacks a file: %v", err)
		}
		var of string
		var k int
		if _, err := fmt.Sscanf(string(text), "version %d of %s", &k, &of); err != nil || of != path || n != 0 && k != n {
			t.Fatalf("a mixture: %s holds %q beside version %d", path, text, n)
		}
		n = k
	}
	if text, err := os.ReadFile(filepath.Join(tree.Dir(v.Head), "same")); err != nil || string(text) != "the same in all" {
		t.Fatalf("same: %q, %v", text, err)
	}
	return n
}

// orphans are what no whole version is made of.
func orphans(t *testing.T, tree *Tree) (found []string) {
	t.Helper()
	current, there, err := tree.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{tree.dir, tree.path(versionsDir)} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			h, whole := parseHead(e.Name())
			switch {
			case e.Name() == versionsDir, e.Name() == tree.pointerName():
			case whole && there && !h.after(current.Head):
			default:
				found = append(found, e.Name())
			}
		}
	}
	return found
}

// quick syncs nothing: in these tests processes end, not machines.
func quick(string) error { return nil }

var errKilled = errors.New("killed")

// kinds are the ways in which a file system lets a tree be made.
var kinds = []struct {
	name           string
	plain, pointer bool
}{{"links", false, false}, {"copies and a pointer file", true, true}}

// TestKilledAtEachStep ends the world ahead of each step of a first version and of a switch. What is there then
// is one version, whole; and once the tree was opened again nothing is left over, and the switch can be done.
func TestKilledAtEachStep(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			c := newContents(t)
			steps := 0
			for k := 0; ; k++ {
				dir := filepath.Join(t.TempDir(), "m")
				var done []string
				before := func(op, path string) error {
					if len(done) >= k {
						return errKilled
					}
					done = append(done, op)
					return nil
				}
				was, killed := 0, false
				tree, err := openTree(dir, ops{before: before, sync: quick, plain: kind.plain}, kind.pointer)
				if err != nil {
					t.Fatal(err)
				}
				for n := 1; n <= 2 && !killed; n++ {
					h, files := c.version(t, n)
					err := change(t.Context(), tree, h, files, c.from)
					killed = errors.Is(err, errKilled)
					if err != nil && !killed {
						t.Fatal(err)
					}
					if !killed {
						was = n
					}
				}
				now := look(t, tree) // as readers see it while nobody is there
				if now != was && now != was+1 {
					t.Fatalf("killed after %d steps: version %d, want %d or the next", k, now, was)
				}
				again, err := openTree(dir, ops{sync: quick, plain: kind.plain}, kind.pointer)
				if err != nil {
					t.Fatal(err)
				}
				if got := look(t, again); got != now {
					t.Fatalf("killed after %d steps: opened again it is version %d, was %d", k, got, now)
				}
				if left := orphans(t, again); len(left) > 0 {
					t.Fatalf("killed after %d steps (%v): left over %q", k, done, left)
				}
				h, files := c.version(t, 3)
				if err := change(t.Context(), again, h, files, c.from); err != nil {
					t.Fatal(err)
				}
				if got := look(t, again); got != 3 {
					t.Fatalf("version %d after all, want 3", got)
				}
				if !killed {
					steps = k
					break
				}
			}
			if steps < 30 {
				t.Errorf("only %d steps: the hook is not everywhere", steps)
			}
		})
	}
}

// change is what a runner does: build, switch, retire.
func change(ctx context.Context, tree *Tree, h Head, files Files, from func(folder.File) (string, error)) error {
	if err := tree.Build(ctx, h, files, from); err != nil {
		return err
	}
	if err := tree.Switch(h, time.Now()); err != nil {
		return err
	}
	_, err := tree.Retire(2, 0, time.Now())
	return err
}

// TestFullAtEachStep lets each step fail once for want of room: the version before stays, and a second try works.
func TestFullAtEachStep(t *testing.T) {
	c := newContents(t)
	for k := 0; ; k++ {
		n, failed := 0, false
		tree, err := openTree(filepath.Join(t.TempDir(), "m"), ops{sync: quick}, false)
		if err != nil {
			t.Fatal(err)
		}
		h1, files1 := c.version(t, 1)
		if err := change(t.Context(), tree, h1, files1, c.from); err != nil {
			t.Fatal(err)
		}
		tree.ops.before = func(op, path string) error {
			if n++; n == k+1 {
				failed = true
				return &fs.PathError{Op: op, Path: path, Err: syscall.ENOSPC}
			}
			return nil
		}
		h2, files2 := c.version(t, 2)
		err = change(t.Context(), tree, h2, files2, c.from)
		if failed != (err != nil) {
			t.Fatalf("step %d failed: %v, the change: %v", k, failed, err)
		}
		if got := look(t, tree); got != 1 && got != 2 {
			t.Fatalf("version %d", got)
		}
		tree.ops.before = nil
		if err := change(t.Context(), tree, h2, files2, c.from); err != nil {
			t.Fatalf("a second try after step %d: %v", k, err)
		}
		if got := look(t, tree); got != 2 {
			t.Fatalf("version %d after a second try", got)
		}
		if !failed {
			break
		}
	}
}

// TestEnds: who ends waits for no disk and for no file but the one that is being made or removed; the next start clears up.
func TestEnds(t *testing.T) {
	c := newContents(t)
	dir := filepath.Join(t.TempDir(), "m")
	tree, err := openTree(dir, ops{sync: quick}, false)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		h, files := c.version(t, n)
		if err := change(t.Context(), tree, h, files, c.from); err != nil {
			t.Fatal(err)
		}
	}
	ctx, end := context.WithCancel(t.Context())
	left := 1
	tree.ops.ending = func() bool { left--; return left < 0 }
	puts := 0
	tree.ops.before = func(op, path string) error {
		if op == "put" {
			if puts++; puts == 5 { // the last file
				end()
			}
		} else if op == "sync" && ctx.Err() != nil {
			t.Errorf("%s is synced after the end", path)
		}
		return nil
	}
	h, files := c.version(t, 3)
	if err := tree.Build(ctx, h, files, c.from); !errors.Is(err, context.Canceled) || !errors.Is(err, errEnding) {
		t.Errorf("a build that was ended: %v", err)
	}
	left = 1
	if _, err := tree.Retire(1, 0, time.Now()); !errors.Is(err, errEnding) || len(orphans(t, tree)) != 2 {
		t.Errorf("what was being removed: %v, %v", err, orphans(t, tree))
	}
	if tree, err = openTree(dir, ops{sync: quick}, false); err != nil || len(orphans(t, tree)) > 0 || look(t, tree) != 2 {
		t.Errorf("after the next start: %v, %v", err, orphans(t, tree))
	}
}

// TestRemovesNoLinkedFolder: what a link leads to, as a version that somebody has moved to another disk, is not the tree's to remove.
func TestRemovesNoLinkedFolder(t *testing.T) {
	elsewhere, dir := t.TempDir(), filepath.Join(t.TempDir(), "m")
	kept := filepath.Join(elsewhere, "file")
	if err := os.WriteFile(kept, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{filepath.Join(dir, "link"), filepath.Join(dir, "below", "link")} {
		if err := os.Symlink(elsewhere, link); err != nil {
			t.Skip("no links here: ", err)
		}
	}
	o := ops{ending: func() bool { return false }}
	for _, path := range []string{filepath.Join(dir, "link"), dir} {
		if err := o.removeAll(path); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
}

// TestRetire: versions stay for their number or their grace, and a flood does not fill the disk.
func TestRetire(t *testing.T) {
	c := newContents(t)
	tree, err := openTree(t.TempDir(), ops{sync: quick}, false)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	step := func(n int, keep int, grace time.Duration) int {
		t.Helper()
		h, files := c.version(t, n)
		if err := tree.Build(t.Context(), h, files, c.from); err != nil {
			t.Fatal(err)
		}
		if err := tree.Switch(h, at); err != nil {
			t.Fatal(err)
		}
		if _, err := tree.Retire(keep, grace, at); err != nil {
			t.Fatal(err)
		}
		vs, err := tree.Versions()
		if err != nil {
			t.Fatal(err)
		}
		return len(vs)
	}
	for n := 1; n <= 4; n++ {
		if got := step(n, 2, 0); got != min(n, 2) {
			t.Errorf("after %d versions %d are kept, want 2 at most", n, got)
		}
		at = at.Add(time.Minute)
	}
	for n := 5; n <= 8; n++ {
		step(n, 1, time.Hour)
		at = at.Add(time.Minute)
	}
	if vs, _ := tree.Versions(); len(vs) != 6 { // 3 to 8
		t.Errorf("%d versions within their grace, want 6", len(vs))
	}
	at = at.Add(time.Hour)
	if _, err := tree.Retire(1, time.Hour, at); err != nil {
		t.Fatal(err)
	}
	if vs, _ := tree.Versions(); len(vs) != 1 {
		t.Errorf("%d versions after their grace, want 1", len(vs))
	}
	for n := 9; n < 25; n++ {
		if got := step(n, 1, time.Hour); got > 1+maxGrace {
			t.Fatalf("%d versions in a flood, at most %d", got, 1+maxGrace)
		}
	}
}

// TestModes: programs can be run, nothing can be written, and two modes of one content are two files.
func TestModes(t *testing.T) {
	c := newContents(t)
	a, b := c.add(t, "plain", "text"), c.add(t, "run", "text")
	b.Executable = true
	tree, err := OpenTree(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := Head{Seq: 1, ID: a.BLAKE3}
	if err := tree.Build(t.Context(), h, list([]folder.File{a, b}), c.from); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"plain": 0o444, "run": 0o555} {
		fi, err := os.Stat(filepath.Join(tree.Dir(h), name))
		if err != nil || fi.Mode().Perm() != want || fi.ModTime().Unix() != a.Mtime {
			t.Errorf("%s: %v %v %v, want %v", name, fi.Mode(), fi.ModTime(), err, want)

		}
	}
	if _, _, err := tree.Current(); err != nil {
		t.Error(err)
	}
	if err := os.Symlink("/etc", tree.path(currentName)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tree.Current(); err == nil {
		t.Error("a link that leads elsewhere is taken for a version")
	}
}
