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
	pages, err := f.Pages(t.Context())
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
	// Who ends waits for one page at most, of those that are made and of those that are read.
	ctx, end := context.WithCancel(t.Context())
	read, seen := 0, []File(nil)
	_, err = Each(ctx, pages[0].Sums.BLAKE3, func(ctx context.Context, h chunk.Hash) ([]byte, error) {
		if read++; read == 2 {
			end()
		}
		return fetcherOf(pages)(ctx, h)
	}, func(f File) error { seen = append(seen, f); return nil })
	if !errors.Is(err, context.Canceled) || read != 2 || len(seen) > 0 {
		t.Errorf("%v: %d pages of %d are read, with %d files", err, read, len(pages), len(seen))
	}
	if made, err := f.Pages(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v: %d pages are made", err, len(made))
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

// TestCatalogue finds every file of a folder of many pages, nothing else, and what is below a folder.
func TestCatalogue(t *testing.T) {
	var files []File
	for i := range 9000 {
		files = append(files, File{Path: fmt.Sprintf("d%d/%s%d", i%7, strings.Repeat("x", i%200), i), Size: 1 + int64(i), BLAKE3: chunk.Hash{byte(i), byte(i >> 8), 1}})
	}
	f, err := New("many", files)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := f.Pages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCatalogue(t.Context(), pages[0].Sums.BLAKE3, fetcherOf(pages))
	if err != nil || c.Name != "many" {
		t.Fatal(c, err)
	}
	for i := 0; i < len(f.Files); i += 501 {
		if got, ok, err := c.Find(t.Context(), f.Files[i].Path); err != nil || !ok || got != f.Files[i] {
			t.Fatalf("%s: %v %v %v", f.Files[i].Path, got, ok, err)
		}
	}
	for _, path := range []string{"", "a", "d3", "d3/", "zzz", f.Files[8000].Path + "x"} {
		if got, ok, err := c.Find(t.Context(), path); ok || err != nil {
			t.Errorf("%q is %v, %v", path, got, err)
		}
	}
	n := 0
	if err := c.Under(t.Context(), "d3/", func(got File) bool { n++; return true }); err != nil || n != 1286 {
		t.Errorf("%d files below d3, %v", n, err)
	}
	if len(c.kept) > keptCatalogue {
		t.Errorf("%d pages are kept", len(c.kept))
	}
}
