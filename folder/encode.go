package folder

import (
	"bytes"
	"context"
	"hash/crc32"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"sharer/chunk"
)

// Page is a content that a folder is made of.
type Page struct {
	Sums chunk.Sums
	Data []byte
}

const (
	// A page may end after a file once it has leastPage bytes, where the CRC-32 of the path says so, which one path of
	// 1024 does: so pages have some 512 KiB, and a file that comes or goes changes its own page and not all behind it.
	leastPage = MaxPage / 4
	cutMask   = 1<<10 - 1
)

// Pages are the folder in canonical form: all of it in one page if it fits, else a first page with the ids of the
// others. The first one is the folder's id. The folder is one of New or Read. Those of a million files take seconds: the
// context is looked at for each page.
func (f Folder) Pages(ctx context.Context) ([]Page, error) {
	if data, fits := f.onePage(); fits {
		p, err := newPage(ctx, data)
		return []Page{p}, err
	}
	pages := make([]Page, 1) // the first names the others, and so is made last
	var ids []chunk.Hash
	end := func(data []byte) error {
		p, err := newPage(ctx, closePage(data, nil, ""))
		pages, ids = append(pages, p), append(ids, p.Sums.BLAKE3)
		return err
	}
	data := openPage()
	var entry []byte
	for i, file := range f.Files {
		entry = appendFile(entry[:0], file)
		if len(data)+1+len(entry)+len(pageEnd) > MaxPage {
			if err := end(data); err != nil {
				return nil, err
			}
			data = openPage()
		}
		data = addFile(data, entry)
		if len(data) >= leastPage && crc32.ChecksumIEEE([]byte(file.Path))&cutMask == 0 && i+1 < len(f.Files) {
			if err := end(data); err != nil {
				return nil, err
			}
			data = openPage()
		}
	}
	if err := end(data); err != nil {
		return nil, err
	}
	if len(pages) > MaxPages {
		return nil, formatError("more than %d pages", MaxPages)
	}
	var err error
	pages[0], err = newPage(ctx, closePage(openPage(), ids, f.Name))
	return pages, err
}

// onePage is the folder in one page; fits is false if that is too large.
func (f Folder) onePage() (data []byte, fits bool) {
	data = openPage()
	var entry []byte
	for _, file := range f.Files {
		entry = appendFile(entry[:0], file)
		if data = addFile(data, entry); len(data) > MaxPage {
			return nil, false
		}
	}
	data = closePage(data, nil, f.Name)
	return data, len(data) <= MaxPage
}

func newPage(ctx context.Context, data []byte) (Page, error) {
	sums, err := chunk.Sum(ctx, bytes.NewReader(data), int64(len(data)), nil, nil)
	return Page{Sums: sums, Data: data}, err
}

const (
	pageBegin = `{"files":[`
	pageEnd   = `],"folder":1}`
)

func openPage() []byte { return []byte(pageBegin) }

func addFile(page, entry []byte) []byte {
	if len(page) > len(pageBegin) {
		page = append(page, ',')
	}
	return append(page, entry...)
}

// closePage ends a page; members stand in the order of their names (RFC 8785 section 3.2.3).
func closePage(b []byte, more []chunk.Hash, name string) []byte {
	b = append(b, `],"folder":1`...)
	for i, h := range more {
		if i == 0 {
			b = append(b, `,"more":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendHash(b, h)
	}
	if len(more) > 0 {
		b = append(b, ']')
	}
	if name != "" {
		b = appendText(append(b, `,"name":`...), name)
	}
	return append(b, '}')
}

// appendFile writes one file. What is false, zero or not said is left out, but for the size.
func appendFile(b []byte, f File) []byte {
	b = appendHash(append(b, `{"blake3":`...), f.BLAKE3)
	if f.Executable {
		b = append(b, `,"executable":true`...)
	}
	if f.Hidden {
		b = append(b, `,"hidden":true`...)
	}
	if f.Mtime != 0 {
		b = strconv.AppendInt(append(b, `,"mtime":`...), f.Mtime, 10)
	}
	b = appendText(append(b, `,"path":`...), f.Path)
	if f.SHA256 != (chunk.Hash{}) {
		b = appendHash(append(b, `,"sha256":`...), f.SHA256)
	}
	b = strconv.AppendInt(append(b, `,"size":`...), f.Size, 10)
	return append(b, '}')
}

func appendHash(b []byte, h chunk.Hash) []byte {
	return append(append(append(b, '"'), h.String()...), '"')
}

// appendText writes a string that CheckPath has passed, with as few escapes as can be (RFC 8785 section 3.2.2.2).
func appendText(b []byte, s string) []byte {
	out, err := jsontext.AppendQuote(b, s)
	if err != nil {
		panic("folder: " + err.Error()) // only of text that is not UTF-8
	}
	return out
}
