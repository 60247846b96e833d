package folder

import (
	"strings"
	"testing"

	"sharer/chunk"
)

// A listing names what is not hidden, each by the id that every node can use, and nothing in a name is taken for HTML.
func TestListing(t *testing.T) {
	f, err := New(`<b>&"`, []File{
		{Path: "a <i>.txt", Size: 5, BLAKE3: chunk.Hash{1}, SHA256: chunk.Hash{2}},
		{Path: "b/large ü.iso", Size: 5000, BLAKE3: chunk.Hash{3}, SHA256: chunk.Hash{4}},
		{Path: "c", Size: 5, BLAKE3: chunk.Hash{5}},
		{Path: ".hidden", Size: 5, BLAKE3: chunk.Hash{6}},
	})
	if err != nil {
		t.Fatal(err)
	}
	page := string(f.Listing())
	for _, want := range []string{
		"<title>&lt;b&gt;&amp;&#34;</title>",
		`<a href="/` + chunk.Hash{2}.String() + `/a%20%3Ci%3E.txt">a &lt;i&gt;.txt</a><td align="right">5`,
		`<a href="/blake3/` + chunk.Hash{3}.String() + `/large%20%C3%BC.iso">b/large ü.iso</a><td align="right">5000`,
		`<a href="/blake3/` + chunk.Hash{5}.String() + `/c">c</a>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in\n%s", want, page)
		}
	}
	if strings.Contains(page, "hidden") || strings.Contains(page, "<i>") {
		t.Errorf("%s", page)
	}
	files := make([]File, MaxListed+7)
	for i := range files {
		files[i] = File{Path: strings.Repeat("x", 1+i/200) + string(rune('a'+i%26)) + strings.Repeat("y", i%200), Size: 1}
	}
	if page := string((Folder{Files: files}).Listing()); strings.Count(page, "<tr>") != MaxListed || !strings.Contains(page, "and 7 more") {
		t.Errorf("%d are listed", strings.Count(page, "<tr>"))
	}
}
