package folder

import (
	"fmt"
	"html"
	"net/url"
	"path"
	"strings"

	"sharer/chunk"
)

// MaxListed is how many files a listing names: a page of some 5 MB. The rest is in the manifest.
const MaxListed = 20_000

// Listing is a page of HTML that names the files of a folder, each with a link that every node's local web page answers. The
// same folder gives the same bytes.
func (f Folder) Listing() []byte {
	var b strings.Builder
	title := html.EscapeString(f.Name)
	if title == "" {
		title = "folder"
	}
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>%s</title>\n<h1>%s</h1>\n<table>\n", title, title)
	n := 0
	for _, file := range f.Files {
		if file.Hidden {
			continue
		}
		if n++; n > MaxListed {
			continue
		}
		fmt.Fprintf(&b, "<tr><td><a href=\"%s\">%s</a><td align=\"right\">%d\n", html.EscapeString(file.web()), html.EscapeString(file.Path), file.Size)
	}
	b.WriteString("</table>\n")
	if n > MaxListed {
		fmt.Fprintf(&b, "<p>and %d more\n", n-MaxListed)
	}
	return []byte(b.String())
}

// web is where a local web page has a file. Of one block it is by the sha256, if that is known: the best-known node cannot
// check one block under its BLAKE3.
func (f File) web() string {
	name := url.PathEscape(path.Base(f.Path))
	if f.Size <= chunk.BlockSize && f.SHA256 != (chunk.Hash{}) {
		return "/" + f.SHA256.String() + "/" + name
	}
	return "/blake3/" + f.BLAKE3.String() + "/" + name
}
