package mirror

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/internal/atomicfile"
)

// Beside the name of a folder its publisher signs two more (DESIGN.md, names): the list of files, by which those who know
// folders tell it from a file, and a page for browsers. A mirror holds their records too, and the page, so that all three
// outlive the publisher.
const (
	listSuffix    = "/folder.json"
	browserSuffix = "/index.html"
	pageName      = "index.html"
)

// companionsTime bounds the asking: where nobody has signed them there is nobody to say so.
const companionsTime = 10 * time.Second

// companions asks for the other two names after a new version. That a publisher has not signed them is no fault, and nobody but
// this mirror's loop waits for it.
func (m *Mirror) companions(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, companionsTime)
	defer cancel()
	spec := m.Look().Spec
	if !spec.follows() {
		return
	}
	base := strings.TrimSuffix(spec.Path, listSuffix)
	for _, name := range []string{base, base + listSuffix} {
		if name != spec.Path {
			_, _ = m.set.cfg.Names.Resolve(ctx, spec.Key, name) // the node holds what it has heard of
		}
	}
	r, err := m.set.cfg.Names.Resolve(ctx, spec.Key, base+browserSuffix)
	if err != nil {
		return
	}
	var blake3 chunk.Hash
	if r.BLAKE3 != nil {
		blake3 = *r.BLAKE3
	}
	data, err := m.set.cfg.Fetcher.Page(ctx, blake3, r.SHA256)
	if err != nil {
		return
	}
	path := filepath.Join(m.dir, pageName)
	if err = m.set.cfg.Shelf.Withdraw([]string{path}); err == nil {
		if err = atomicfile.Write(path, data, atomicfile.How{}); err == nil {
			err = m.offerPage(ctx)
		}
	}
	if err != nil {
		m.set.cfg.Log.Warn("the page of a mirrored folder cannot be kept", "name", spec.Name, "err", err)
	}
}

// offerPage serves the page for browsers, if there is one.
func (m *Mirror) offerPage(ctx context.Context) error {
	path := filepath.Join(m.dir, pageName)
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	sums, err := sumFile(ctx, path, fi.Size())
	if err != nil {
		return err
	}
	kept, err := keptAt(path, sums)
	if err != nil {
		return err
	}
	return m.set.cfg.Shelf.Offer([]Kept{kept})
}
