package mirror

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"golang.org/x/sync/errgroup"

	"sharer/chunk"
	"sharer/folder"
	"sharer/internal/atomicfile"
)

// When the state folder was lost, what lies in the store is known by nobody here. Before anything is written to it, its list
// is taken down, in a file of 40 bytes a content in the order of their hashes; what is wanted and stands there is read once,
// verified, and kept as if it had been written just now. So it is neither fetched nor written again.

const (
	foundName   = ".found"
	foundLen    = len(chunk.Hash{}) + 8
	adoptSuffix = ".adopt" // of a tree that is made of what the store has: a kill leaves the store as it was
)

// find takes the list of a store down of which nothing is known here, once.
func (r *Remote) find(ctx context.Context) error {
	path := filepath.Join(r.trees.Dir(), foundName)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	some := errors.New("there are some")
	if err := r.trees.Each(func(chunk.Hash, int64) error { return some }); err != nil {
		if err == some {
			return nil
		}
		return err
	}
	var list []byte
	var last chunk.Hash
	err := r.store.Each(ctx, func(h chunk.Hash, size int64) error {
		if len(list) > 0 && bytes.Compare(last[:], h[:]) >= 0 {
			return fmt.Errorf("its list is not in order at %s", h)
		}
		last = h
		list = binary.BigEndian.AppendUint64(append(list, h[:]...), uint64(size))
		return nil
	})
	if err != nil || len(list) == 0 {
		return err
	}
	return atomicfile.Write(path, list, atomicfile.How{})
}

// adopt takes over those of some contents that the store has from before, verified.
func (r *Remote) adopt(ctx context.Context, files []folder.File) (kept []Kept, err error) {
	list, err := os.Open(filepath.Join(r.trees.Dir(), foundName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer list.Close()
	sums := make([]chunk.Sums, len(files))
	errs := make([]error, len(files))
	var jobs errgroup.Group
	jobs.SetLimit(putJobs)
	for i := range files {
		jobs.Go(func() error {
			var there bool
			if there, errs[i] = foundIn(list, files[i]); there && errs[i] == nil {
				sums[i], errs[i] = r.readAll(ctx, files[i])
			}
			return nil
		})
	}
	_ = jobs.Wait() // the errors are in errs
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(sums, func(s chunk.Sums) bool { return s != chunk.Sums{} }) {
		return nil, nil
	}
	if err := syncTree(r.trees.New()); err != nil {
		return nil, err
	}
	for i, f := range files {
		if sums[i] == (chunk.Sums{}) {
			continue
		}
		k, err := r.name(f.BLAKE3, adoptSuffix, sums[i])
		if err != nil {
			return kept, err
		}
		kept = append(kept, k)
	}
	return kept, nil
}

// foundIn looks a content up in the list.
func foundIn(list *os.File, f folder.File) (bool, error) {
	fi, err := list.Stat()
	if err != nil || f.Size == 0 {
		return false, err
	}
	var entry [foundLen]byte
	n := int(fi.Size()) / foundLen
	at := sort.Search(n, func(i int) bool {
		if _, readErr := list.ReadAt(entry[:], int64(i*foundLen)); readErr != nil {
			err = readErr
		}
		return bytes.Compare(entry[:len(f.BLAKE3)], f.BLAKE3[:]) >= 0
	})
	if err != nil || at == n {
		return false, err
	}
	_, err = list.ReadAt(entry[:], int64(at*foundLen))
	return chunk.Hash(entry[:len(f.BLAKE3)]) == f.BLAKE3 && int64(binary.BigEndian.Uint64(entry[len(f.BLAKE3):])) == f.Size, err
}

// readAll reads a content that the store has, and makes its tree. What is not what it should be is none: it will be replaced.
func (r *Remote) readAll(ctx context.Context, f folder.File) (sums chunk.Sums, err error) {
	in, err := r.store.Range(ctx, f.BLAKE3, 0, f.Size)
	if errors.Is(err, fs.ErrNotExist) {
		return chunk.Sums{}, nil
	}
	if err != nil {
		return chunk.Sums{}, err
	}
	defer in.Close()
	path := filepath.Join(r.trees.New(), NewName(f.BLAKE3)+adoptSuffix)
	sums, err = makeTree(ctx, in, f.Size, path)
	switch {
	case errors.Is(err, chunk.ErrSize), errors.Is(err, io.ErrUnexpectedEOF):
		err = nil
	case err != nil:
		return chunk.Sums{}, err
	case f.Is(sums):
		return sums, nil
	}
	return chunk.Sums{}, os.Remove(path)
}
