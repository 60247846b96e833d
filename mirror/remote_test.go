package mirror

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/mirror/storetest"
)

var _ Store = (*storetest.Memory)(nil)

// remote is one over a store in memory.
func remote(t *testing.T, dir string, m *storetest.Memory) (*Remote, *Blobs) {
	t.Helper()
	arrivals, err := OpenBlobs(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenRemote(t.Context(), filepath.Join(dir, "remote"), arrivals.New(), m)
	if err != nil {
		t.Fatal(err)
	}
	return r, arrivals
}

// arrive puts texts where contents arrive.
func arrive(t *testing.T, b *Blobs, texts ...[]byte) (files []folder.File) {
	t.Helper()
	for _, text := range texts {
		sums, err := chunk.Sum(t.Context(), bytes.NewReader(text), int64(len(text)), nil, nil)
		if err == nil {
			err = os.WriteFile(filepath.Join(b.New(), NewName(sums.BLAKE3)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, folder.File{Path: "f", Size: sums.Size, BLAKE3: sums.BLAKE3, SHA256: sums.SHA256})
	}
	return files
}

// TestContents is what both places of contents do.
func TestContents(t *testing.T) {
	dir := t.TempDir()
	local, err := OpenBlobs(filepath.Join(dir, "local"))
	if err != nil {
		t.Fatal(err)
	}
	far, arrivals := remote(t, dir, storetest.NewMemory())
	for _, c := range []struct {
		name string
		Contents
		arrivals *Blobs
	}{{"on disk", local, local}, {"elsewhere", far, arrivals}} {
		t.Run(c.name, func(t *testing.T) {
			var texts [][]byte
			for i, n := range []int{0, 1, 4096, 4097, 1<<20 - 1, 1<<20 + 1, 3<<20 + 17} {
				text, _ := storetest.Text(byte(i), n)
				texts = append(texts, text)
			}
			files := arrive(t, c.arrivals, texts...)
			kept, err := c.Keep(t.Context(), files)
			if err != nil || len(kept) != len(files) {
				t.Fatalf("%d of %d kept: %v", len(kept), len(files), err)
			}
			sizes := map[chunk.Hash]int64{}
			for i, f := range files {
				sizes[f.BLAKE3] = f.Size
				if !c.Has(f.BLAKE3) || kept[i].Path != c.Path(f.BLAKE3) || kept[i].Sums != (chunk.Sums{BLAKE3: f.BLAKE3, SHA256: f.SHA256, Size: f.Size}) {
					t.Errorf("%d bytes: %+v", f.Size, kept[i])
				}
				in, err := c.Open(t.Context(), f.BLAKE3, f.Size)
				if err != nil {
					t.Fatal(err)
				}
				at := f.Size / 3
				_, err = in.Seek(at, io.SeekStart)
				got, readErr := io.ReadAll(in)
				if err := errors.Join(err, readErr, in.Close()); err != nil || !bytes.Equal(got, texts[i][at:]) {
					t.Errorf("%d bytes from %d of %d: %v", len(got), at, f.Size, err)
				}
				if _, err := c.Open(t.Context(), f.BLAKE3, f.Size+1<<13); err == nil {
					t.Error("opened with another size")
				}
			}
			if left, err := os.ReadDir(c.arrivals.New()); err != nil || len(left) > 0 {
				t.Errorf("left where contents arrive: %v %v", left, err)
			}
			if err := c.Each(func(h chunk.Hash, size int64) error {
				if sizes[h] != size {
					t.Errorf("%s has %d bytes, not %d", h, size, sizes[h])
				}
				delete(sizes, h)
				return nil
			}); err != nil || len(sizes) > 0 {
				t.Errorf("not listed: %v %v", sizes, err)
			}
			for range 2 { // once more is no error
				if err := c.Remove(t.Context(), files[3].BLAKE3); err != nil || c.Has(files[3].BLAKE3) {
					t.Errorf("removed: %v", err)
				}
			}
			if _, err := c.Open(t.Context(), files[3].BLAKE3, files[3].Size); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open after that: %v", err)
			}
		})
	}
}

// TestRemoteVerifies flips each of some bits, and no byte of the window that it is in is given out.
func TestRemoteVerifies(t *testing.T) {
	m := storetest.NewMemory()
	r, arrivals := remote(t, t.TempDir(), m)
	text, h := storetest.Text(1, 2<<20+100)
	small, hs := storetest.Text(2, 50)
	if _, err := r.Keep(t.Context(), arrive(t, arrivals, text, small)); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 10)
	for _, at := range []int{0, 4095, 1 << 20, 2<<20 + 99} {
		r.windows.forget(h)
		m.Damage(h, at)
		off := at / windowLen * windowLen
		if n, err := r.ReadContent(t.Context(), h, int64(len(text)), p, int64(off)); n != 0 || !errors.Is(err, errDamaged) {
			t.Errorf("bit at %d: %d bytes, %v", at, n, err)
		}
		m.Damage(h, at)
		if n, err := r.ReadContent(t.Context(), h, int64(len(text)), p, int64(off)); n != 10 || err != nil || !bytes.Equal(p, text[off:off+10]) {
			t.Errorf("bit at %d, mended: %d bytes, %v", at, n, err)
		}
	}
	m.Damage(hs, 49)
	if n, err := r.ReadContent(t.Context(), hs, 50, p, 0); n != 0 || !errors.Is(err, errDamaged) {
		t.Errorf("a small one: %d bytes, %v", n, err)
	}
	// What was read a moment ago is not asked for again, and who reads together asks once.
	m.Damage(hs, 49)
	before := m.Ranges
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p := make([]byte, 10)
			for i := range int64(5) {
				if _, err := r.ReadContent(t.Context(), hs, 50, p, 10*i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if m.Ranges != before+1 {
		t.Errorf("%d requests for one window", m.Ranges-before)
	}
	if err := m.Remove(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	r.windows.forget(h)
	if _, err := r.ReadContent(t.Context(), h, int64(len(text)), p, 0); !errors.Is(err, errDamaged) {
		t.Errorf("taken away behind our back: %v", err)
	}
	away := errors.New("no answer")
	m.Fail(away)
	if _, err := r.ReadContent(t.Context(), h, int64(len(text)), p, 0); !errors.Is(err, away) || errors.Is(err, errDamaged) {
		t.Errorf("a store that does not answer: %v", err)
	}
}

// TestRemoteWrites: what is not its hash is not written; what was written and not noted is removed by the next start.
func TestRemoteWrites(t *testing.T) {
	m, dir := storetest.NewMemory(), t.TempDir()
	r, arrivals := remote(t, dir, m)
	text, h := storetest.Text(1, 5000)
	good, _ := storetest.Text(2, 5000)
	files := arrive(t, arrivals, text, good)
	text[1] ^= 1
	if err := os.WriteFile(filepath.Join(arrivals.New(), NewName(h)), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if kept, err := r.Keep(t.Context(), files); err == nil || len(kept) != 1 || m.Len() != 1 || r.Has(h) {
		t.Errorf("another content: %d kept, %d in the store, %v", len(kept), m.Len(), err)
	}
	text[1] ^= 1
	files = arrive(t, arrivals, text)
	if err := r.put(t.Context(), files[0]); err != nil || m.Len() != 2 || r.Has(h) {
		t.Fatalf("put, and killed: %d in the store, %v", m.Len(), err)
	}
	r, _ = remote(t, dir, m)
	if m.Len() != 1 {
		t.Errorf("%d in the store after the start", m.Len())
	}
	if _, err := r.Keep(t.Context(), arrive(t, arrivals, text)); err != nil {
		t.Fatal(err)
	}
	m.Fail(errors.New("no answer"))
	if err := r.Remove(t.Context(), h); err == nil || r.Has(h) {
		t.Errorf("removed from a store that does not answer: %v", err)
	}
	m.Fail(nil)
	if remote(t, dir, m); m.Len() != 1 {
		t.Errorf("%d in the store after the next start", m.Len())
	}
}

// TestMirrorElsewhere runs a mirror over a store: what is there and what not, version after version, and its scrub.
func TestMirrorElsewhere(t *testing.T) {
	s, dir, m := newSwarm(t), t.TempDir(), storetest.NewMemory()
	r, blobs := remote(t, dir, m)
	set, notes, err := OpenSet(Config{Dir: filepath.Join(dir, "mirrors"), Blobs: blobs, Remote: r, Fetcher: s, Names: s, Shelf: s})
	if err != nil || len(notes) > 0 {
		t.Fatal(notes, err)
	}
	defer set.Close()
	s.publish(1, texts(20, "one"))
	spec := Spec{Name: "m", Key: s.key, Path: "isos/folder.json", Dir: filepath.Join(dir, "tree"), Rules: DefaultRules()}
	spec.Rules.Every, spec.Rules.Grace, spec.Rules.Keep = time.Hour, 0, 1
	if err := set.Add(spec); err != nil {
		t.Fatal(err)
	}
	mir, err := set.Find("m")
	if err != nil {
		t.Fatal(err)
	}
	mustSync(t, mir)
	carries := func(want map[string]string) {
		t.Helper()
		v, err := set.View(t.Context(), "m")
		if err != nil || v == nil {
			t.Fatalf("no view: %v", err)
		}
		for path, text := range want {
			f, there, err := v.Files.Find(t.Context(), path)
			if err != nil || !there || !v.Carries(f) {
				t.Fatalf("%s: %v %v", path, there, err)
			}
			in, err := v.Open(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(in); err != nil || string(got) != text {
				t.Errorf("%s is %q: %v", path, got, err)
			}
		}
		if m.Len() != len(want) {
			t.Errorf("%d contents in the store, want %d", m.Len(), len(want))
		}
	}
	carries(texts(20, "one"))
	if here := tree(t, mir); len(here) != 0 || !mir.Look().Remote {
		t.Errorf("files here: %v", here)
	}
	if took := s.took(); len(took) != 21 {
		t.Errorf("fetched %d contents of 21", len(took))
	}
	s.publish(2, texts(20, "two"))
	mustSync(t, mir) // or the mirror's own loop was there before
	if took := s.took(); len(took) != 1 || took[0] != "two" {
		t.Errorf("fetched %q for one changed file", took)
	}
	carries(texts(20, "two")) // and what only the first one has had is gone
	sums, err := chunk.Sum(t.Context(), strings.NewReader("file 1"), 6, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	round1 := round{}
	m.Damage(sums.BLAKE3, 3)
	r.windows.forget(sums.BLAKE3)
	if err := set.scrubRound(t.Context(), &round1, ScrubPace{Every: time.Hour, Rate: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	if l := mir.Look(); l.Scrub.Damaged != 1 || l.Scrub.Healed != 1 {
		t.Errorf("a damaged object: %+v", l.Scrub)
	}
	carries(texts(20, "two"))
	m.Fail(errors.New("no answer"))
	r.windows.forget(sums.BLAKE3)
	if err := set.scrubRound(t.Context(), &round1, ScrubPace{Every: time.Hour, Rate: 1 << 30}); err == nil || mir.Look().Scrub.Damaged != 1 {
		t.Errorf("a store that does not answer counts as damage: %v", err)
	}
	m.Fail(nil)
	if err := set.Remove(t.Context(), "m", true); err != nil || m.Len() != 0 {
		t.Errorf("removed: %d contents in the store, %v", m.Len(), err)
	}
}

// TestAdopt: when the state folder is lost, what the store has is read, verified and kept, and neither fetched nor written
// again; what is damaged there, or not there, is fetched.
func TestAdopt(t *testing.T) {
	s, m := newSwarm(t), storetest.NewMemory()
	s.publish(1, texts(20, "one"))
	begin := func() (*Set, *Mirror) {
		t.Helper()
		dir := t.TempDir()
		r, blobs := remote(t, dir, m)
		set, _, err := OpenSet(Config{Dir: filepath.Join(dir, "mirrors"), Blobs: blobs, Remote: r, Fetcher: s, Names: s, Shelf: s})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(set.Close)
		spec := Spec{Name: "m", Key: s.key, Path: "isos/folder.json", Dir: filepath.Join(dir, "tree"), Rules: DefaultRules()}
		spec.Rules.Every = time.Hour
		if err := set.Add(spec); err != nil {
			t.Fatal(err)
		}
		mir, err := set.Find("m")
		if err != nil {
			t.Fatal(err)
		}
		mustSync(t, mir)
		return set, mir
	}
	set, _ := begin()
	set.Close()
	s.took()
	sums, err := chunk.Sum(t.Context(), strings.NewReader("file 3"), 6, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Damage(sums.BLAKE3, 2)
	s.publish(2, texts(21, "one"))
	s.offered = map[string]Kept{}
	set, mir := begin()
	took := s.took()
	slices.Sort(took)
	if len(took) != 2 || took[0] != "file 20" || took[1] != "file 3" {
		t.Errorf("fetched %q", took)
	}
	if l := mir.Look(); l.Trace.Fetched != 13 || m.Len() != 22 {
		t.Errorf("%+v, %d in the store", l.Trace, m.Len())
	}
	s.mu.Lock()
	if len(s.offered) != 22+1 {
		t.Errorf("%d are served, want 22 and the manifest", len(s.offered))
	}
	s.mu.Unlock()
	v, err := set.View(t.Context(), "m")
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range texts(21, "one") {
		f, _, err := v.Files.Find(t.Context(), path)
		in, openErr := v.Open(t.Context(), f)
		if err != nil || openErr != nil {
			t.Fatal(path, err, openErr)
		}
		if got, err := io.ReadAll(in); err != nil || string(got) != text {
			t.Errorf("%s is %q: %v", path, got, err)
		}
	}
}
