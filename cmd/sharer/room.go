package main

import (
	"context"
	"time"

	"github.com/spf13/pflag"

	"sharer/node"
	"sharer/store"
)

// leastFree is --min-free, as store.LeavesFree wants it.
type leastFree struct{ bytes byteSize }

// Set reads a size.
func (l *leastFree) Set(text string) error { return l.bytes.Set(text) }

// String is what it is without the flag, too.
func (l *leastFree) String() string {
	if l.bytes == 0 {
		return "1G or 1%"
	}
	return l.bytes.String()
}

// Type is the word for the value in help.
func (l *leastFree) Type() string { return l.bytes.Type() }

func (l *leastFree) register(f *pflag.FlagSet) {
	f.Var(l, "min-free", "what downloads leave free on their disk; 0: nothing (default 1G or 1 % of it, whichever is less)")
}

// settle tells the 0 that was given from none.
func (l *leastFree) settle(f *pflag.FlagSet) {
	if l.bytes == 0 && f.Changed("min-free") {
		l.bytes = noRoomKept
	}
}

// room ends a download of a node that lives as long as the command when what is missing would take more of the disk than --min-free
// leaves. A daemon does that by itself, for what it fetches.
type room struct {
	path   string
	least  int64 // of store.LeavesFree
	stop   context.CancelCauseFunc
	looked time.Time // at the disk
	now    func() time.Time
}

// room is the one of a download to path; the context ends with it.
func (g *getting) room(ctx context.Context, path string) (context.Context, *room) {
	ctx, stop := context.WithCancelCause(ctx)
	r := &room{path: path, least: int64(g.o.minFree.bytes), stop: stop, now: time.Now}
	if g.toStdout || g.byDaemon {
		r.least = noRoomKept
	}
	return ctx, r
}

// noRoomKept is a least that leaves nothing free; only a disk that is full is an obstacle then.
const noRoomKept = -1

// look asks the disk, once a second.
func (r *room) look(p node.Progress) {
	now := r.now()
	if r.least < 0 || p.Total < 0 || p.Done >= p.Total || now.Sub(r.looked) < time.Second {
		return
	}
	r.looked = now
	if err := store.LeavesFree(r.path, p.Total-p.Done, r.least); err != nil {
		r.stop(err)
	}
}

// end is the error of a download that ended with err: for want of room, if that is why.
func (r *room) end(ctx context.Context, err error) error {
	defer r.stop(nil)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}
