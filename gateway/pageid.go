package gateway

import (
	"encoding/base32"
	"strings"

	"sharer/chunk"
)

// Page is what has an origin of its own in a browser. It is comparable; the zero Page is none.
type Page struct {
	sort byte // a letter of pageSorts, 0: none
	hash chunk.Hash
}

// pageSorts are the words of keys by the letter of labels.
var pageSorts = map[byte]string{
	'b': "blake3/", // a content
	's': "sha256/", // a content, by its other hash
	'f': "folder/", // the files of a folder, which never change
	'k': "latest/", // whatever a publisher's key publishes
}

// pageOf is the page of a content.
func pageOf(id chunk.ID) Page {
	switch id.Kind {
	case chunk.SHA256:
		return Page{'s', id.Hash}
	case chunk.BLAKE3:
		return Page{'b', id.Hash}
	}
	return Page{}
}

// Valid reports whether it is one.
func (p Page) Valid() bool { return p.sort != 0 }

// Key is how the page stands in the list of grants: as in a link.
func (p Page) Key() string {
	if !p.Valid() {
		return ""
	}
	return pageSorts[p.sort] + p.hash.String()
}

// parsePage reads what Key returns.
func parsePage(key string) (Page, error) {
	for sort, word := range pageSorts {
		if text, ok := strings.CutPrefix(key, word); ok {
			h, err := chunk.ParseHash(text)
			if err != nil || h.String() != text {
				return Page{}, chunk.ErrBadID
			}
			return Page{sort, h}, nil
		}
	}
	return Page{}, chunk.ErrBadID
}

var labelCode = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// label is the page as a label of a host name, which has 63 letters at most: 52 for the hash, and one for what it is of.
func (p Page) label() string { return string(p.sort) + labelCode.EncodeToString(p.hash[:]) }

// parseLabel reads what label returns, and nothing else: the last letter has a bit to spare.
func parseLabel(label string) (Page, bool) {
	if len(label) != 53 || pageSorts[label[0]] == "" {
		return Page{}, false
	}
	p := Page{sort: label[0]}
	if n, err := labelCode.Decode(p.hash[:], []byte(label[1:])); err != nil || n != len(p.hash) {
		return Page{}, false
	}
	return p, p.label() == label
}
