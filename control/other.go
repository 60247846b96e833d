package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"sharer/chunk"
	"sharer/node"
)

// When the daemon is another user's it sends the bytes, and they are written here, by the rights of the caller: to a file
// beside the target, verified once more, then renamed. A download that is interrupted begins anew.

// getHere is Get for another user's daemon.
func (c *Client) getHere(ctx context.Context, f Fetch, g node.Get) (node.Got, error) {
	if f.ID.Kind == chunk.BLAKE3Tree || f.Named != "" {
		return node.Got{}, fmt.Errorf("%w: another user's daemon gives contents by sha256 and blake3 only; use --daemon never", ErrRefused)
	}
	if got, done, err := there(ctx, g); done || err != nil {
		return got, err
	}
	begun := time.Now()
	temp, err := chunk.CreateBeside(g.Path)
	if err != nil {
		return node.Got{}, err
	}
	f.Out, f.Force = true, false
	got, err := c.fetch(ctx, f, g.Path, Follower{Progress: oneFile(g.Progress), Out: temp})
	var sums chunk.Sums
	if err == nil {
		sums, err = sumOf(ctx, temp)
	}
	if err == nil && !is(sums, g.ID) || err == nil && g.Also.Valid() && !is(sums, g.Also) {
		err = fmt.Errorf("%w: what the daemon sent is not %s", node.ErrIntegrity, g.ID)
	}
	if err == nil {
		err = temp.Chmod(0o644)
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = publish(temp.Name(), g)
	}
	if err != nil {
		return got, errors.Join(err, os.Remove(temp.Name()))
	}
	got.Path, got.Sums, got.Size, got.Duration = g.Path, sums, sums.Size, time.Since(begun)
	return got, nil
}

// there says whether the target is there: the same bytes are as good as fetched, others are in the way.
func there(ctx context.Context, g node.Get) (node.Got, bool, error) {
	f, stamp, err := chunk.OpenRegular(g.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return node.Got{}, false, nil
	case errors.Is(err, chunk.ErrNotRegular):
		return node.Got{}, false, fmt.Errorf("%s: %w", g.Path, node.ErrExists)
	case err != nil:
		return node.Got{}, false, err
	}
	defer f.Close()
	sums, err := chunk.Sum(ctx, f, stamp.Size, nil, nil)
	switch {
	case err == nil && is(sums, g.ID):
		return node.Got{Path: g.Path, Size: stamp.Size, Sums: sums, Existed: true}, true, nil
	case err != nil && !errors.Is(err, chunk.ErrSize):
		return node.Got{}, false, err
	case !g.Force:
		return node.Got{}, false, fmt.Errorf("%s: %w", g.Path, node.ErrExists)
	}
	return node.Got{}, false, nil
}

func sumOf(ctx context.Context, f *os.File) (chunk.Sums, error) {
	fi, err := f.Stat()
	if err != nil {
		return chunk.Sums{}, err
	}
	return chunk.Sum(ctx, io.NewSectionReader(f, 0, fi.Size()), fi.Size(), nil, nil)
}

func is(s chunk.Sums, id chunk.ID) bool {
	if id.Kind == chunk.SHA256 {
		return s.SHA256 == id.Hash
	}
	return s.BLAKE3 == id.Hash
}

// publish gives a finished file its name.
func publish(temp string, g node.Get) error {
	if g.Force {
		return os.Rename(temp, g.Path)
	}
	if err := os.Link(temp, g.Path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", g.Path, node.ErrExists)
	} else if err != nil {
		return os.Rename(temp, g.Path) // a file system without links
	}
	return os.Remove(temp)
}
