package index

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// bigIndex writes an index of many pages, with free ones among them,
// and returns its bytes and what it holds by path.
func bigIndex(t *testing.T) ([]byte, map[string]Entry) {
	path := filepath.Join(t.TempDir(), "index")
	ix, err := Open(path, Options{noSync: true})
	if err != nil {
		t.Fatal(err)
	}
	es := manyEntries(500)
	es = append(es, numbered(5, "/long/"+strings.Repeat("y", 9000))) // takes overflow pages
	for batch := range slices.Chunk(es, 150) {
		if err := ix.Put(batch); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < 90; i += 3 {
		if err := ix.Forget(es[i].Place.Path); err != nil {
			t.Fatal(err)
		}
	}
	es = append(es, numbered(5000, "/the/last/one")) // the state before has all but this
	if err := ix.Put(es[len(es)-1:]); err != nil {
		t.Fatal(err)
	}
	want := map[string]Entry{}
	for i, e := range es {
		if i >= 90 || i%3 != 0 {
			want[e.Place.Path] = e
		}
	}
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data, want
}

// mutate damages a copy of a file in one of the ways in which disks do.
func mutate(r *rand.Rand, data []byte, kind int) ([]byte, string) {
	const page = pageSize
	data = slices.Clone(data)
	at := r.Intn(len(data)/page) * page
	switch kind % 8 {
	case 0:
		n := r.Intn(len(data))
		return data[:n], fmt.Sprintf("cut to %d bytes", n)
	case 1:
		clear(data[at : at+page])
		return data, fmt.Sprintf("page %d zeroed", at/page)
	case 2:
		i := r.Intn(len(data))
		data[i] ^= 1 << r.Intn(8)
		return data, fmt.Sprintf("bit of byte %d flipped", i)
	case 3:
		r.Read(data[at : at+page])
		return data, fmt.Sprintf("page %d random", at/page)
	case 4:
		clear(data[:2*page])
		return data, "both metas zeroed"
	case 5: // the head of a page: ids, kinds, counts, overflow, first elements
		i := at + r.Intn(64)
		data[i] = byte(r.Int())
		return data, fmt.Sprintf("byte %d changed", i)
	case 6:
		from := r.Intn(len(data)/page) * page
		copy(data[at:at+page], data[from:from+page])
		return data, fmt.Sprintf("page %d written over page %d", from/page, at/page)
	default: // one meta: the other one must do
		i := r.Intn(2)*page + 16 + r.Intn(64)
		data[i] ^= 0xFF
		return data, fmt.Sprintf("byte %d of the metas changed", i)
	}
}

// TestCorrupt: whatever happened to the file, Open comes back in time with an index
// that works, and that never says anything else than what was put into it.
func TestCorrupt(t *testing.T) {
	t.Parallel()
	data, want := bigIndex(t)
	dir := t.TempDir()
	seed := int64(20240607)
	r := rand.New(rand.NewSource(seed))
	recovered := 0
	const cases = 320
	for i := range cases {
		bad, what := mutate(r, data, i)
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		ix, err := Open(path, Options{noSync: true})
		if err != nil {
			t.Fatalf("seed %d, case %d, %s: %v", seed, i, what, err)
		}
		n := 0
		err = ix.Each(func(e Entry) error {
			n++
			if want[e.Place.Path] != e {
				t.Errorf("seed %d, case %d, %s: holds %.100v", seed, i, what, e)
			}
			return nil
		})
		if err != nil {
			t.Errorf("seed %d, case %d, %s: Each: %v", seed, i, what, err)
		}
		if aside := ix.Recovered(); aside != "" {
			recovered++
			kept, err := os.ReadFile(aside)
			if err != nil || string(kept) != string(bad) || n != 0 {
				t.Errorf("seed %d, case %d, %s: aside %q, %v; %d entries", seed, i, what, aside, err, n)
			}
		} else if n != len(want) && n != len(want)-1 && len(bad) > 0 {
			t.Errorf("seed %d, case %d, %s: %d of %d entries, nothing recovered", seed, i, what, n, len(want))
		}
		// It takes what the rebuilding will put into it.
		e := numbered(77, "/new")
		if err := ix.Put([]Entry{e}); err != nil {
			t.Errorf("seed %d, case %d, %s: Put: %v", seed, i, what, err)
		}
		if c, _, err := ix.ByPath("/new"); err != nil || c != e.Content {
			t.Errorf("seed %d, case %d, %s: ByPath: %v", seed, i, what, err)
		}
		if err := ix.Close(); err != nil {
			t.Errorf("seed %d, case %d, %s: Close: %v", seed, i, what, err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("seed %d, case %d, %s: took %v", seed, i, what, d)
		}
		os.Remove(path)
		os.Remove(ix.Recovered())
	}
	if recovered < cases/3 || recovered == cases {
		t.Errorf("%d of %d recovered: the damage is not what it should be", recovered, cases)
	}
	t.Logf("%d of %d recovered, %d pages", recovered, cases, len(data)/pageSize)
}

// TestCheckCounts: a leaf that has lost its last record, with everything else in order.
func TestCheckCounts(t *testing.T) {
	data, _ := bigIndex(t)
	lost, page := 0, 0
	for at := 2 * pageSize; at+pageSize <= len(data); at += pageSize {
		if count := order.Uint16(data[at+10:]); order.Uint16(data[at+8:]) == flagLeaf && count > 3 {
			page = at / pageSize
			order.PutUint16(data[at+10:], count-1)
			if err := checkFile(bytes.NewReader(data), int64(len(data))); err != nil {
				lost++
			}
			order.PutUint16(data[at+10:], count)
		}
	}
	if err := checkFile(bytes.NewReader(data), int64(len(data))); err != nil || lost < 10 {
		t.Errorf("%v; %d losses found", err, lost)
	}
	// No page has two parents, so no tree has a loop.
	c := &checker{f: bytes.NewReader(data), pageSize: pageSize, pages: uint64(len(data) / pageSize), seen: make([]uint64, len(data)/pageSize/64+1)}
	_, first := c.read(uint64(page))
	if _, again := c.read(uint64(page)); first != nil || again == nil {
		t.Errorf("page read twice: %v, %v", first, again)
	}
}

// TestOtherSchema: a sound bbolt file of another program, or of another version.
func TestOtherSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("contents.2"))
		if err != nil {
			return err
		}
		return b.Put([]byte("k"), []byte("v"))
	})
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	for n := 1; n <= maxBad+2; n++ {
		other, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		ix, err := Open(path, Options{noSync: true})
		if err != nil || ix.Recovered() != fmt.Sprintf("%s.bad-%d", path, min(n, maxBad)) {
			t.Fatalf("%d: %v, recovered %q", n, err, ix.Recovered())
		}
		if err := ix.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, other, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := filepath.Glob(path + ".bad-*"); len(names) != maxBad {
		t.Errorf("kept %q", names)
	}
}

// TestDamagedWhileOpen: the file is cut, or overwritten, under an open index.
func TestDamagedWhileOpen(t *testing.T) {
	data, _ := bigIndex(t)
	for name, damage := range map[string]func(path string) error{
		"cut":    func(path string) error { return os.Truncate(path, pageSize) },
		"zeroed": func(path string) error { return overwrite(path, make([]byte, len(data))) },
		"loops": func(path string) error { // every page takes itself for a leaf of 60000 records
			p := slices.Clone(data)
			for i := 2 * pageSize; i+pageSize <= len(p); i += pageSize {
				order.PutUint16(p[i+8:], flagLeaf)
				order.PutUint16(p[i+10:], 60000)
			}
			return overwrite(path, p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "index")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			ix, err := Open(path, Options{noSync: true})
			if err != nil || ix.Recovered() != "" {
				t.Fatal(err)
			}
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			all := func() error {
				return errors.Join(ix.Each(func(Entry) error { return nil }), ix.Put(manyEntries(500)))
			}
			if err := all(); !errors.Is(err, ErrCorrupt) {
				t.Errorf("first use: %v", err)
			}
			if _, _, err := ix.ByPath("/x"); !errors.Is(err, ErrCorrupt) {
				t.Errorf("second use: %v", err)
			}
			if err := ix.Close(); err != nil {
				t.Error(err)
			}
			again, err := Open(path, Options{noSync: true})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(path + ".bad-1"); err != nil {
				t.Error(err)
			}
			if _, _, err := again.ByPath("/x"); err != ErrNotFound {
				t.Error(err)
			}
			again.Close()
		})
	}
}

func overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(data, 0)
	return err
}
