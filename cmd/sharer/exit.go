package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"sharer/control"
	"sharer/folder"
	"sharer/identity"
	"sharer/node"
)

// exit is the exit code of the process. The codes are documented in help; they
// are only ever added to.
type exit int

// The exit codes.
const (
	exitDone        exit = 0
	exitFailed      exit = 1   // any failure that has no code of its own
	exitUsage       exit = 2   // also what a crash of the Go runtime gives
	exitNotFound    exit = 3   // nobody had it within --find-timeout, which is worth a retry; or nothing here is called so
	exitStalled     exit = 4   // incomplete, the partial is kept; worth a retry
	exitIntegrity   exit = 5   // data is not what its id says
	exitSome        exit = 6   // some of several items failed
	exitFull        exit = 7   // disk full or quota
	exitExists      exit = 8   // the target exists with other content
	exitDaemon      exit = 10  // a daemon is needed and there is none
	exitLocked      exit = 11  // the state folder or the partial belongs to another process
	exitRefused     exit = 12  // permission, deny lists
	exitHungUp      exit = 129 // SIGHUP
	exitInterrupted exit = 130 // SIGINT
	exitTerminated  exit = 143 // SIGTERM
)

// exitNames are the code fields of the JSON events and the words of help.
var exitNames = []struct {
	code       exit
	name, help string
}{
	{exitDone, "done", "done"},
	{exitFailed, "failed", "other failure"},
	{exitUsage, "usage", "wrong usage, malformed link"},
	{exitNotFound, "not_found", "not found within --find-timeout, or not here"},
	{exitStalled, "stalled", "stalled or incomplete; the partial is kept"},
	{exitIntegrity, "integrity", "data is not what its id says"},
	{exitSome, "some_failed", "some of several items failed"},
	{exitFull, "disk_full", "disk full or quota"},
	{exitExists, "exists", "the target exists"},
	{exitDaemon, "no_daemon", "a daemon is needed and not reachable"},
	{exitLocked, "locked", "in use by another sharer"},
	{exitRefused, "refused", "not permitted"},
	{exitHungUp, "hung_up", "the terminal went away (SIGHUP)"},
	{exitInterrupted, "interrupted", "interrupted (Ctrl-C)"},
	{exitTerminated, "terminated", "terminated (SIGTERM)"},
}

// String is the code's name in JSON events.
func (e exit) String() string {
	for _, n := range exitNames {
		if n.code == e {
			return n.name
		}
	}
	return "failed"
}

// usageError is a mistake in the command line. It exits 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// codedError is an error whose exit code was decided where it arose.
type codedError struct {
	code exit
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// outputError is a failed write to stdout.
type outputError struct{ err error }

func (e *outputError) Error() string { return "standard output: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// interrupted is the cause with which a signal cancels the context.
type interrupted struct{ signal os.Signal }

func (e *interrupted) Error() string { return "interrupted" }

// Is makes it a context.Canceled: some return the cause of a context, some its Err.
func (e *interrupted) Is(target error) bool { return target == context.Canceled }

// signalExit is the exit code for a signal.
func signalExit(s os.Signal) exit {
	switch s {
	case syscall.SIGTERM:
		return exitTerminated
	case syscall.SIGHUP:
		return exitHungUp
	}
	return exitInterrupted
}

// bySignal says whether e is that of a signal.
func (e exit) bySignal() bool { return e == exitHungUp || e == exitInterrupted || e == exitTerminated }

// exitOf maps an error to an exit code. ctx tells an interruption from a failure.
func exitOf(ctx context.Context, err error) exit {
	var usage *usageError
	var coded *codedError
	var locked *node.LockedError
	var stopped *interrupted
	var several *severalError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &several):
		return several.code
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &stopped):
		return signalExit(stopped.signal)
	case errors.As(err, &locked):
		return exitLocked
	// A full disk comes before the rest: it is also why a download stalls.
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return exitFull
	case errors.Is(err, node.ErrIntegrity), errors.Is(err, node.ErrConflict), errors.Is(err, identity.ErrKeyFile):
		return exitIntegrity
	case errors.Is(err, node.ErrExists):
		return exitExists
	case errors.Is(err, node.ErrNotFound), errors.Is(err, folder.ErrNoSuchPath):
		return exitNotFound
	case errors.Is(err, node.ErrStalled):
		return exitStalled
	case errors.Is(err, fs.ErrPermission), errors.Is(err, control.ErrRefused), errors.Is(err, node.ErrDenied):
		return exitRefused
	case errors.Is(err, control.ErrGone), errors.Is(err, control.ErrVersion):
		return exitDaemon
	}
	return exitFailed
}

// together is the exit code of several items: none failed, all failed in the same
// way, or some failed. The codes are those of the failed ones.
func together(failed []exit, total int) exit {
	if len(failed) == 0 {
		return exitDone
	}
	if len(failed) < total {
		return exitSome
	}
	for _, c := range failed {
		if c != failed[0] {
			return exitSome
		}
	}
	return failed[0]
}

// about is a message with the name of what it is about, unless it begins so by itself.
func about(name, message string) string {
	if strings.HasPrefix(message, name+": ") || strings.HasPrefix(message, name+" ") {
		return message
	}
	return name + ": " + message
}

// message is an error as one line for people: the cause, then the remedy.
func message(ctx context.Context, err error, code exit) string {
	var stopped *interrupted
	var coded *codedError
	if code.bySignal() && errors.As(context.Cause(ctx), &stopped) && !errors.As(err, &coded) {
		return stopped.Error()
	}
	text := escape(strings.TrimSuffix(err.Error(), "."))
	if r := remedy(err, code); r != "" {
		text += ". " + r
	}
	return text
}

// remedy is what a person can do about an error; empty if the cause says it all.
func remedy(err error, code exit) string {
	var several *severalError
	var coded *codedError
	if errors.As(err, &several) || errors.As(err, &coded) {
		return ""
	}
	if errors.Is(err, folder.ErrNoSuchPath) {
		return "sharer ls LINK lists what there is"
	}
	if errors.Is(err, node.ErrDenied) {
		return "sharer deny ls lists what is, sharer deny rm ends it for what you have denied yourself"
	}
	switch code {
	case exitNotFound:
		return "Try --find-timeout 10m, or name a peer that has it: --peer HOST:PORT"
	case exitStalled:
		return "What came is kept; the same command goes on from there"
	case exitIntegrity:
		return "Nothing of it was put under its final name"
	case exitFull:
		return "Free some space and give the same command again; a download to a file goes on where it was"
	case exitExists:
		return "Use --force to replace it or --rename to keep both"
	case exitDaemon:
		return "Give the same command again; what was begun goes on"
	case exitLocked:
		return "Wait until it ends, or use another --state-dir or -o"
	}
	return ""
}

// severalError sums up items whose own errors were printed already.
type severalError struct {
	code          exit
	failed, total int
	what          string // "files", "links"
}

func (e *severalError) Error() string {
	return fmt.Sprintf("%d of %d %s failed", e.failed, e.total, e.what)
}
