package mirror

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sharer/chunk"
	"sharer/folder"
)

// Blobs are the contents of all mirrors of a node, each once: DIR/<2 hex>/<62 hex>, by BLAKE3. What has such a name was
// verified and is on disk for good; what arrives waits in DIR/new until its whole group was synced. It keeps nothing in
// memory, whatever the number of contents.
type Blobs struct{ dir string }

const (
	newName    = "new"
	quarantine = "quarantine"

	// What was damaged stays for who wants to see it, within these bounds: a disk that goes bad fills itself with nothing.
	maxAside      = 100
	maxAsideBytes = 1 << 30
)

// OpenBlobs opens or makes a folder of contents.
func OpenBlobs(dir string) (*Blobs, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return &Blobs{dir: abs}, os.MkdirAll(filepath.Join(abs, newName), 0o700)
}

// Dir is where they are.
func (b *Blobs) Dir() string { return b.dir }

// New is where contents are fetched to, under what NewName says.
func (b *Blobs) New() string { return filepath.Join(b.dir, newName) }

// NewName is what a content is called while it arrives.
func NewName(h chunk.Hash) string { return h.String() }

// Path is where a content is, or would be.
func (b *Blobs) Path(h chunk.Hash) string {
	hex := h.String()
	return filepath.Join(b.dir, hex[:2], hex[2:])
}

// Has says whether a content is there.
func (b *Blobs) Has(h chunk.Hash) bool {
	fi, err := os.Lstat(b.Path(h))
	return err == nil && fi.Mode().IsRegular()
}

// Keep syncs a group of contents that have arrived in New, and gives them their names, and the modes and times of those
// files. It returns them as they lie there.
func (b *Blobs) Keep(_ context.Context, fetched []folder.File) (kept []Kept, err error) {
	if len(fetched) == 0 {
		return nil, nil
	}
	root, err := os.OpenRoot(b.New())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for _, f := range fetched {
		if err := dress(root, NewName(f.BLAKE3), f); err != nil {
			return nil, err
		}
	}
	if err := syncTree(b.New()); err != nil {
		return nil, err
	}
	made := map[byte]bool{}
	for _, f := range fetched {
		to := b.Path(f.BLAKE3)
		if !made[f.BLAKE3[0]] {
			if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
				return kept, err
			}
			made[f.BLAKE3[0]] = true
		}
		if err := os.Rename(filepath.Join(b.New(), NewName(f.BLAKE3)), to); err != nil {
			return kept, err
		}
		k, err := keptAt(to, chunk.Sums{BLAKE3: f.BLAKE3, SHA256: f.SHA256, Size: f.Size})
		if err != nil {
			return kept, err
		}
		kept = append(kept, k)
	}
	return kept, nil
}

// keptAt is a content that lies at a path, under a stamp that further names of the file do not change.
func keptAt(path string, sums chunk.Sums) (Kept, error) {
	fi, err := os.Lstat(path)
	if err == nil && !fi.Mode().IsRegular() {
		err = &fs.PathError{Op: "keep", Path: path, Err: chunk.ErrNotRegular}
	}
	if err != nil {
		return Kept{}, err
	}
	stamp := chunk.StampOf(fi)
	stamp.Ctime = 0
	return Kept{Path: path, Sums: sums, Stamp: stamp}, nil
}

// Remove removes a content; that it is not there is no error.
func (b *Blobs) Remove(_ context.Context, h chunk.Hash) error {
	if err := os.Remove(b.Path(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Open opens a content: the file itself.
func (b *Blobs) Open(_ context.Context, h chunk.Hash, size int64) (io.ReadSeekCloser, error) {
	file, stamp, err := chunk.OpenRegular(b.Path(h))
	if err != nil {
		return nil, err
	}
	if stamp.Size != size {
		return nil, errors.Join(fs.ErrNotExist, file.Close()) // damaged: the scrub will find it
	}
	return file, nil
}

// adopt has nothing to take over: what lies here under its name is known by that.
func (b *Blobs) adopt(context.Context, []folder.File) ([]Kept, error) { return nil, nil }

// aside moves a content away. What was put aside longest ago goes when more lies there than may; also the new one, if it is
// too large by itself.
func (b *Blobs) aside(h chunk.Hash, at time.Time) (removed int, err error) {
	dir := filepath.Join(b.dir, quarantine)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	// The time stands in front so that names sort by it; the file's own is what the publisher said.
	if err := os.Rename(b.Path(h), filepath.Join(dir, at.UTC().Format("20060102T150405.000-")+h.String())); err != nil {
		return 0, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	slices.Reverse(entries)
	files, bytes := 0, int64(0)
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			return removed, err
		}
		if files < maxAside && bytes+fi.Size() <= maxAsideBytes {
			files, bytes = files+1, bytes+fi.Size()
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// Clear removes what began to arrive and nobody goes on with.
func (b *Blobs) Clear() error {
	if err := os.RemoveAll(b.New()); err != nil {
		return err
	}
	return os.Mkdir(b.New(), 0o700)
}

// Each calls visit with all contents, in the order of their hashes, and their sizes.
func (b *Blobs) Each(visit func(h chunk.Hash, size int64) error) error {
	dirs, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if len(d.Name()) != 2 || !d.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(b.dir, d.Name()))
		if err != nil {
			return err
		}
		for _, f := range files {
			h, err := chunk.ParseHash(d.Name() + f.Name())
			if err != nil || h.String() != d.Name()+f.Name() {
				continue
			}
			fi, err := f.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := visit(h, fi.Size()); err != nil {
				return err
			}
		}
	}
	return nil
}
