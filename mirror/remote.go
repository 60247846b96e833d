package mirror

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"sharer/chunk"
	"sharer/folder"
)

// Remote are contents that lie in a [Store]. Of each its hash tree is kept here, under its hash, and behind the tree the
// size: that file says that the store has the content, and every byte that comes back is checked against it (1.6 % of the
// content, 72 bytes at least). A content is written after it was hashed; its tree is made before, and gets its name after
// the store has said that it has it; and it loses the name before the store is told to remove it. So after an end in
// between the next OpenRemote knows what to remove. It keeps 32 MiB of what was read last in memory.
type Remote struct {
	store    Store
	trees    *Blobs
	arrivals string
	windows  cache
}

const (
	putJobs    = 8 // contents that are written to the store, or read, at the same time
	trailerLen = 8 // bytes behind a tree: the size, big endian
)

// OpenRemote opens or makes the folder of the trees of what store has, and removes what an earlier run has begun to write
// to it. What is to be kept arrives in arrivals.
func OpenRemote(ctx context.Context, dir, arrivals string, store Store) (*Remote, error) {
	trees, err := OpenBlobs(dir)
	if err != nil {
		return nil, err
	}
	r := &Remote{store: store, trees: trees, arrivals: arrivals, windows: newCache()}
	if err := r.recover(ctx); err != nil {
		return nil, err
	}
	return r, r.find(ctx)
}

// recover removes from the store what has a tree that did not get its name, or lost it.
func (r *Remote) recover(ctx context.Context) error {
	begun, err := os.ReadDir(r.trees.New())
	if err != nil {
		return err
	}
	for _, e := range begun {
		h, err := chunk.ParseHash(e.Name())
		if err != nil || r.trees.Has(h) {
			continue
		}
		if err := r.store.Remove(ctx, h); err != nil {
			return err
		}
	}
	return r.trees.Clear()
}

// Dir is where the trees are.
func (r *Remote) Dir() string { return r.trees.Dir() }

// Path is where the tree of a content is.
func (r *Remote) Path(h chunk.Hash) string { return r.trees.Path(h) }

// Has says whether a content was put there.
func (r *Remote) Has(h chunk.Hash) bool { return r.trees.Has(h) }

// Keep hashes what has arrived, writes it to the store, and syncs the trees of the group together.
func (r *Remote) Keep(ctx context.Context, fetched []folder.File) (kept []Kept, err error) {
	errs := make([]error, len(fetched))
	var jobs errgroup.Group
	jobs.SetLimit(putJobs)
	for i := range fetched {
		jobs.Go(func() error { errs[i] = r.put(ctx, fetched[i]); return nil })
	}
	_ = jobs.Wait() // the errors are in errs
	if err := syncTree(r.trees.New()); err != nil {
		return nil, err
	}
	for i, f := range fetched {
		if errs[i] == nil {
			var k Kept
			if k, errs[i] = r.name(f.BLAKE3, "", chunk.Sums{BLAKE3: f.BLAKE3, SHA256: f.SHA256, Size: f.Size}); errs[i] == nil {
				kept = append(kept, k)
				errs[i] = os.Remove(filepath.Join(r.arrivals, NewName(f.BLAKE3)))
			}
		}
	}
	return kept, errors.Join(errs...)
}

// put writes one content to the store, and its tree into the folder for new ones.
func (r *Remote) put(ctx context.Context, f folder.File) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	in, _, err := chunk.OpenRegular(filepath.Join(r.arrivals, NewName(f.BLAKE3)))
	if err != nil {
		return err
	}
	defer in.Close()
	sums, err := makeTree(ctx, in, f.Size, filepath.Join(r.trees.New(), NewName(f.BLAKE3)))
	if err != nil {
		return err
	}
	if !f.Is(sums) {
		return fmt.Errorf("%s is not what was fetched: it is not written to the store", f.BLAKE3)
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := r.store.Put(ctx, f.BLAKE3, f.Size, in); err != nil {
		return fmt.Errorf("the store does not take %s: %w", f.BLAKE3, err)
	}
	return nil
}

// makeTree hashes size bytes, and writes what is kept of them: the tree, and the size.
func makeTree(ctx context.Context, in io.Reader, size int64, path string) (sums chunk.Sums, err error) {
	tree, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return sums, err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	if sums, err = chunk.Sum(ctx, in, size, tree, nil); err != nil {
		return sums, err
	}
	_, err = tree.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(size)), chunk.ShapeOf(size).FileSize())
	return sums, err
}

// name makes a content one that is there: its tree was made under its hash and a suffix.
func (r *Remote) name(h chunk.Hash, suffix string, sums chunk.Sums) (Kept, error) {
	to := r.trees.Path(h)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return Kept{}, err
	}
	if err := os.Rename(filepath.Join(r.trees.New(), NewName(h)+suffix), to); err != nil {
		return Kept{}, err
	}
	r.windows.forget(h)
	return keptAt(to, sums)
}

// Remove removes a content: first what is known of it here, so that nobody asks for it any more.
func (r *Remote) Remove(ctx context.Context, h chunk.Hash) error {
	if err := r.forget(h); err != nil {
		return err
	}
	if err := r.store.Remove(ctx, h); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(r.trees.New(), NewName(h))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// aside forgets a content. What the store has under its hash is replaced when it comes again, or removed at the next start.
func (r *Remote) aside(h chunk.Hash, _ time.Time) (removed int, err error) { return 0, r.forget(h) }

// forget takes the name of a content's tree, so that nobody asks for it any more.
func (r *Remote) forget(h chunk.Hash) error {
	r.windows.forget(h)
	err := os.Rename(r.trees.Path(h), filepath.Join(r.trees.New(), NewName(h)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Each calls visit with all contents that were put there.
func (r *Remote) Each(visit func(h chunk.Hash, size int64) error) error {
	return r.trees.Each(func(h chunk.Hash, tree int64) error {
		size, err := r.sizeOf(h, tree)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was removed meanwhile
		}
		if err != nil {
			return err
		}
		return visit(h, size)
	})
}

// sizeOf reads the size behind a tree. That of a damaged one is 0: what is read of it will not be the content.
func (r *Remote) sizeOf(h chunk.Hash, length int64) (int64, error) {
	f, err := os.Open(r.trees.Path(h))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var b [trailerLen]byte
	if _, err := f.ReadAt(b[:], max(length-trailerLen, 0)); err != nil && err != io.EOF {
		return 0, err
	}
	size := int64(binary.BigEndian.Uint64(b[:]))
	if size < 0 || size > chunk.MaxSize || chunk.ShapeOf(size).FileSize()+trailerLen != length {
		return 0, nil
	}
	return size, nil
}

// Open opens a content for reading; what is read was verified.
func (r *Remote) Open(ctx context.Context, h chunk.Hash, size int64) (io.ReadSeekCloser, error) {
	fi, err := os.Lstat(r.trees.Path(h))
	if err != nil {
		return nil, err
	}
	if fi.Size() != chunk.ShapeOf(size).FileSize()+trailerLen {
		return nil, fmt.Errorf("%w: the tree of %s has not its size", errDamaged, h)
	}
	at := readerAt(func(p []byte, off int64) (int, error) { return r.ReadContent(ctx, h, size, p, off) })
	return section{io.NewSectionReader(at, 0, size)}, nil
}

type readerAt func(p []byte, off int64) (int, error)

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r(p, off) }

// section needs no closing.
type section struct{ *io.SectionReader }

func (section) Close() error { return nil }

// ReadContent reads from off on, as io.ReaderAt, of a content of that size. What the store returns is verified before any of
// it is given out.
func (r *Remote) ReadContent(ctx context.Context, h chunk.Hash, size int64, p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("mirror: a read before the start")
	}
	for n < len(p) {
		at := off + int64(n)
		if at >= size {
			return n, io.EOF
		}
		data, err := r.windows.get(ctx, windowKey{h, at / windowLen}, func(ctx context.Context) ([]byte, error) {
			return r.fetch(ctx, h, size, at/windowLen*windowLen)
		})
		if err != nil {
			return n, err
		}
		n += copy(p[n:], data[at%windowLen:])
	}
	return n, nil
}

// fetch reads and verifies one window.
func (r *Remote) fetch(ctx context.Context, h chunk.Hash, size, off int64) ([]byte, error) {
	leaves, err := r.leaves(h, size, off)
	if err != nil {
		return nil, err
	}
	n := min(windowLen, size-off)
	in, err := r.store.Range(ctx, h, off, n)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the store has it no more", errDamaged)
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data := make([]byte, n)
	if _, err := io.ReadFull(in, data); errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		return nil, fmt.Errorf("%w: the store has less of it", errDamaged)
	} else if err != nil {
		return nil, err
	}
	if leaves == nil && chunk.RootOfBlock(data) == h || leaves != nil && len(chunk.CheckBlocks(data, off/chunk.BlockSize, leaves, nil)) == 0 {
		return data, nil
	}
	return nil, fmt.Errorf("%w: the store has something else from byte %d on", errDamaged, off)
}

// leaves are those of the window at off; nil: it is one block, which is checked against the hash itself.
func (r *Remote) leaves(h chunk.Hash, size, off int64) ([]chunk.Hash, error) {
	if size <= chunk.BlockSize {
		return nil, nil
	}
	first, blocks := off/chunk.BlockSize, (min(windowLen, size-off)+chunk.BlockSize-1)/chunk.BlockSize
	raw := make([]byte, blocks*int64(len(h)))
	if _, err := r.ReadTree(h, size, raw, chunk.ShapeOf(size).Offset(0, first)); err != nil {
		return nil, err
	}
	leaves := make([]chunk.Hash, blocks)
	for i := range leaves {
		copy(leaves[i][:], raw[i*len(h):])
	}
	return leaves, nil
}

// ReadTree reads the tree file of a content of that size, as io.ReaderAt.
func (r *Remote) ReadTree(h chunk.Hash, size int64, p []byte, off int64) (int, error) {
	f, _, err := chunk.OpenRegular(r.trees.Path(h))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.NewSectionReader(f, 0, chunk.ShapeOf(size).FileSize()).ReadAt(p, off)
}
