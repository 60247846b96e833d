package folder

import (
	"context"
	"fmt"
	"strings"

	"sharer/chunk"
)

// Each is Read for who need not have all files at once: visit is called with each in order, and one page is in memory.
// Only when Each returns nil the folder was a folder: what visit has seen before is of no use after an error. An
// error of visit ends it and is returned as it is.
func Each(ctx context.Context, id chunk.Hash, fetch func(context.Context, chunk.Hash) ([]byte, error), visit func(File) error) (name string, err error) {
	var c checker
	var p parents
	see := func(files []File) error {
		for _, f := range files {
			if err := p.next(f.Path); err != nil {
				return err
			}
			if err := visit(f); err != nil {
				return err
			}
		}
		return nil
	}
	first, err := readPage(ctx, id, fetch, &c)
	if err == nil {
		err = see(first.files)
	}
	if err != nil {
		return "", err
	}
	for i, h := range first.more {
		further, err := readPage(ctx, h, fetch, &c)
		switch {
		case err != nil:
			return "", fmt.Errorf("page %d of %d: %w", i+1, len(first.more), err)
		case len(further.more) > 0:
			return "", formatError("page %d of %d names further pages", i+1, len(first.more))
		}
		if err := see(further.files); err != nil {
			return "", err
		}
	}
	return first.name, nil
}

// PageIDs are the pages of a folder, the first one's id first.
func PageIDs(ctx context.Context, id chunk.Hash, fetch func(context.Context, chunk.Hash) ([]byte, error)) ([]chunk.Hash, error) {
	var c checker
	first, err := readPage(ctx, id, fetch, &c)
	if err != nil {
		return nil, err
	}
	return append([]chunk.Hash{id}, first.more...), nil
}

// parents finds a file that is a folder too. Paths that begin with another one follow it in the order of bytes, so
// those that may still be the beginning of what comes are a stack: no deeper than a path is long.
type parents struct{ open []string }

func (p *parents) next(path string) error {
	for len(p.open) > 0 && !strings.HasPrefix(path, p.open[len(p.open)-1]) {
		p.open = p.open[:len(p.open)-1]
	}
	for _, f := range p.open {
		if path[len(f)] == '/' {
			return formatError("%s is a file and a folder", quote(f))
		}
	}
	p.open = append(p.open, path)
	return nil
}

// Means says whether the patterns mean a file of this path; Under, Hidden and Places are not asked.
func (s Selection) Means(path string) bool {
	return (len(s.Include) == 0 || fitsAny(s.Include, path)) && !fitsAny(s.Exclude, path)
}
