package gateway

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"time"

	"sharer/chunk"
)

// Errors that an implementation of the interfaces below returns, or wraps, where they fit.
var (
	ErrNotFound  = errors.New("no peer has it")                    // 504 with Retry-After, 404 where only what is held counts
	ErrNotHeld   = errors.New("not held here")                     // 404: it was asked for with Held
	ErrQuota     = errors.New("the quota of the store is used up") // 507
	ErrDiskFull  = errors.New("the disk is full")                  // 507
	ErrTooLarge  = errors.New("too large")                         // 413
	ErrBadName   = errors.New("not a name that can be used")       // 400
	ErrDamaged   = errors.New("the file is damaged")               // of LoadGrants
	ErrDenied    = errors.New("it is on a deny list")              // 410
	ErrIntegrity = errors.New("the content is not its id")         // 502
)

// Want names a content that is to be opened.
type Want struct {
	ID    chunk.ID
	Also  chunk.ID         // the other hash of it, if known
	Name  string           // as it is called; a stranger's text
	Size  int64            // as the link says, -1: not said
	Peers []netip.AddrPort // hints of a link
	Held  bool             // only what is complete and offered here: no download begins
	Wait  time.Duration    // how long somebody is looked for who has it
}

// Content is one open content. It is for one goroutine.
type Content interface {
	io.ReadSeekCloser
	Size() int64 // bytes
	// File returns a descriptor of the whole content, complete and verified, that nobody writes to, so that
	// the kernel may send it; nil where there is none. It is closed with the content.
	File() *os.File
	// Verified says whether what Read returns was verified. Where it is not, Whole waits until all is
	// there and is what it should be.
	Verified() bool
	Whole(ctx context.Context) error
}

// Contents opens contents, wherever they are. Open returns when the size is certain, or
// with ErrNotFound after Want.Wait.
type Contents interface {
	Open(ctx context.Context, w Want) (Content, error)
}

// Named is what a publisher's name means now.
type Named struct {
	ID, Also chunk.ID
	Folder   bool   // ID is a manifest
	Path     string // in the folder: what of the name goes beyond the folder's own
	Size     int64  // -1: not said
}

// Names knows publishers' names.
type Names interface {
	// Resolve returns the newest that is known within wait; with held nobody is asked.
	Resolve(ctx context.Context, key [32]byte, name string, wait time.Duration, held bool) (Named, error)
	// Publish signs that name now means that content.
	Publish(ctx context.Context, name string, sums chunk.Sums) error
}

// Uploads keeps what is uploaded, and shares it.
type Uploads interface {
	// Put reads r to its end; the error is ErrQuota, ErrDiskFull, ErrTooLarge, or that of r.
	Put(ctx context.Context, name string, r io.Reader) (chunk.Sums, error)
}

// Denied says why an id is refused.
type Denied struct {
	Legal  bool   // 451 instead of 410
	Reason string // may be empty
}

// Deny is asked before a content is opened.
type Deny interface {
	Denied(id chunk.ID) (Denied, bool)
}
