package identity

import (
	"slices"
	"strings"
	"testing"
)

// What a link to a published name means, by what is published.
func TestMeant(t *testing.T) {
	key := alice.Public()
	rec := func(path string, seq int64, sum byte) Record {
		return Record{Key: key, Path: path, Seq: seq, SHA256: [32]byte{sum}, BLAKE3: &[32]byte{sum}}
	}
	for _, tc := range []struct {
		name    string
		records []Record
		want    string // of the record
		folder  bool
		rest    string
	}{
		{"a", []Record{rec("a", 5, 1)}, "a", false, ""},
		{"a", []Record{rec("a", 5, 1), rec("a/folder.json", 5, 1)}, "a/folder.json", true, ""},
		{"a", []Record{rec("a", 6, 2), rec("a/folder.json", 5, 1)}, "a", false, ""},
		{"a", []Record{rec("a", 5, 2), rec("a/folder.json", 6, 1)}, "a/folder.json", true, ""},
		{"a", []Record{rec("a/folder.json", 6, 1)}, "a/folder.json", true, ""},
		{"a/b/c", []Record{rec("a/folder.json", 6, 1)}, "a/folder.json", true, "b/c"},
		{"a/b/c", []Record{rec("a/folder.json", 6, 1), rec("a/b/folder.json", 6, 1)}, "a/b/folder.json", true, "c"},
		{"a/index.html", []Record{rec("a/folder.json", 6, 1), rec("a/index.html", 1, 1)}, "a/index.html", false, ""},
		{"a", nil, "", false, ""},
	} {
		asked := Candidates(tc.name)
		for _, r := range tc.records {
			if !slices.Contains(asked, r.Path) {
				t.Errorf("%s: %s is not asked for", tc.name, r.Path)
			}
		}
		r, isFolder, rest, ok := Meant(tc.name, tc.records)
		if r.Path != tc.want || isFolder != tc.folder || rest != tc.rest || ok != (tc.want != "") {
			t.Errorf("%s of %d records: %q, folder %v, rest %q, %v", tc.name, len(tc.records), r.Path, isFolder, rest, ok)
		}
	}
	if n := len(Candidates(strings.Repeat("a/", 50) + "a")); n != maxCandidates {
		t.Errorf("%d names are asked for", n)
	}
}
