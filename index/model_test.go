package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestModel compares an index with a map, through batches, removals and reopening.
func TestModel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		path := filepath.Join(dir, fmt.Sprint(runs))
		defer os.Remove(path)
		o := Options{noSync: true}
		ix, err := Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { ix.Close() }()
		model := map[string]Entry{}
		entry := rapid.Custom(func(t *rapid.T) Entry {
			path := fmt.Sprintf("/%d/%d", rapid.IntRange(0, 3).Draw(t, "folder"), rapid.IntRange(0, 30).Draw(t, "file"))
			e := numbered(rapid.IntRange(0, 12).Draw(t, "content"), path)
			e.Place.Stamp.Mtime = rapid.Int64().Draw(t, "mtime")
			return e
		})
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				es := rapid.SliceOfN(entry, 0, 60).Draw(t, "entries")
				if err := ix.Put(es); err != nil {
					t.Fatal(err)
				}
				for _, e := range es {
					model[e.Place.Path] = e
				}
			},
			"forget": func(t *rapid.T) {
				e := entry.Draw(t, "entry")
				if err := ix.Forget(e.Place.Path); err != nil {
					t.Fatal(err)
				}
				delete(model, e.Place.Path)
			},
			"reopen": func(t *rapid.T) {
				if err := ix.Close(); err != nil {
					t.Fatal(err)
				}
				var err error
				if ix, err = Open(path, o); err != nil || ix.Recovered() != "" {
					t.Fatal(err, ix.Recovered())
				}
			},
			"": func(t *rapid.T) { compare(t, ix, model) },
		})
	})
}

func compare(t *rapid.T, ix *Index, model map[string]Entry) {
	var got []Entry
	if err := ix.Each(func(e Entry) error { got = append(got, e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(model) || !slices.IsSortedFunc(got, func(a, b Entry) int {
		if a.Place.Path < b.Place.Path {
			return -1
		}
		return 1
	}) {
		t.Fatalf("%d places, want %d", len(got), len(model))
	}
	places := map[Content][]Place{}
	for _, e := range got {
		if model[e.Place.Path] != e {
			t.Fatalf("%v, want %v", e, model[e.Place.Path])
		}
		places[e.Content] = append(places[e.Content], e.Place)
	}
	for n := range 13 {
		c := numbered(n, "").Content
		for _, id := range ids(c) {
			gotC, gotP, err := ix.Lookup(id)
			want := places[c]
			if len(want) == 0 {
				if !errors.Is(err, ErrNotFound) {
					t.Fatalf("content %d is gone, Lookup(%v) = %v, %v", n, id, gotP, err)
				}
			} else if err != nil || gotC != c || !slices.Equal(gotP, want[:min(len(want), MaxPlaces)]) {
				t.Fatalf("content %d: Lookup(%v) = %v, %v; want %v", n, id, gotP, err, want)
			}
		}
	}
	// Nothing is left over in the table that no method reads through.
	if err := ix.view(func(tb tables) error {
		n := 0
		err := tb.sha256.ForEach(func(k, v []byte) error { n++; return nil })
		if n != len(places) || tb.sha256.Sequence() != uint64(n) {
			t.Fatalf("%d sha256, said to be %d, want %d", n, tb.sha256.Sequence(), len(places))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if c, p, err := ix.Count(); c != len(places) || p != len(model) || err != nil {
		t.Fatalf("Count = %d, %d, %v; want %d, %d", c, p, err, len(places), len(model))
	}
}
