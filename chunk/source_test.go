package chunk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

func writeFile(t testing.TB, path string, data []byte) Stamp {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return stampAt(t, path)
}

func stampAt(t testing.TB, path string) Stamp {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return StampOf(fi)
}

func TestOpenRegular(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file\n\xff")
	want := writeFile(t, file, []byte("text"))
	f, stamp, err := OpenRegular(file)
	if err != nil || stamp != want || stamp.Size != 4 || stamp.Mtime == 0 {
		t.Fatalf("%+v, %v", stamp, err)
	}
	f.Close()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, link} {
		if _, _, err := OpenRegular(path); !errors.Is(err, ErrNotRegular) {
			t.Errorf("%q: %v", path, err)
		}
		if _, err := (osFS{}).Open(path); !errors.Is(err, ErrNotRegular) {
			t.Errorf("for writing %q: %v", path, err)
		}
	}
	if _, _, err := OpenRegular(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestSourcesChange changes a file in every way between two reads.
func TestSourcesChange(t *testing.T) {
	old := []byte("what was hashed")
	later := func(t *testing.T, path string) { // a file system with coarse time may not see a change within a tick
		then := time.Now().Add(time.Hour)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(t *testing.T, path string){
		"append":   func(t *testing.T, path string) { writeFile(t, path, append(old, '.')) },
		"truncate": func(t *testing.T, path string) { writeFile(t, path, nil) },
		"edit":     func(t *testing.T, path string) { writeFile(t, path, []byte("WHAT was hashed")); later(t, path) },
		"touch":    later,
		"replace": func(t *testing.T, path string) {
			writeFile(t, path+"2", old)
			if err := os.Rename(path+"2", path); err != nil {
				t.Fatal(err)
			}
		},
		"link": func(t *testing.T, path string) {
			if err := errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for _, opened := range []bool{true, false} {
			t.Run(fmt.Sprint(name, opened), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "file")
				stamp := writeFile(t, path, old)
				s := NewSources(0)
				defer s.Close()
				got := make([]byte, 100)
				if opened {
					if n, err := s.ReadAt(path, stamp, got, 5); string(got[:n]) != "was hashed" || err != io.EOF {
						t.Fatalf("%q, %v", got[:n], err)
					}
				}
				clear(got)
				change(t, path)
				n, err := s.ReadAt(path, stamp, got, 0)
				if n != 0 || !errors.Is(err, ErrChanged) && !errors.Is(err, ErrNotRegular) || s.Len() != 0 {
					t.Errorf("%d bytes, %v, %d open", n, err, s.Len())
				}
				for _, b := range got {
					if b != 0 {
						t.Fatalf("bytes were given out: %q", got)
					}
				}
				if name == "link" {
					return
				}
				if n, err := s.ReadAt(path, stampAt(t, path), got[:1], 0); err != nil && name != "truncate" {
					t.Errorf("with the new stamp: %d, %v", n, err)
				}
			})
		}
	}
}

// TestSourcesReplaced asks for a new file while the old one of that name is still open.
func TestSourcesReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	s := NewSources(2)
	defer s.Close()
	got := make([]byte, 3)
	for _, text := range []string{"one", "two", "six"} {
		writeFile(t, path+"2", []byte(text))
		if err := os.Rename(path+"2", path); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadAt(path, stampAt(t, path), got, 0); err != nil || string(got) != text {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

func TestSourcesBound(t *testing.T) {
	dir := t.TempDir()
	s := NewSources(3)
	open := 0
	s.open = func(path string) (*os.File, Stamp, error) {
		open++
		return OpenRegular(path)
	}
	read := func(i int) {
		t.Helper()
		path := filepath.Join(dir, fmt.Sprint(i))
		stamp := writeFileOnce(t, path)
		if _, err := s.ReadAt(path, stamp, make([]byte, 1), 0); err != nil {
			t.Fatal(err)
		}
		if s.Len() > 3 {
			t.Fatalf("%d descriptors", s.Len())
		}
	}
	for _, step := range []struct{ file, opened int }{{1, 1}, {2, 2}, {3, 3}, {1, 3}, {4, 4}, {1, 4}, {3, 4}, {2, 5}} {
		if read(step.file); open != step.opened {
			t.Fatalf("file %d: %d were opened, want %d", step.file, open, step.opened)
		}
	}
	s.Forget(filepath.Join(dir, "1"))
	s.Forget(filepath.Join(dir, "none"))
	if s.Len() != 2 {
		t.Errorf("%d descriptors after Forget", s.Len())
	}
	s.Close()
	s.Close()
	if _, err := s.ReadAt(filepath.Join(dir, "1"), Stamp{}, make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) || s.Len() != 0 {
		t.Errorf("after Close: %v, %d descriptors", err, s.Len())
	}
}

func writeFileOnce(t *testing.T, path string) Stamp {
	if _, err := os.Lstat(path); err != nil {
		return writeFile(t, path, []byte("x"))
	}
	return stampAt(t, path)
}

// TestSourcesTooMany lets the system refuse descriptors while more than two are open.
func TestSourcesTooMany(t *testing.T) {
	dir := t.TempDir()
	s := NewSources(100)
	defer s.Close()
	limit := 2
	s.open = func(path string) (*os.File, Stamp, error) {
		if s.Len() >= limit {
			return nil, Stamp{}, &fs.PathError{Op: "open", Path: path, Err: syscall.EMFILE}
		}
		return OpenRegular(path)
	}
	for i := range 10 {
		path := filepath.Join(dir, fmt.Sprint(i))
		if _, err := s.ReadAt(path, writeFileOnce(t, path), make([]byte, 1), 0); err != nil {
			t.Fatal(err)
		}
	}
	limit = 0
	if _, err := s.ReadAt(filepath.Join(dir, "0"), stampAt(t, filepath.Join(dir, "0")), make([]byte, 1), 0); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("nothing left to close: %v", err)
	}
}

func TestSourcesConcurrent(t *testing.T) {
	dir := t.TempDir()
	s := NewSources(2)
	paths, stamps := make([]string, 5), make([]Stamp, 5)
	for i := range paths {
		paths[i] = filepath.Join(dir, fmt.Sprint(i))
		stamps[i] = writeFile(t, paths[i], []byte{byte(i)})
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for k := range 200 {
				i := (k*7 + g) % len(paths)
				var got [1]byte
				if _, err := s.ReadAt(paths[i], stamps[i], got[:], 0); err != nil || got[0] != byte(i) {
					t.Errorf("file %d: %v, %v", i, got, err)
					return
				}
				if k%50 == 0 {
					s.Forget(paths[i])
				}
			}
		})
	}
	wg.Wait()
	s.Close()
}
