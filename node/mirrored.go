package node

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"sharer/chunk"
	"sharer/folder"
	"sharer/index"
)

// indexBatch is how many entries are written in one transaction.
const indexBatch = 1000

// OfferFiles serves what lies in files that the caller keeps: verified, changed by nobody else. A stamp without Ctime is
// compared without it.
func (n *Node) OfferFiles(entries []index.Entry) error {
	if n.state == nil {
		return ErrNoState
	}
	for batch := range slices.Chunk(entries, indexBatch) {
		if err := n.state.index.Put(batch); err != nil {
			return err
		}
	}
	for _, e := range entries {
		n.library.offer(e.Place.Path)
	}
	return nil
}

// OfferUnder serves what an earlier session has offered below a folder by OfferFiles, and is still there. It returns how
// many files that are.
func (n *Node) OfferUnder(dir string) (files int, err error) {
	if n.state == nil {
		return 0, ErrNoState
	}
	var gone []string
	err = n.state.index.Under(dir, func(e index.Entry) error {
		if _, err := os.Lstat(e.Place.Path); errors.Is(err, fs.ErrNotExist) {
			gone = append(gone, e.Place.Path)
			return nil
		}
		n.library.offer(e.Place.Path)
		files++
		return nil
	})
	if err == nil && len(gone) > 0 {
		err = n.WithdrawFiles(gone)
	}
	return files, err
}

// WithdrawFiles stops serving files.
func (n *Node) WithdrawFiles(paths []string) error {
	if n.state == nil {
		return ErrNoState
	}
	for batch := range slices.Chunk(paths, indexBatch) {
		if err := n.state.index.ForgetAll(batch); err != nil {
			return err
		}
	}
	for _, p := range paths {
		n.library.sources.Forget(p)
	}
	l := n.library
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range paths {
		delete(l.offered, maphash.String(pathSeed, p))
		l.uncountLocked(p)
	}
	clear(l.recent) // found again when somebody asks
	l.order = nil
	return nil
}

// FetchPage fetches a content that is no longer than a page of a manifest. Of g the ID, Also, Peers and the timeouts are used.
func (n *Node) FetchPage(ctx context.Context, g Get) ([]byte, error) {
	dir, err := os.MkdirTemp("", "sharer-page-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // as in ReadFolder
	var out pageBuffer
	g.Path, g.Out, g.Size, g.own = filepath.Join(dir, "page"), &out, -1, true
	if _, err := n.Get(ctx, g); err != nil {
		return nil, err
	}
	return out, nil
}

// CopyHere brings a content that is seeded, or kept, on this machine to a path, and verifies it; false: it is not here, or
// is not what it was.
func (n *Node) CopyHere(ctx context.Context, f folder.File, to string) bool {
	if n.state == nil {
		return false
	}
	s := n.library.seeded(f.ID())
	if s == nil || s.content.Size != f.Size || f.SHA256 != (chunk.Hash{}) && s.content.SHA256 != f.SHA256 {
		return false
	}
	for _, place := range s.places {
		if place.Path == to || n.library.elsewhereOf(place.Path) != nil || copyFile(ctx, place.Path, to) != nil {
			continue
		}
		in, _, err := chunk.OpenRegular(to)
		if err != nil {
			continue
		}
		sums, err := chunk.Sum(ctx, in, f.Size, nil, nil)
		if errors.Join(err, in.Close()) == nil && sums.BLAKE3 == f.BLAKE3 {
			return true
		}
		_ = os.Remove(to) // the next place, or the swarm, replaces it
	}
	return false
}

// copyFile copies a file, by the kernel where it can: then blocks are shared where the file system shares them.
func copyFile(ctx context.Context, from, to string) error {
	in, _, err := chunk.OpenRegular(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(copyPieces(ctx, out, in), out.Close())
}

// copyPiece is how much is copied between two looks at a context, in bytes: nothing can end the system's copying of one.
const copyPiece = 16 << 20

// copyPieces copies all of a file.
func copyPieces(ctx context.Context, out *os.File, in io.Reader) error {
	for ctx.Err() == nil {
		if _, err := io.CopyN(out, in, copyPiece); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	return ctx.Err()
}
