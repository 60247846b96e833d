package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sharer/chunk"
	"sharer/control"
	"sharer/deny"
	"sharer/store"
)

// Denials are the entries of all deny lists.
func (d *Daemon) Denials() (out []control.Denial) {
	for _, e := range d.Deny().Entries() {
		out = append(out, control.Denial{Entry: e.String(), Reason: e.Reason, Ref: e.Ref, Legal: e.Legal, List: e.List})
	}
	return out
}

func parseDenial(text string) (deny.Entry, error) {
	e, ok, err := deny.Parse(text)
	if err == nil && !ok {
		err = errors.New("is empty")
	}
	if err != nil {
		return e, fmt.Errorf("%w: the entry %q %w", control.ErrBad, text, err)
	}
	return e, nil
}

// AddDenial has something not carried from now on.
func (d *Daemon) AddDenial(_ context.Context, in control.Denial) error {
	e, err := parseDenial(in.Entry)
	if err != nil {
		return err
	}
	e.Reason, e.Ref, e.Legal = in.Reason, in.Ref, in.Legal
	if err := d.Deny().Add(e, time.Now()); err != nil {
		return err
	}
	d.reconsider()
	return nil
}

// RemoveDenial takes an entry out of the own list.
func (d *Daemon) RemoveDenial(_ context.Context, text string) error {
	e, err := parseDenial(text)
	if err != nil {
		return err
	}
	there, err := d.Deny().Remove(e, time.Now())
	if err == nil && !there {
		err = fmt.Errorf("%w: %s is not in the own list", control.ErrUnknown, e)
	}
	if err == nil {
		d.reconsider()
	}
	return err
}

func (d *Daemon) reconsider() {
	if d.mirrors != nil {
		d.mirrors.Reconsider()
	}
}

// ApplyDeny removes what is denied from the store; mirrors leave it out of their next version, which they begin at once.
func (d *Daemon) ApplyDeny(ctx context.Context) (p control.Purge, err error) {
	// A line that cannot be read keeps its neighbours from nothing.
	_, errs := d.Deny().Reload()
	defer func() { err = errors.Join(append(errs, err)...) }()
	for _, e := range d.Store().List() {
		id := chunk.ID{Kind: chunk.BLAKE3, Hash: e.Sums.BLAKE3}
		if !d.DeniesContent(id, chunk.ID{Kind: chunk.SHA256, Hash: e.Sums.SHA256}) {
			continue
		}
		if err := d.Discard(id); errors.Is(err, store.ErrNotFound) {
			continue // it had to make room, or somebody else has removed it, meanwhile
		} else if err != nil {
			return p, err
		}
		p.Stored++
		p.Bytes += e.Sums.Size
	}
	if d.mirrors == nil {
		return p, nil
	}
	n, bytes, err := d.mirrors.Purge(ctx)
	p.Stored, p.Bytes = p.Stored+n, p.Bytes+bytes
	d.reconsider()
	return p, err
}
