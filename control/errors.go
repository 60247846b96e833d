package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/identity"
	"sharer/mirror"
	"sharer/node"
	"sharer/seed"
)

var (
	// ErrNone is returned by Dial when nobody answers for the state folder.
	ErrNone = errors.New("no daemon is running")
	// ErrGone is returned when the daemon went away in the middle of an answer.
	ErrGone = errors.New("the daemon went away")
	// ErrVersion is wrapped by the error for a daemon whose API is another.
	ErrVersion = errors.New("the daemon is of another version")
	// ErrUnknown is wrapped by the error for an id or a name that the daemon does not know.
	ErrUnknown = errors.New("nothing here has that name or id")
	// ErrRefused is wrapped by the error for what the caller may not do.
	ErrRefused = errors.New("not permitted")
	// ErrBad is wrapped by the error for a request that makes no sense.
	ErrBad = errors.New("bad request")
)

// Error is an error on its way over the socket. What it was there it is here: errors.Is and
// errors.As find what its codes stand for.
type Error struct {
	Codes   []string `json:"codes,omitempty"` // of sentinels
	Message string   `json:"message"`

	Locked   *node.LockedError   `json:"locked,omitempty"`
	NotFound *node.NotFoundError `json:"not_found,omitempty"`
	Name     *node.NameError     `json:"name,omitempty"`
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns what the codes stand for.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, code := range e.Codes {
		for _, s := range sentinels {
			if s.code == code {
				errs = append(errs, s.err)
			}
		}
	}
	if e.Locked != nil {
		errs = append(errs, e.Locked)
	}
	if e.NotFound != nil {
		errs = append(errs, e.NotFound)
	}
	if e.Name != nil {
		errs = append(errs, e.Name)
	}
	return errs
}

// sentinels are the errors that somebody branches on, by their code on the socket. Codes are only ever added.
var sentinels = []struct {
	code string
	err  error
}{
	{"not_found", node.ErrNotFound}, {"stalled", node.ErrStalled}, {"integrity", node.ErrIntegrity}, {"exists", node.ErrExists},
	{"name", identity.ErrName}, {"key", identity.ErrKey}, {"names_full", identity.ErrFull}, {"too_long", node.ErrLong}, {"conflict", node.ErrConflict},
	{"closing", node.ErrClosed}, {"no_answer", node.ErrNoAnswer}, {"no_state", node.ErrNoState}, {"denied", node.ErrDenied},
	{"canceled", context.Canceled}, {"deadline", context.DeadlineExceeded},
	{"no_file", fs.ErrNotExist}, {"permission", fs.ErrPermission}, {"file_exists", fs.ErrExist},
	{"disk_full", syscall.ENOSPC}, {"disk_quota", syscall.EDQUOT}, {"read_only", syscall.EROFS}, {"io", syscall.EIO},
	{"changing", seed.ErrChanging}, {"changed", chunk.ErrChanged}, {"not_regular", chunk.ErrNotRegular}, {"bad_id", chunk.ErrBadID},
	{"manifest", folder.ErrFormat}, {"manifest_version", folder.ErrVersion}, {"no_such_path", folder.ErrNoSuchPath},
	{"held", mirror.ErrHeld}, {"no_room", mirror.ErrFull}, {"frozen", mirror.ErrFrozen}, {"mirror_exists", mirror.ErrExists},
	{"unknown", ErrUnknown}, {"refused", ErrRefused}, {"bad_request", ErrBad}, {"version", ErrVersion}, {"timeout", os.ErrDeadlineExceeded},
}

// errorOf is what goes over the socket of err, nil of nil.
func errorOf(err error) *Error {
	if err == nil {
		return nil
	}
	e := &Error{Message: err.Error()}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			e.Codes = append(e.Codes, s.code)
		}
	}
	errors.As(err, &e.Locked)
	errors.As(err, &e.NotFound)
	errors.As(err, &e.Name)
	return e
}

// status is the HTTP status for those who look at that: curl, and the logs of people.
func (e *Error) status() int {
	const badRequest, forbidden, missing, failed = 400, 403, 404, 500
	switch {
	case errors.Is(e, ErrBad), errors.Is(e, ErrVersion):
		return badRequest
	case errors.Is(e, ErrRefused):
		return forbidden
	case errors.Is(e, ErrUnknown), errors.Is(e, fs.ErrNotExist):
		return missing
	}
	return failed
}

func badf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBad, fmt.Sprintf(format, args...))
}

// seconds in JSON, for times that a person chooses.
func seconds(d time.Duration) float64 { return d.Seconds() }
func duration(s float64) time.Duration {
	return time.Duration(s * float64(time.Second))
}
