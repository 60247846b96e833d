package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sharer/chunk"
)

// page is a parsed page.
type page struct {
	name  string
	files []File
	more  []chunk.Hash
}

// entry is a file as a page says it. Members that are not known are ignored, so that some can be added.
type entry struct {
	Path       string `json:"path"`
	Size       *int64 `json:"size"`
	BLAKE3     string `json:"blake3"`
	SHA256     string `json:"sha256"`
	Mtime      int64  `json:"mtime"`
	Executable bool   `json:"executable"`
	Hidden     bool   `json:"hidden"`
}

// Read gathers a folder from its pages. fetch returns the content of an id, at most MaxPage bytes of it; what it
// returns is checked against the id. The error is that of fetch, or wraps ErrFormat or ErrVersion.
func Read(ctx context.Context, id chunk.Hash, fetch func(context.Context, chunk.Hash) ([]byte, error)) (Folder, error) {
	var c checker
	first, err := readPage(ctx, id, fetch, &c)
	if err != nil {
		return Folder{}, err
	}
	f := Folder{Name: first.name, Files: first.files}
	for i, h := range first.more {
		p, err := readPage(ctx, h, fetch, &c)
		switch {
		case err != nil:
			return Folder{}, fmt.Errorf("page %d of %d: %w", i+1, len(first.more), err)
		case len(p.more) > 0:
			return Folder{}, formatError("page %d of %d names further pages", i+1, len(first.more))
		}
		f.Files = append(f.Files, p.files...)
	}
	return f, f.checkParents()
}

func readPage(ctx context.Context, id chunk.Hash, fetch func(context.Context, chunk.Hash) ([]byte, error), c *checker) (page, error) {
	data, err := fetch(ctx, id)
	if err != nil {
		return page{}, err
	}
	if len(data) > MaxPage {
		return page{}, formatError("a page has more than %d bytes", MaxPage)
	}
	p, err := newPage(ctx, data)
	if err != nil {
		return page{}, err
	}
	if p.Sums.BLAKE3 != id {
		return page{}, errors.New("folder: fetched another content than was asked for")
	}
	return parsePage(data, c)
}

// parsePage reads a page whose files follow those that c has seen.
func parsePage(data []byte, c *checker) (p page, err error) {
	// The version first: a later one may mean something else by the rest.
	if err := checkVersion(data); err != nil {
		return page{}, err
	}
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	err = members(dec, func(name string) error {
		switch name {
		case "files":
			return elements(dec, func() error {
				f, err := readFile(dec)
				if err == nil {
					err = c.file(f)
				}
				p.files = append(p.files, f)
				return err
			})
		case "more":
			return elements(dec, func() error { return p.readMore(dec) })
		case "name":
			if err := json.UnmarshalDecode(dec, &p.name); err != nil {
				return err
			}
			return c.name(p.name)
		}
		return dec.SkipValue()
	})
	if err != nil && !errors.Is(err, ErrFormat) {
		err = syntaxError(err)
	}
	if err != nil {
		return page{}, err
	}
	return p, nil
}

// syntaxError is an error of the JSON reader, without the text that it stumbled over.
func syntaxError(err error) error {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return formatError("byte %d: bad JSON", syntax.ByteOffset)
	}
	if value, ok := errors.AsType[*json.SemanticError](err); ok {
		return formatError("byte %d: a value of the wrong kind", value.ByteOffset)
	}
	return formatError("bad JSON")
}

// checkVersion looks at the whole page: it is one object, without duplicate names, and says "folder":1.
func checkVersion(data []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	version := int64(-1)
	err := members(dec, func(name string) error {
		if name == "folder" {
			return json.UnmarshalDecode(dec, &version)
		}
		return dec.SkipValue()
	})
	if err == nil {
		if _, end := dec.ReadToken(); end != io.EOF {
			return formatError("something follows the page")
		}
	}
	switch {
	case err != nil && !errors.Is(err, ErrFormat):
		return syntaxError(err)
	case err != nil:
		return err
	case version > 1:
		return fmt.Errorf("%w: format %d, this is %w", ErrFormat, version, ErrVersion)
	case version != 1:
		return formatError(`it does not say "folder":1`)
	}
	return nil
}

// members calls f behind each name of an object; f reads the value.
func members(dec *jsontext.Decoder, f func(name string) error) error {
	if dec.PeekKind() != '{' {
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
		return formatError("it is not an object")
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		t, err := dec.ReadToken()
		if err != nil {
			return err
		}
		if err := f(t.String()); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// elements calls f before each element of an array; f reads it.
func elements(dec *jsontext.Decoder, f func() error) error {
	if dec.PeekKind() != '[' {
		if err := dec.SkipValue(); err != nil {
			return err
		}
		return formatError("files and more are lists")
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		if err := f(); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

func readFile(dec *jsontext.Decoder) (File, error) {
	var e entry
	if err := json.UnmarshalDecode(dec, &e); err != nil {
		return File{}, err
	}
	f := File{Path: e.Path, Mtime: e.Mtime, Executable: e.Executable, Hidden: e.Hidden || dotted(e.Path)}
	if e.Size == nil {
		return File{}, formatError("size of %s is missing", quote(e.Path))
	}
	f.Size = *e.Size
	var err error
	if f.BLAKE3, err = chunk.ParseHash(e.BLAKE3); err != nil {
		return File{}, formatError("blake3 of %s is not a hash", quote(e.Path))
	}
	if e.SHA256 != "" {
		if f.SHA256, err = chunk.ParseHash(e.SHA256); err != nil {
			return File{}, formatError("sha256 of %s is not a hash", quote(e.Path))
		}
	}
	return f, nil
}

// readMore takes the id of a further page. That none is there twice follows from the order of the paths, but for
// empty pages, which cost a fetch each: so it is asked for here.
func (p *page) readMore(dec *jsontext.Decoder) error {
	var text string
	if err := json.UnmarshalDecode(dec, &text); err != nil {
		return err
	}
	h, err := chunk.ParseHash(text)
	if err != nil {
		return formatError("a further page is not a hash")
	}
	for _, other := range p.more {
		if other == h {
			return formatError("a further page is there twice")
		}
	}
	if p.more = append(p.more, h); len(p.more) >= MaxPages {
		return formatError("more than %d pages", MaxPages)
	}
	return nil
}
