package folder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sharer/chunk"
)

// fetcherOf serves pages.
func fetcherOf(pages []Page) func(context.Context, chunk.Hash) ([]byte, error) {
	return func(_ context.Context, h chunk.Hash) ([]byte, error) {
		for _, p := range pages {
			if p.Sums.BLAKE3 == h {
				return p.Data, nil
			}
		}
		return nil, errors.New("no such page")
	}
}

// TestEachIsRead: both see the same files of a folder of many pages.
func TestEachIsRead(t *testing.T) {
	var files []File
	for i := range 9000 {
		files = append(files, File{Path: fmt.Sprintf("d%d/%s%d", i%7, strings.Repeat("x", i%200), i), Size: 1 + int64(i), BLAKE3: chunk.Hash{byte(i), byte(i >> 8), 1}})
	}
	f, err := New("many", files)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := f.Pages()
	if err != nil || len(pages) < 3 {
		t.Fatal(len(pages), err)
	}
	ids, err := PageIDs(t.Context(), pages[0].Sums.BLAKE3, fetcherOf(pages))
	if err != nil || len(ids) != len(pages) {
		t.Fatal(len(ids), err)
	}
	var seen []File
	name, err := Each(t.Context(), pages[0].Sums.BLAKE3, fetcherOf(pages), func(f File) error { seen = append(seen, f); return nil })
	if err != nil || name != "many" || !slices.Equal(seen, f.Files) {
		t.Errorf("Each sees %d files of %d, name %q: %v", len(seen), len(f.Files), name, err)
	}
	enough := errors.New("enough")
	if _, err := Each(t.Context(), pages[0].Sums.BLAKE3, fetcherOf(pages), func(File) error { return enough }); err != enough {
		t.Errorf("an error of visit becomes %v", err)
	}
}

// TestParents compares the stack with the search in all files.
func TestParents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"a", "b", "a!", "a0", "ab"})
		paths := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "parts"), "/")
		}), 0, 12, rapid.ID).Draw(t, "paths")
		slices.Sort(paths)
		var f Folder
		var p parents
		var err error
		for _, path := range paths {
			f.Files = append(f.Files, File{Path: path})
			err = errors.Join(err, p.next(path))
		}
		if want := f.checkParents(); (want == nil) != (err == nil) {
			t.Fatalf("%q: the stack says %v, the search %v", paths, err, want)
		}
	})
}
