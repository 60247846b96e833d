package index

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sharer/chunk"
)

// numbered makes content number n at a path.
func numbered(n int, path string) Entry {
	var e Entry
	binary.BigEndian.PutUint64(e.Content.SHA256[:], uint64(n)*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(e.Content.BLAKE3[:], uint64(n)*0xC2B2AE3D27D4EB4F)
	e.Content.SHA256[31], e.Content.BLAKE3[31] = byte(n), byte(n)
	e.Content.Size = int64(n) * 1000
	e.Place = Place{path, chunk.Stamp{Size: int64(n) * 1000, Mtime: 1e18 + int64(n), Ctime: -5, Ino: uint64(n), Dev: 1 << 63}}
	return e
}

func ids(c Content) []chunk.ID {
	return []chunk.ID{{Kind: chunk.SHA256, Hash: c.SHA256}, {Kind: chunk.BLAKE3, Hash: c.BLAKE3}, {Kind: chunk.BLAKE3Tree, Hash: c.BLAKE3}}
}

func openTemp(t testing.TB) (*Index, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index")
	ix, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ix.Close(); err != nil {
			t.Error(err)
		}
	})
	return ix, path
}

func under(t testing.TB, ix *Index, prefix string) (paths []string) {
	t.Helper()
	if err := ix.Under(prefix, func(e Entry) error { paths = append(paths, e.Place.Path); return nil }); err != nil {
		t.Fatal(err)
	}
	return paths
}

// What was read at a path, and is found to be gone from there, is forgotten unless the path has been recorded anew since.
func TestForgetPlace(t *testing.T) {
	ix, _ := openTemp(t)
	old, anew := numbered(1, "/d/a"), numbered(2, "/d/a")
	for _, c := range []struct {
		there []Entry
		place Place
		ok    bool
		left  int
	}{
		{nil, old.Place, true, 0},
		{[]Entry{old, numbered(3, "/d/b")}, old.Place, true, 1},
		{[]Entry{old, anew}, old.Place, false, 2},
		{nil, anew.Place, true, 1},
	} {
		if err := ix.Put(c.there); err != nil {
			t.Fatal(err)
		}
		ok, err := ix.ForgetPlace(c.place)
		if left := under(t, ix, "/d"); err != nil || ok != c.ok || len(left) != c.left {
			t.Errorf("%+v: %t, %v; left %q", c.place, ok, err, left)
		}
	}
}

func TestPlaces(t *testing.T) {
	ix, _ := openTemp(t)
	odd := "/d/\xff\n" + strings.Repeat("x", 3000)
	one, two := numbered(1, "/d/one"), numbered(2, "/d/two")
	if err := ix.Put([]Entry{two, one, numbered(1, odd), numbered(1, "/d"), numbered(3, "/d-e/x"), numbered(3, "/dd")}); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids(one.Content) {
		c, places, err := ix.Lookup(id)
		if err != nil || c != one.Content || len(places) != 3 || places[0].Path != "/d" || places[1] != one.Place || places[2].Path != odd {
			t.Errorf("Lookup(%v) = %v, %v, %v", id, c, places, err)
		}
	}
	if c, p, err := ix.ByPath("/d/two"); err != nil || c != two.Content || p != two.Place {
		t.Errorf("ByPath = %v, %v, %v", c, p, err)
	}
	for prefix, want := range map[string][]string{
		"/d":     {"/d", "/d/one", "/d/two", odd},
		"/d/":    {"/d", "/d/one", "/d/two", odd},
		"/d/one": {"/d/one"},
		"/d/o":   nil,
		"/x":     nil,
		"/":      {"/d", "/d-e/x", "/d/one", "/d/two", odd, "/dd"},
	} {
		if got := under(t, ix, prefix); !slices.Equal(got, want) {
			t.Errorf("Under(%q) = %.60q, want %.60q", prefix, got, want)
		}
	}

	// A path that gets another content leaves its old one; the content goes with its
	// last place.
	three := numbered(3, "/d/two")
	if err := ix.Put([]Entry{numbered(9, "/d/two"), three}); err != nil {
		t.Fatal(err)
	}
	for _, gone := range append(ids(two.Content), ids(numbered(9, "").Content)...) {
		if _, _, err := ix.Lookup(gone); !errors.Is(err, ErrNotFound) {
			t.Errorf("Lookup(%v) after it was replaced: %v", gone, err)
		}
	}
	for _, p := range []string{"/d", "/d/one", odd, "/d/one", "/never"} {
		if err := ix.Forget(p); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := ix.Lookup(ids(one.Content)[1]); !errors.Is(err, ErrNotFound) {
		t.Errorf("Lookup after the last place went: %v", err)
	}
	if c, p, err := ix.Count(); c != 1 || p != 3 || err != nil {
		t.Errorf("Count = %d, %d, %v", c, p, err)
	}
	if _, _, err := ix.Lookup(chunk.ID{}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	for _, e := range []Entry{numbered(1, ""), numbered(1, "/"+strings.Repeat("x", maxPath)), numbered(-1, "/x")} {
		if ix.Put([]Entry{e}) == nil {
			t.Errorf("Put took a path of %d bytes, size %d", len(e.Place.Path), e.Content.Size)
		}
	}
}

func TestManyPlaces(t *testing.T) {
	ix, _ := openTemp(t)
	var es []Entry
	for i := range 600 {
		es = append(es, numbered(1, fmt.Sprintf("/p/%04d", i)))
	}
	if err := ix.Put(es); err != nil {
		t.Fatal(err)
	}
	if _, places, err := ix.Lookup(ids(es[0].Content)[0]); err != nil || len(places) != MaxPlaces {
		t.Errorf("%d places, %v", len(places), err)
	}
	// fn may write while it is walked.
	n := 0
	err := ix.Each(func(e Entry) error { n++; return ix.Forget(e.Place.Path) })
	if c, p, _ := ix.Count(); n != len(es) || err != nil || c != 0 || p != 0 {
		t.Errorf("visited %d, %v; left %d contents at %d places", n, err, c, p)
	}
	stop := errors.New("stop")
	if err := ix.Put(es[:2]); err != nil {
		t.Fatal(err)
	}
	if err := ix.Each(func(Entry) error { return stop }); err != stop {
		t.Error(err)
	}
}

func TestLocked(t *testing.T) {
	ix, path := openTemp(t)
	start := time.Now()
	if _, err := Open(path, Options{Timeout: 60 * time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Fatalf("second Open: %v", err)
	}
	if d := time.Since(start); d < 50*time.Millisecond {
		t.Errorf("took %v", d)
	}
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, Options{})
	if err != nil || again.Recovered() != "" {
		t.Fatalf("%v, recovered %q", err, again.Recovered())
	}
	again.Close()
}

// held keeps the child's index from being collected, which would close its file.
var held *Index

// TestLockedByProcess: the lock is between processes, and dies with its holder.
func TestLockedByProcess(t *testing.T) {
	if path := os.Getenv("INDEX_HOLD"); path != "" {
		var err error
		if held, err = Open(path, Options{}); err != nil {
			fmt.Println(err)
		}
		fmt.Println("held")
		select {}
	}
	path := filepath.Join(t.TempDir(), "index")
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockedByProcess$")
	cmd.Env = append(os.Environ(), "INDEX_HOLD="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Errorf("child says %q, %v", line, err)
	}
	if _, err := Open(path, Options{Timeout: time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("Open while a child has it: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	ix, err := Open(path, Options{})
	if err != nil || ix.Recovered() != "" {
		t.Fatalf("after the child was killed: %v", err)
	}
	ix.Close()
}

func TestOpenRefusals(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "no", "index"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Open(dir, Options{}); err == nil {
		t.Error("opened a folder")
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("left %v", names)
	}
}

func FuzzRecord(f *testing.F) {
	e := numbered(7, "/a/b")
	key := contentKey(e.Content.BLAKE3, e.Place.Path)
	f.Add(byte(tableContents), key, appendContent(nil, key, &e))
	f.Add(byte(tablePlaces), []byte(e.Place.Path), appendHashRef(nil, tablePlaces, []byte(e.Place.Path), &e.Content.BLAKE3))
	f.Add(byte(tableSHA256), e.Content.SHA256[:], appendHashRef(nil, tableSHA256, e.Content.SHA256[:], &e.Content.BLAKE3))
	f.Fuzz(func(t *testing.T, table byte, key, value []byte) {
		if checkRecord(int(table), key, value) != nil {
			// As it came it is refused; with the right checksum the rest must hold.
			if len(value) < crcLen {
				return
			}
			value = seal(slices.Clone(value[:len(value)-crcLen]), 0, int(table), key)
			if checkRecord(int(table), key, value) != nil {
				return
			}
		}
		// What is accepted decodes, encodes to the same bytes, and no bit of it counts for nothing.
		var again []byte
		switch table {
		case tableContents:
			e, err := decodeContent(key, value)
			if err != nil || e.validate() != nil {
				t.Fatal(e, err)
			}
			again = appendContent(nil, key, &e)
		case tablePlaces, tableSHA256:
			h, err := decodeHashRef(int(table), key, value)
			if err != nil {
				t.Fatal(err)
			}
			again = appendHashRef(nil, int(table), key, &h)
		default:
			t.Fatalf("table %d accepted", table)
		}
		if !reflect.DeepEqual(again, value) {
			t.Fatalf("%x -> %x", value, again)
		}
		for i := range value {
			value[i] ^= 1 << (i % 8)
			if checkRecord(int(table), key, value) == nil {
				t.Fatalf("flip in byte %d accepted", i)
			}
			value[i] ^= 1 << (i % 8)
		}
		for n := range value {
			if checkRecord(int(table), key, value[:n]) == nil {
				t.Fatalf("prefix of %d bytes accepted", n)
			}
		}
	})
}

func manyEntries(n int) []Entry {
	es := make([]Entry, n)
	for i := range es {
		es[i] = numbered(i+1, fmt.Sprintf("/usr/local/go/src/package%03d/internal/file_%05d.go", i%200, i))
	}
	return es
}

// BenchmarkPut records 11,500 new entries, the size of a Go source tree, in batches
// of 1000, each flushed.
func BenchmarkPut(b *testing.B) {
	es := manyEntries(11500)
	for b.Loop() {
		b.StopTimer()
		ix, _ := openTemp(b)
		b.StartTimer()
		for batch := range slices.Chunk(es, 1000) {
			if err := ix.Put(batch); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	ix, path := openTemp(b)
	for batch := range slices.Chunk(manyEntries(11500), 1000) {
		if err := ix.Put(batch); err != nil {
			b.Fatal(err)
		}
	}
	ix.Close()
	for b.Loop() {
		ix, err := Open(path, Options{})
		if err != nil || ix.Recovered() != "" {
			b.Fatal(err)
		}
		ix.Close()
	}
}

func BenchmarkByPath(b *testing.B) {
	ix, _ := openTemp(b)
	es := manyEntries(11500)
	for batch := range slices.Chunk(es, 1000) {
		if err := ix.Put(batch); err != nil {
			b.Fatal(err)
		}
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ix.ByPath(es[i%len(es)].Place.Path); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
