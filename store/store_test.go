package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharer/chunk"
)

// roomy is a disk that is never full.
func roomy(string) (int64, int64, error) { return 1 << 40, 1 << 40, nil }

func open(t testing.TB, dir string, o Options) *Disk {
	t.Helper()
	if o.Space == nil {
		o.Space = roomy
	}
	d, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func put(t testing.TB, d *Disk, name, text string) chunk.Sums {
	t.Helper()
	sums, err := d.Put(context.Background(), name, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func byBLAKE3(s chunk.Sums) chunk.ID { return chunk.ID{Kind: chunk.BLAKE3, Hash: s.BLAKE3} }

// files are all files below a folder.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestKeepsWhatWasPut(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, Options{})
	sums := put(t, d, "a name\r\n../../x", "some bytes")
	for _, id := range []chunk.ID{byBLAKE3(sums), {Kind: chunk.SHA256, Hash: sums.SHA256}} {
		e, ok := d.Find(id)
		if !ok || e.Name != "a name\r\n../../x" || e.Sums != sums {
			t.Errorf("%s: %+v, %v", id, e, ok)
		}
		if got, err := os.ReadFile(e.Path); string(got) != "some bytes" || err != nil {
			t.Errorf("%s holds %q, %v", e.Path, got, err)
		}
	}
	if d.Has(chunk.ID{Kind: chunk.BLAKE3Tree, Hash: sums.BLAKE3}) {
		t.Error("it has a tree")
	}
	again := put(t, d, "another", "some bytes")
	if n, _ := d.Usage(); again != sums || n != sums.Size {
		t.Errorf("put twice: %d bytes", n)
	}
	if len(files(t, dir)) != 2 {
		t.Errorf("files: %v", files(t, dir))
	}
	if d = open(t, dir, Options{}); !d.Has(byBLAKE3(sums)) {
		t.Error("it is gone after the next start")
	}
}

// What a crash, a disk or somebody else left behind is removed, or shown to be what it is called.
func TestStartsFromAnyFolder(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, Options{})
	whole, changed, other := put(t, d, "", "whole"), put(t, d, "", "changed"), put(t, d, "", "other")
	path := func(s chunk.Sums) string { p, _ := d.PathOf(byBLAKE3(s)); return p }
	steps := []error{
		os.Remove(path(whole) + metaSuffix),
		os.WriteFile(path(changed), []byte("chanted"), 0o600),
		os.WriteFile(path(other)+metaSuffix, []byte("{"), 0o600),
		os.WriteFile(filepath.Join(dir, "temp", "upload-1"), []byte("half"), 0o600),
		os.WriteFile(path(whole)+".part", []byte("arrives"), 0o600),
		os.WriteFile(filepath.Join(filepath.Dir(path(whole)), strings.Repeat("0", 62)+metaSuffix), []byte("{}"), 0o600),
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	d = open(t, dir, Options{})
	for s, want := range map[chunk.Sums]bool{whole: true, changed: false, other: true} {
		if got := d.Has(byBLAKE3(s)); got != want {
			t.Errorf("%s: held %v, want %v", s.BLAKE3, got, want)
		}
	}
	if n := len(files(t, dir)); n != 5 { // two contents, what is known of them, one that arrives
		t.Errorf("%d files: %v", n, files(t, dir))
	}
}

func TestMakesRoom(t *testing.T) {
	var gone []string
	now := time.Unix(1e9, 0)
	d := open(t, t.TempDir(), Options{Quota: 30, Gone: func(e Entry) { gone = append(gone, e.Name) }, clock: func() time.Time { now = now.Add(time.Second); return now }})
	a, b, c := put(t, d, "a", "aaaaaaaaaa"), put(t, d, "b", "bbbbbbbbbb"), put(t, d, "c", "cccccccccc")
	if err := d.Pin(byBLAKE3(a), "a mirror"); err != nil {
		t.Fatal(err)
	}
	_, release, err := d.Hold(byBLAKE3(b))
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "d", "dddddddddd") // a is pinned, b is read
	if !slices.Equal(gone, []string{"c"}) || d.Has(byBLAKE3(c)) {
		t.Fatalf("gone: %v", gone)
	}
	if _, err := d.Put(context.Background(), "", strings.NewReader("eeeeeeeeeeeeeee")); !errors.Is(err, ErrQuota) {
		t.Fatalf("there is no room for 15: %v", err)
	}
	release()
	if err := d.Unpin(byBLAKE3(a), "somebody else"); err != nil {
		t.Fatal(err)
	}
	put(t, d, "e", "eeeeeeeeeeeeeee")
	if !slices.Equal(gone, []string{"c", "d", "b"}) && !slices.Equal(gone, []string{"c", "b", "d"}) {
		t.Fatalf("gone: %v", gone)
	}
}

// TestPutWhileUsed: what is put in again while others read and pin it; the race detector looks on.
func TestPutWhileUsed(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	id := byBLAKE3(put(t, d, "a", "text"))
	done := make(chan error)
	go func() {
		var errs error
		for range 50 {
			_, release, err := d.Hold(id)
			if err == nil {
				release()
			}
			errs = errors.Join(errs, err, d.Pin(id, "a"), d.Unpin(id, "a"))
		}
		done <- errs
	}()
	for range 50 {
		put(t, d, "b", "text")
	}
	if err := <-done; err != nil || len(d.List()) != 1 {
		t.Errorf("%v, %+v", err, d.List())
	}
}

// W9: what cannot be kept leaves nothing.
func TestRefusedUploadLeavesNothing(t *testing.T) {
	free := int64(1000)
	full := func(string) (int64, int64, error) { return free, 1 << 20, nil }
	broken := errors.New("the sender is gone")
	endless := io.LimitReader(zeros{}, 1<<40)
	for name, c := range map[string]struct {
		o    Options
		r    io.Reader
		want error
	}{
		"endless":     {Options{Quota: 1 << 20}, endless, ErrQuota},
		"a full disk": {Options{Space: full, MinFree: 900}, strings.NewReader(strings.Repeat("x", 200)), ErrDiskFull},
		"cut off":     {Options{}, io.MultiReader(strings.NewReader("abc"), failing{broken}), broken},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := open(t, dir, c.o)
			if _, err := d.Put(context.Background(), "", c.r); !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if left := files(t, dir); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			if n, _ := d.Usage(); n != 0 {
				t.Errorf("%d bytes are still set aside", n)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestModel compares the store with a map, over any sequence of what is done to it.
func TestModel(t *testing.T) {
	memory := ""
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		memory = "/dev/shm" // thousands of small files
	}
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(memory, "store-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &model{quota: int64(rapid.IntRange(0, 3).Draw(t, "quota")) * 40, dir: dir, has: map[string]*modelEntry{}}
		m.reopen(t)
		t.Repeat(map[string]func(*rapid.T){
			"put": m.put, "hold": m.hold, "release": m.release, "pin": m.pin, "remove": m.remove, "reopen": m.reopen, "": m.check,
		})
	})
}

type modelEntry struct {
	sums   chunk.Sums
	used   int
	pinned bool
	held   []func()
}

type model struct {
	d     *Disk
	dir   string
	quota int64
	tick  int
	has   map[string]*modelEntry
}

func (m *model) clock() time.Time { return time.Unix(1e9+int64(m.tick)*3600, 0) }

func (m *model) reopen(t *rapid.T) {
	count := 0
	err := filepath.WalkDir(m.dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			count++
		}
		return err
	})
	if err != nil || count != 2*len(m.has) {
		t.Fatal(fmt.Sprintf("%d files for %d contents", count, len(m.has)), err)
	}
	d, err := Open(m.dir, Options{Quota: m.quota, Space: roomy, clock: m.clock})
	if err != nil {
		t.Fatal(err)
	}
	m.d = d
	for _, e := range m.has {
		e.held = nil
	}
}

func (m *model) bytes() (n int64) {
	for _, e := range m.has {
		n += e.sums.Size
	}
	return n
}

// put expects room to be made from what was used longest ago, or nothing to happen.
func (m *model) put(t *rapid.T) {
	text := strings.Repeat(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "letter"), rapid.IntRange(0, 30).Draw(t, "size"))
	m.tick++
	need := m.bytes() + int64(len(text)) - m.quota
	var out []string
	if m.quota > 0 && need > 0 {
		names := slices.SortedFunc(maps.Keys(m.has), func(a, b string) int { return m.has[a].used - m.has[b].used })
		for _, n := range names {
			if e := m.has[n]; need > 0 && !e.pinned && len(e.held) == 0 && e.sums.Size > 0 {
				out = append(out, n)
				need -= e.sums.Size
			}
		}
	} else {
		need = 0
	}
	sums, err := m.d.Put(context.Background(), text, strings.NewReader(text))
	if need > 0 {
		if !errors.Is(err, ErrQuota) {
			t.Fatalf("put of %d bytes into %d of %d: %v, want no room", len(text), m.bytes(), m.quota, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range out {
		delete(m.has, n)
	}
	if m.has[text] == nil {
		m.has[text] = &modelEntry{sums: sums, used: m.tick}
	}
}

// some draws one of what is there.
func (m *model) some(t *rapid.T) (*modelEntry, string) {
	names := slices.Sorted(maps.Keys(m.has))
	if len(names) == 0 {
		t.Skip("nothing there")
	}
	n := rapid.SampledFrom(names).Draw(t, "which")
	return m.has[n], n
}

func (m *model) hold(t *rapid.T) {
	e, _ := m.some(t)
	m.tick++
	_, release, err := m.d.Hold(byBLAKE3(e.sums))
	if err != nil {
		t.Fatal(err)
	}
	e.held, e.used = append(e.held, release), m.tick
}

func (m *model) release(t *rapid.T) {
	e, _ := m.some(t)
	if len(e.held) == 0 {
		t.Skip("not held")
	}
	e.held[0]()
	e.held[0]()
	e.held = e.held[1:]
}

func (m *model) pin(t *rapid.T) {
	e, _ := m.some(t)
	do := m.d.Pin
	if e.pinned {
		do = m.d.Unpin
	}
	if err := do(byBLAKE3(e.sums), "me"); err != nil {
		t.Fatal(err)
	}
	e.pinned = !e.pinned
}

func (m *model) remove(t *rapid.T) {
	e, name := m.some(t)
	if err := m.d.Remove(byBLAKE3(e.sums)); err != nil {
		t.Fatal(err)
	}
	delete(m.has, name)
}

// check compares everything.
func (m *model) check(t *rapid.T) {
	list := m.d.List()
	if len(list) != len(m.has) {
		t.Fatalf("%d contents, want %d", len(list), len(m.has))
	}
	for _, e := range list {
		want := m.has[e.Name]
		if want == nil || e.Sums != want.sums || (len(e.Pins) > 0) != want.pinned {
			t.Fatalf("%+v, want %+v", e, want)
		}
		if got, err := os.ReadFile(e.Path); err != nil || !bytes.Equal(got, []byte(e.Name)) {
			t.Fatalf("%s holds %q, %v", e.Path, got, err)
		}
	}
	if n, _ := m.d.Usage(); n != m.bytes() || m.quota > 0 && n > m.quota {
		t.Fatalf("usage %d, want %d of %d", n, m.bytes(), m.quota)
	}
}
