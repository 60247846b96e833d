package seed

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"sharer/chunk"
	"sharer/index"
)

// hash is one hashing goroutine. It takes jobs until there are no more, also when ctx
// has ended, for each job holds a folder.
func (s *scan) hash(ctx context.Context) {
	for j := range s.jobs {
		if ctx.Err() == nil {
			s.done <- s.hashFile(ctx, j)
		}
		j.dir.release()
	}
}

// hashFile reads a file, and once more if it changed meanwhile.
func (s *scan) hashFile(ctx context.Context, j job) Event {
	for attempt := 1; ; attempt++ {
		f, err := s.hashOnce(ctx, j)
		switch {
		case err == nil:
			return Event{Kind: FileDone, File: f}
		case errors.Is(err, chunk.ErrNotRegular):
			return Event{Kind: Skipped, Path: j.path, Reason: NotRegular}
		case !errors.Is(err, chunk.ErrChanged):
			return Event{Kind: Failed, Path: j.path, Err: err}
		case attempt == 2:
			return Event{Kind: Failed, Path: j.path, Err: &fs.PathError{Op: "hash", Path: j.path, Err: ErrChanging}}
		}
		if j.looks, err = j.dir.Lstat(j.name); err != nil {
			return Event{Kind: Failed, Path: j.path, Err: err}
		}
	}
}

// hashOnce reads a file. The error wraps chunk.ErrChanged when it is not the file that
// j.looks says, or does not stay the same.
func (s *scan) hashOnce(ctx context.Context, j job) (File, error) {
	if !j.looks.Mode().IsRegular() {
		return File{}, chunk.ErrNotRegular
	}
	s.hook("open", j.path)
	f, err := j.dir.OpenFile(j.name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return File{}, err
	}
	// os.Root follows a link inside the root: then this is another file.
	if !os.SameFile(before, j.looks) || !before.Mode().IsRegular() {
		return File{}, chunk.ErrChanged
	}
	s.hook("hash", j.path)
	stamp := chunk.StampOf(before)
	sums, err := s.sum(ctx, f, stamp.Size, func() error {
		s.hook("hashed", j.path)
		after, err := f.Stat()
		if err == nil && chunk.StampOf(after) != stamp {
			err = chunk.ErrChanged
		}
		return err
	})
	if err != nil {
		return File{}, err
	}
	return j.file(index.Content{SHA256: sums.SHA256, BLAKE3: sums.BLAKE3, Size: sums.Size}, stamp, false), nil
}

// sum hashes a content of size bytes, and keeps its tree if it is large enough to have
// a file. same is asked at the end whether it stayed the same.
func (s *scan) sum(ctx context.Context, r io.Reader, size int64, same func() error) (chunk.Sums, error) {
	var draft *Draft
	var tree io.WriterAt
	if s.trees != nil && size > smallTree {
		// A tree that cannot be written is no reason not to seed the file: it is made
		// again when somebody asks for it.
		if d, err := s.trees.Create(); err == nil {
			defer d.Abort()
			draft, tree = d, d
		}
	}
	sums, err := chunk.Sum(ctx, r, size, tree, func(n int) { s.read.Add(int64(n)) })
	if errors.Is(err, chunk.ErrSize) {
		err = chunk.ErrChanged
	}
	if err == nil {
		err = same()
	}
	if err == nil && draft != nil {
		draft.Commit(sums.BLAKE3, size)
	}
	return sums, err
}
