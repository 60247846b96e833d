package node

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/internal/netsim"
	"sharer/seed"
)

// pair is a node that seeds a folder and one that knows its address, on loopback.
func pair(t *testing.T, files map[string]string) (from, to *Node, f folder.Folder) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	start := func(c Config) *Node {
		c.Listen, c.Isolated = []string{"127.0.0.1:0"}, true
		n, err := Start(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
		return n
	}
	from = start(Config{StateDir: t.TempDir()})
	var list []folder.File
	_, err := from.Seed(t.Context(), seed.Options{Paths: []string{dir}}, func(e seed.Event) {
		if s := e.File; e.Kind == seed.FileDone {
			list = append(list, folder.File{Path: filepath.ToSlash(s.Rel), Size: s.Content.Size, BLAKE3: s.Content.BLAKE3, SHA256: s.Content.SHA256})
			if s.Root != dir {
				t.Errorf("%s is said to lie in %s", s.Path, s.Root)
			}
		}
	})
	if err == nil {
		f, err = folder.New("x", list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return from, start(Config{Peers: []netip.AddrPort{from.Addrs()[0]}}), f
}

// fetch gets files and returns what became of each.
func fetch(t *testing.T, n *Node, g GetFolder) map[string]FolderFile {
	t.Helper()
	done := map[string]FolderFile{}
	g.Done = func(f FolderFile) {
		if _, twice := done[f.File.Path]; twice {
			t.Errorf("%s is told of twice", f.File.Path)
		}
		done[f.File.Path] = f
	}
	last := FolderProgress{}
	g.Progress = func(p FolderProgress) {
		if p.Files < last.Files || p.Done > p.Total {
			t.Errorf("%+v after %+v", p, last)
		}
		last = p
	}
	if g.FindTimeout == 0 {
		g.FindTimeout = 10 * time.Second
	}
	if err := n.GetFolder(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if len(done) != len(g.Files) || last.Files != len(g.Files) {
		t.Errorf("%d of %d files are told of, the last progress is %+v", len(done), len(g.Files), last)
	}
	return done
}

func TestFolderThereAndBack(t *testing.T) {
	files := map[string]string{"a": "hello", "sub/b": strings.Repeat("x", 300_000), "sub/again": "hello", "sub/deep/er": "", "z": "hello"}
	from, to, f := pair(t, files)
	sums, err := from.ReplaceFolder(t.Context(), "x", f)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := from.ReplaceFolder(t.Context(), "x", f); err != nil || again != sums {
		t.Errorf("%v, %v after %v", again, err, sums)
	}
	get := Get{ID: chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}, FindTimeout: 10 * time.Second}
	read, err := to.ReadFolder(t.Context(), get)
	if err != nil || len(read.Files) != len(files) || read.Name != "x" {
		t.Fatalf("%v, %v", read, err)
	}
	// The manifest is a content by both ids, and who has read it gives it on.
	for _, id := range []chunk.ID{get.ID, {Kind: chunk.SHA256, Hash: sums.SHA256}, {Kind: chunk.BLAKE3Tree, Hash: sums.BLAKE3}} {
		for _, n := range []*Node{from, to} {
			if c, ok := n.library.Find(id); !ok || id.Kind != chunk.BLAKE3Tree && c.Size() != sums.Size {
				t.Errorf("%s is not offered", id)
			}
		}
	}
	dir := filepath.Join(t.TempDir(), "new", "dir")
	done := fetch(t, to, GetFolder{Files: read.Files, Dir: dir})
	fetched := int64(0)
	for name, text := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != text || done[name].Err != nil || done[name].Existed {
			t.Errorf("%s: %v, %+v", name, err, done[name])
		}
		fetched += done[name].Fetched
	}
	if fetched != 300_005 { // "hello" once
		t.Errorf("%d bytes were fetched", fetched)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 3 {
		t.Errorf("%v, %v", left, err)
	}
	for name, f := range fetch(t, to, GetFolder{Files: read.Files, Dir: dir}) {
		if !f.Existed || f.Err != nil {
			t.Errorf("%s again: %+v", name, f)
		}
	}
}

// What a manifest and the target may hold against us: each is one file's failure, and the others arrive.
func TestFolderHostile(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16)
	_, to, f := pair(t, map[string]string{"good": "good", "huge": big, "less": "less", "other": "other", "there": "there", "in/trap": "trap", "dir": "dir", "sum": "sum"})
	for i := range f.Files {
		switch file := &f.Files[i]; file.Path {
		case "huge":
			file.Size = 10 // it is 1 MiB
		case "less":
			file.Size = 1 << 40
		case "sum":
			file.SHA256[0]++
		}
	}
	dir, out := t.TempDir(), t.TempDir()
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "there"), []byte("mine!"), 0o666),
		os.Mkdir(filepath.Join(dir, "dir"), 0o777),
		os.Symlink(out, filepath.Join(dir, "in")),
	} {
		if err != nil {
			t.Skipf("skipped: %v", err) // links need a right on Windows
		}
	}
	done := fetch(t, to, GetFolder{Files: f.Files, Dir: dir})
	for name, want := range map[string]error{"good": nil, "other": nil, "huge": ErrIntegrity, "less": ErrIntegrity, "sum": ErrIntegrity, "there": ErrExists, "dir": ErrExists} {
		if !errors.Is(done[name].Err, want) {
			t.Errorf("%s: %v, want %v", name, done[name].Err, want)
		}
	}
	if done["in/trap"].Err == nil {
		t.Error("a link out of the folder was followed")
	}
	if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
		t.Errorf("written outside: %v, %v", left, err)
	}
	for _, name := range []string{"huge", "less", "sum"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "there")); err != nil || string(text) != "mine!" {
		t.Errorf("%q, %v", text, err)
	}
	done = fetch(t, to, GetFolder{Files: f.Files, Dir: dir, Force: true})
	if text, err := os.ReadFile(filepath.Join(dir, "there")); err != nil || string(text) != "there" || done["dir"].Err == nil {
		t.Errorf("with Force: %q, %v, %v", text, err, done["dir"].Err)
	}
}

// A stage that is a link leads nowhere.
func TestFolderStageIsALink(t *testing.T) {
	_, to, f := pair(t, map[string]string{"a": "a"})
	dir, out := t.TempDir(), t.TempDir()
	if err := os.Symlink(out, filepath.Join(dir, folder.Stage)); err != nil {
		t.Skipf("skipped: %v", err)
	}
	if err := to.GetFolder(t.Context(), GetFolder{Files: f.Files, Dir: dir}); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
}

// Who has nobody to ask does not wait once for each file.
func TestFolderNobodyThere(t *testing.T) {
	var files []folder.File
	for i := range 1000 {
		files = append(files, folder.File{Path: strings.Repeat("x", 1+i%200) + "/" + string(rune('a'+i/200)), Size: 1, BLAKE3: chunk.RootOfBlock([]byte{byte(i), byte(i >> 8)})})
	}
	synctest.Test(t, func(t *testing.T) {
		w := netsim.New(1, netsim.Link{})
		defer w.Close()
		n, err := Start(Config{Conn: w.Host(netip.MustParseAddrPort("192.0.2.1:24254"))})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		begun := time.Now()
		for name, f := range fetch(t, n, GetFolder{Files: files, Dir: t.TempDir(), FindTimeout: 300 * time.Millisecond}) {
			if !errors.Is(f.Err, ErrNotFound) {
				t.Fatalf("%s: %v", name, f.Err)
			}
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// An interrupted one goes on where it was.
func TestFolderGoesOn(t *testing.T) {
	_, to, f := pair(t, map[string]string{"a": "first", "b": strings.Repeat("second", 1_000_000)})
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	err := to.GetFolder(ctx, GetFolder{Files: f.Files, Dir: dir, Jobs: 1, FindTimeout: 10 * time.Second, Done: func(FolderFile) {}, Progress: func(p FolderProgress) {
		if p.Done > 5 {
			stop()
		}
	}})
	if _, there := os.Lstat(filepath.Join(dir, "b")); there == nil {
		t.Skip("skipped: it was faster than its first look")
	}
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	done := fetch(t, to, GetFolder{Files: f.Files, Dir: dir})
	if !done["a"].Existed || done["b"].Err != nil || done["b"].Resumed == 0 {
		t.Errorf("%+v", done)
	}
}

// What a crash has left in the stage is gone once its contents are in their places, and a partial file or
// one of another build does no harm; what may be gone on with stays.
func TestFolderLeftovers(t *testing.T) {
	_, to, f := pair(t, map[string]string{"a": "first", "b": "second", "c": "third"})
	dir := t.TempDir()
	stage := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, folder.Stage, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	stage(f.Files[0].BLAKE3.String(), "first")                                        // its name was given, and the old one was not taken yet
	stage(f.Files[1].BLAKE3.String()+".part", "se")                                   // it was being written
	stage(f.Files[2].BLAKE3.String()+".part.sharer", "")                              // of a build that kept one
	stage(chunk.RootOfBlock([]byte("of another folder")).String()+".part", "another") // is nothing of ours
	for name, got := range fetch(t, to, GetFolder{Files: f.Files, Dir: dir}) {
		if got.Err != nil || got.Existed != (name == "a") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, folder.Stage))
	if err != nil || len(left) != 1 {
		t.Fatalf("left: %v, %v", left, err)
	}
	if err := os.Remove(filepath.Join(dir, folder.Stage, left[0].Name())); err != nil {
		t.Fatal(err)
	}
	stage(f.Files[0].BLAKE3.String()+".copy", "fi")
	fetch(t, to, GetFolder{Files: f.Files, Dir: dir})
	if _, err := os.Lstat(filepath.Join(dir, folder.Stage)); err == nil {
		t.Error("the stage stays though all is there")
	}
}
