package folder

import (
	"context"
	"slices"
	"strings"
	"sync"

	"sharer/chunk"
)

// Catalogue finds files of a folder that is too large to hold: it keeps the first path of each page, and the pages
// that were asked for last. Safe for concurrent use.
type Catalogue struct {
	Name  string
	pages []catalogued
	read  func(context.Context, chunk.Hash) ([]byte, error)

	mu   sync.Mutex
	kept []keptFiles // last used in front
}

type catalogued struct {
	id    chunk.Hash
	first string
}

type keptFiles struct {
	page  int
	files []File
}

// keptCatalogue bounds the pages in memory: some 3 MiB each.
const keptCatalogue = 4

// NewCatalogue reads a folder once; read is fetch of Read, and is called again for each page that is needed.
func NewCatalogue(ctx context.Context, id chunk.Hash, read func(context.Context, chunk.Hash) ([]byte, error)) (*Catalogue, error) {
	c := &Catalogue{read: read}
	var page chunk.Hash
	counted := func(ctx context.Context, h chunk.Hash) ([]byte, error) {
		page = h
		return read(ctx, h)
	}
	name, err := Each(ctx, id, counted, func(f File) error {
		if n := len(c.pages); n == 0 || c.pages[n-1].id != page {
			c.pages = append(c.pages, catalogued{page, f.Path})
		}
		return nil
	})
	c.Name = name
	return c, err
}

// Find returns the file of a path.
func (c *Catalogue) Find(ctx context.Context, path string) (File, bool, error) {
	i := c.pageOf(path)
	if i < 0 {
		return File{}, false, nil
	}
	files, err := c.page(ctx, i)
	if err != nil {
		return File{}, false, err
	}
	k, ok := slices.BinarySearchFunc(files, path, func(a File, p string) int { return strings.Compare(a.Path, p) })
	if !ok {
		return File{}, false, nil
	}
	return files[k], true, nil
}

// pageOf is the page that a path is in, if it is in one; -1: it is before all.
func (c *Catalogue) pageOf(path string) int {
	i, exact := slices.BinarySearchFunc(c.pages, path, func(a catalogued, p string) int { return strings.Compare(a.first, p) })
	if exact {
		return i
	}
	return i - 1
}

func (c *Catalogue) page(ctx context.Context, i int) ([]File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, kept := range c.kept {
		if kept.page == i {
			copy(c.kept[1:k+1], c.kept[:k])
			c.kept[0] = kept
			return kept.files, nil
		}
	}
	p, err := readPage(ctx, c.pages[i].id, c.read, &checker{})
	if err != nil {
		return nil, err
	}
	if len(c.kept) < keptCatalogue {
		c.kept = append(c.kept, keptFiles{})
	}
	copy(c.kept[1:], c.kept)
	c.kept[0] = keptFiles{i, p.files}
	return p.files, nil
}

// Under calls visit with the files whose paths begin with prefix, in order, until it returns false.
func (c *Catalogue) Under(ctx context.Context, prefix string, visit func(File) bool) error {
	for i := max(c.pageOf(prefix), 0); i < len(c.pages); i++ {
		files, err := c.page(ctx, i)
		if err != nil {
			return err
		}
		at, _ := slices.BinarySearchFunc(files, prefix, func(a File, p string) int { return strings.Compare(a.Path, p) })
		for _, f := range files[at:] {
			if !strings.HasPrefix(f.Path, prefix) {
				return nil
			}
			if !visit(f) {
				return nil
			}
		}
	}
	return nil
}
