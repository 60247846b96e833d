package mirror

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sharer/chunk"
	"sharer/folder"
	"sharer/internal/atomicfile"
)

// pages are manifests on disk, a file a page. Each is checked against its hash whenever it is read, so it matters to
// nobody how it came there.
type pages struct{ dir string }

const pageSuffix = ".json"

func (p pages) path(h chunk.Hash) string { return filepath.Join(p.dir, h.String()+pageSuffix) }

func (p pages) read(_ context.Context, h chunk.Hash) ([]byte, error) { return os.ReadFile(p.path(h)) }

// files are those of a version whose pages are there.
func (p pages) files(ctx context.Context, h Head) Files {
	if h.Zero() {
		return None
	}
	return func(visit func(folder.File) error) error {
		_, err := folder.Each(ctx, h.ID, p.read, visit)
		return err
	}
}

// known are the files of a version, as far as its pages are there.
func (p pages) known(ctx context.Context, h Head) Files {
	return func(visit func(folder.File) error) error {
		if err := p.files(ctx, h)(visit); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
}

// first fetches a first page by what a publisher has signed, and returns its BLAKE3.
func (p pages) first(ctx context.Context, f Fetcher, blake3, sha chunk.Hash) (chunk.Hash, error) {
	if blake3 != (chunk.Hash{}) {
		if _, err := os.Lstat(p.path(blake3)); err == nil {
			return blake3, nil
		}
	}
	data, err := f.Page(ctx, blake3, sha)
	if err != nil {
		return chunk.Hash{}, err
	}
	if sha != (chunk.Hash{}) && chunk.Hash(sha256.Sum256(data)) != sha {
		return chunk.Hash{}, errors.New("the manifest is not what was asked for")
	}
	sums, err := chunk.Sum(ctx, strings.NewReader(string(data)), int64(len(data)), nil, nil)
	if err != nil {
		return chunk.Hash{}, err
	}
	if blake3 != (chunk.Hash{}) && sums.BLAKE3 != blake3 {
		return chunk.Hash{}, errors.New("the manifest is not what was asked for")
	}
	return sums.BLAKE3, p.write(sums.BLAKE3, data)
}

// rest fetches the pages behind the first one that are not there, and checks the whole folder.
func (p pages) rest(ctx context.Context, f Fetcher, id chunk.Hash) error {
	ids, err := folder.PageIDs(ctx, id, p.read)
	if err != nil {
		return err
	}
	for _, h := range ids {
		if _, err := os.Lstat(p.path(h)); err == nil {
			continue
		}
		data, err := f.Page(ctx, h, chunk.Hash{})
		if err == nil {
			err = p.write(h, data)
		}
		if err != nil {
			return fmt.Errorf("the manifest's page %s: %w", h, err)
		}
	}
	_, err = folder.Each(ctx, id, p.read, func(folder.File) error { return nil })
	return err
}

func (p pages) write(h chunk.Hash, data []byte) error {
	return atomicfile.Write(p.path(h), data, atomicfile.How{})
}

// kept are the files of the pages of some versions, as far as they are there.
func (p pages) kept(ctx context.Context, heads []Head) (paths []string, err error) {
	for _, h := range heads {
		if h.Zero() {
			continue
		}
		ids, err := folder.PageIDs(ctx, h.ID, p.read)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			paths = append(paths, p.path(id))
		}
	}
	return paths, nil
}

// clear removes the pages of all versions but those, and returns what it removed.
func (p pages) clear(ctx context.Context, but []Head) (gone []string, err error) {
	keep, err := p.kept(ctx, but)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(p.dir, e.Name())
		if slices.Contains(keep, path) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return gone, err
		}
		gone = append(gone, path)
	}
	return gone, nil
}
