package mirror

import (
	"context"
	"io"
	"time"

	"sharer/chunk"
	"sharer/folder"
)

// Contents are those of all mirrors of a node, each once: on its own disk ([Blobs]), or elsewhere ([Remote]). What it has
// was verified before, and is there for good. Its methods are safe for concurrent use.
type Contents interface {
	// Path is the file that stands for a content, for who serves it: the content itself, or what is kept of it here.
	Path(h chunk.Hash) string
	// Has says whether a content is there. It asks nobody outside this machine.
	Has(h chunk.Hash) bool
	// Keep takes a group of contents that have arrived under NewName in the folder for it, and returns those it has.
	Keep(ctx context.Context, fetched []folder.File) ([]Kept, error)
	// Open opens a content. The error is fs.ErrNotExist for what is not there.
	Open(ctx context.Context, h chunk.Hash, size int64) (io.ReadSeekCloser, error)
	// Remove removes a content; that it is not there is no error.
	Remove(ctx context.Context, h chunk.Hash) error
	// Each calls visit with all contents, in the order of their hashes, and their sizes.
	Each(visit func(h chunk.Hash, size int64) error) error

	// adopt takes over those of some contents that lie there from before, unknown to whoever keeps account.
	adopt(ctx context.Context, files []folder.File) ([]Kept, error)
	// aside takes a damaged content away; where there is room it stays for who wants to see it, with the time. removed: so many of
	// earlier ones went for it.
	aside(h chunk.Hash, at time.Time) (removed int, err error)
}

var _, _ Contents = (*Blobs)(nil), (*Remote)(nil)

// Store is a place elsewhere for whole contents, by their BLAKE3, such as a bucket. It is not trusted: what it returns is
// verified by [Remote]. Its methods are safe for concurrent use; package storetest says what they have to do.
type Store interface {
	// Put keeps size bytes of r as the content h, which the caller has verified. It is there when Put returns, or, after an
	// error, not at all; what was there under h is replaced. r can be read again from the start.
	Put(ctx context.Context, h chunk.Hash, size int64, r io.ReadSeeker) error
	// Range reads n > 0 bytes from off on. Who reads may get fewer. The error is fs.ErrNotExist for a content that is not there.
	Range(ctx context.Context, h chunk.Hash, off, n int64) (io.ReadCloser, error)
	// Remove removes a content; that it is not there is no error.
	Remove(ctx context.Context, h chunk.Hash) error
	// Each calls visit with all contents, in the order of their hashes, and their sizes. It ends with the first error.
	Each(ctx context.Context, visit func(h chunk.Hash, size int64) error) error
}
