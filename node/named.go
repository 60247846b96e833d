package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"sharer/chunk"
	"sharer/transfer"
)

// GetNamed fetches the content that some small nodes share under a bare file name. Nothing of it can be
// verified: it comes from one peer as it is, and is not offered to others. Got has its ids, so that it
// can be verified from then on. The errors are those of Get; an interrupted one starts over.
func (n *Node) GetNamed(ctx context.Context, name string, g Get) (Got, error) {
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return Got{}, err
	}
	defer end()
	start := time.Now()
	if g.FindTimeout <= 0 {
		g.FindTimeout = defaultFindTimeout
	}
	if _, err := os.Lstat(g.Path); !g.Force && !errors.Is(err, os.ErrNotExist) {
		return Got{}, fmt.Errorf("%s: %w", g.Path, ErrExists)
	}
	f, err := chunk.CreateBeside(g.Path)
	if err != nil {
		return Got{}, err
	}
	got, err := n.fetchNamed(ctx, name, g, f)
	if err == nil && n.cfg.Fsync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = publish(f.Name(), g)
	}
	if err != nil {
		return got, errors.Join(err, os.Remove(f.Name()))
	}
	got.Duration = time.Since(start)
	if g.Out != nil {
		err = copyOut(g.Out, got.Path)
	}
	return got, err
}

// publish gives a finished file its name.
func publish(temp string, g Get) error {
	if g.Force {
		return os.Rename(temp, g.Path)
	}
	if err := os.Link(temp, g.Path); errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s: %w", g.Path, ErrExists)
	} else if err != nil {
		return os.Rename(temp, g.Path) // a file system without links
	}
	return os.Remove(temp)
}

func (n *Node) fetchNamed(ctx context.Context, name string, g Get, f *os.File) (Got, error) {
	n.giveHints(g.Peers)
	c := transfer.NamedConfig{
		Name: name, File: f, Batch: n.swarm.Gate.NewBatch(), Peers: peers{n.swarm, n.deny}, Find: n.finder(chunk.ID{}, g.Peers),
		FindTimeout: g.FindTimeout, StallTimeout: g.StallTimeout,
	}
	if g.Progress != nil {
		r := rateMeter{}
		c.Progress = func(t transfer.Progress) { g.Progress(r.progress(t, time.Now())) }
	}
	named, err := n.downloads.RunNamed(ctx, c)
	got := Got{Path: g.Path, Size: named.Size, Fetched: named.Size, Asked: named.Asked, From: named.From}
	switch {
	case errors.Is(err, transfer.ErrNotFound):
		return got, &NotFoundError{Name: name, Asked: named.Asked, After: g.FindTimeout}
	case errors.Is(err, transfer.ErrStalled):
		return got, fmt.Errorf("%w (%v)", ErrStalled, err)
	case errors.Is(err, transfer.ErrRunning):
		return got, &LockedError{Path: g.Path, PID: os.Getpid()}
	case err != nil:
		return got, err
	}
	if got.Sums, err = chunk.Sum(ctx, f, named.Size, nil, nil); err != nil {
		return got, err
	}
	return got, f.Chmod(0o644)
}
