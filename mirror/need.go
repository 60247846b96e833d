package mirror

import (
	"context"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/identity"
)

// Fetcher brings contents from the swarm, verified.
type Fetcher interface {
	// Page fetches a content of at most folder.MaxPage bytes by the hashes that are known of it; one may be zero.
	Page(ctx context.Context, blake3, sha256 chunk.Hash) ([]byte, error)
	// Contents fetches the contents of files into a folder, each under its path, and calls done for each, never
	// concurrently. What is there already counts as fetched.
	Contents(ctx context.Context, o Order, done func(f folder.File, err error)) error
}

// Order is what a Fetcher is to fetch.
type Order struct {
	Dir   string
	Files []folder.File
	Down  int64             // bytes a second; 0: no limit
	Find  time.Duration     // how long somebody is looked for who has something; 0: as the Fetcher does
	Moved func(bytes int64) // told now and then what has come in all, unfinished contents included; nil: nobody
}

// Plain is a stretch of a file of a plain copy of a folder.
type Plain struct {
	Base     string // URL
	File     string // path in the folder
	Size     int64  // of the whole file, in bytes
	Off, Len int64  // bytes; Len > 0 come, or there is an error
	Down     int64  // bytes a second; 0: no limit
	Write    func(p []byte) error
}

// Names knows what publishers' names stand for.
type Names interface {
	// Resolve asks for the latest of a name. The error may be an *identity.ConflictError.
	Resolve(ctx context.Context, key identity.PublicKey, name string) (identity.Record, error)
}

// Shelf has contents served from where they are.
type Shelf interface {
	// Offer serves what these files hold, from now on; again for a path whose stamp has changed.
	Offer(kept []Kept) error
	// Withdraw stops it.
	Withdraw(paths []string) error
}

// Kept is a content in a file that is not the user's.
type Kept struct {
	Path  string
	Sums  chunk.Sums
	Stamp chunk.Stamp
}

// Denier says what the operator does not carry.
type Denier interface {
	DeniesContent(ids ...chunk.ID) bool
	DeniesKey(k identity.PublicKey) bool
}
