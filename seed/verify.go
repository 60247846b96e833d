package seed

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"sharer/chunk"
	"sharer/index"
)

// Verdict is what reading a file again has shown.
type Verdict string

// The verdicts.
const (
	Sound      Verdict = "ok"
	Changed    Verdict = "changed" // its stamp is another: somebody wrote to it
	Damaged    Verdict = "damaged" // its stamp is the same, and its bytes are not
	Missing    Verdict = "gone"
	Unreadable Verdict = "unreadable" // Err says why
)

// Checked is a file that was read again.
type Checked struct {
	Entry   index.Entry
	Verdict Verdict
	Err     error // why it is not Sound
}

// Verify reads a file again and compares it with what is known of it. A stamp of zero is not compared, nor a hash of zero. It changes
// nothing. progress may be nil; it is told of bytes read. When ctx ends the verdict is Unreadable, and Err its error.
func Verify(ctx context.Context, e index.Entry, progress func(n int)) Checked {
	verdict, err := verify(ctx, e, progress)
	return Checked{e, verdict, err}
}

func verify(ctx context.Context, e index.Entry, progress func(n int)) (Verdict, error) {
	f, stamp, err := chunk.OpenRegular(e.Place.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Missing, err
	case errors.Is(err, chunk.ErrNotRegular):
		return Changed, err
	case err != nil:
		return Unreadable, err
	}
	defer f.Close()
	if e.Place.Stamp != (chunk.Stamp{}) && !e.Place.Stamp.Fits(stamp) || stamp.Size != e.Content.Size {
		return Changed, chunk.ErrChanged
	}
	if progress == nil {
		progress = func(int) {}
	}
	sums, err := chunk.Sum(ctx, io.NewSectionReader(f, 0, stamp.Size), stamp.Size, nil, progress)
	if errors.Is(err, chunk.ErrSize) {
		return Changed, chunk.ErrChanged
	}
	if err != nil {
		return Unreadable, err
	}
	after, err := f.Stat()
	if err != nil {
		return Unreadable, err
	}
	zero := chunk.Hash{}
	switch {
	case chunk.StampOf(after) != stamp:
		return Changed, chunk.ErrChanged
	case e.Content.BLAKE3 != zero && sums.BLAKE3 != e.Content.BLAKE3, e.Content.SHA256 != zero && sums.SHA256 != e.Content.SHA256:
		return Damaged, ErrNotTheContent
	}
	return Sound, nil
}
