package atomicfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

var hows = map[string]How{
	"careful": {},
	"ordered": {Sync: Ordered},
	"lazy":    {Sync: Lazy},
	"shared":  {Shared: true},
	"open":    {Mode: 0o644},
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// only reports when a folder holds something other than one file with that text.
func only(t *testing.T, path, text string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	got, err := os.ReadFile(path)
	must(t, err)
	if len(entries) != 1 || string(got) != text {
		t.Errorf("the folder holds %v, and the file %q; want it alone, with %q", entries, got, text)
	}
}

func TestWrite(t *testing.T) {
	for name, how := range hows {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.json")
			for _, text := range []string{"first", "", "the third, longer than the first"} {
				must(t, Write(path, []byte(text), how))
				only(t, path, text)
			}
			fi, err := os.Stat(path)
			must(t, err)
			want := how.Mode
			if want == 0 {
				want = 0o600
			}
			if runtime.GOOS != "windows" && fi.Mode().Perm() != want {
				t.Errorf("mode %v, want %v", fi.Mode().Perm(), want)
			}
		})
	}
}

// What a killed process has left, longer than what comes now, is overwritten and not kept.
func TestLeftover(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	must(t, os.WriteFile(path+Suffix, bytes.Repeat([]byte("x"), 1000), 0o600))
	must(t, Write(path, []byte("text"), How{}))
	only(t, path, "text")
}

func TestNoFolder(t *testing.T) {
	for name, how := range hows {
		err := Write(filepath.Join(t.TempDir(), "gone", "a.json"), []byte("text"), how)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "gone") {
			t.Errorf("%s: %v, want that the folder is not there, and which", name, err)
		}
	}
}

// Where a folder has the name of the file, it stays, and nothing is left beside it.
func TestFolderInTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	must(t, os.MkdirAll(filepath.Join(path, "kept"), 0o700))
	for name, how := range hows {
		if err := Write(path, []byte("text"), how); err == nil {
			t.Errorf("%s: written over a folder", name)
		}
		entries, err := os.ReadDir(filepath.Dir(path))
		must(t, err)
		if len(entries) != 1 {
			t.Errorf("%s: left %v", name, entries)
		}
	}
}

// faulty makes one call fail, and notes the calls.
type faulty struct {
	file
	at  string
	did *[]string
}

func (f faulty) do(what string, call func() error) error {
	*f.did = append(*f.did, what)
	if what == f.at {
		return syscall.ENOSPC
	}
	return call()
}

func (f faulty) Write(b []byte) (n int, err error) {
	err = f.do("write", func() error { n, err = f.file.Write(b); return err })
	if err != nil && len(b) > 0 {
		n, _ = f.file.Write(b[:1]) // as a full disk does
	}
	return n, err
}
func (f faulty) Chmod(m fs.FileMode) error {
	return f.do("mode", func() error { return f.file.Chmod(m) })
}
func (f faulty) Sync() error { return f.do("sync", f.file.Sync) }
func (f faulty) Close() error {
	return errors.Join(f.do("close", func() error { return nil }), f.file.Close())
}

func failing(at string, did *[]string) calls {
	wrap := func(f file, err error) (file, error) {
		x := faulty{f, at, did}
		return x, errors.Join(err, x.do("create", func() error { return nil }))
	}
	c := system
	c.create = func(path string) (file, error) { return wrap(system.create(path)) }
	c.another = func(dir, pattern string) (file, error) { return wrap(system.another(dir, pattern)) }
	c.rename = func(from, to string) error {
		return faulty{nil, at, did}.do("rename", func() error { return system.rename(from, to) })
	}
	c.sync = func(dir string) error {
		return faulty{nil, at, did}.do("folder", func() error { return system.sync(dir) })
	}
	return c
}

// The disk is full, or fails otherwise, at each call: the old text is there and nothing beside it.
func TestFails(t *testing.T) {
	for name, how := range hows {
		for _, at := range []string{"write", "mode", "sync", "close", "rename", "folder"} {
			var did []string
			path := filepath.Join(t.TempDir(), "a.json")
			must(t, os.WriteFile(path, []byte("old"), 0o600))
			err := failing(at, &did).write(path, []byte("new"), how)
			if !slices.Contains(did, at) {
				continue // that file needs no such call: see TestOrder
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: %s failed, and Write returned %v", name, at, err)
			}
			want := "old"
			if at == "folder" {
				want = "new"
			}
			only(t, path, want)
		}
	}
}

// What makes a text survive a power cut is the order of the calls.
func TestOrder(t *testing.T) {
	for name, want := range map[string]string{
		"careful": "create write sync close rename folder",
		"ordered": "create write sync close rename",
		"lazy":    "create write close rename",
		"shared":  "create write sync close rename folder",
		"open":    "create write mode sync close rename folder",
	} {
		var did []string
		must(t, failing("", &did).write(filepath.Join(t.TempDir(), "a.json"), []byte("new"), hows[name]))
		if got := strings.Join(did, " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// Whoever writes a shared file at the same time, one text is there, whole, and readers find none that is not.
func TestShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	must(t, Write(path, bytes.Repeat([]byte("a"), 1<<16), How{Sync: Lazy}))
	var writers sync.WaitGroup
	for _, letter := range "abcd" {
		writers.Go(func() {
			for range 50 {
				if err := Write(path, bytes.Repeat([]byte(string(letter)), 1<<16), How{Sync: Lazy, Shared: true}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		got, err := os.ReadFile(path)
		must(t, err)
		if len(got) != 1<<16 || bytes.Count(got, got[:1]) != len(got) {
			t.Fatalf("%d bytes of more than one text", len(got))
		}
	}
	writers.Wait()
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	if len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
}
