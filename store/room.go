package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Room is space that is set aside for one content on its way.
type Room struct {
	d    *Disk
	size int64 // guarded by d.mu
	over sync.Once
}

// Room returns room of no bytes.
func (d *Disk) Room() *Room { return &Room{d: d} }

// Grow makes it so many bytes at least, by removing what may be removed. The error is, or wraps, ErrQuota or ErrDiskFull; then
// it is as it was, and nothing was removed in vain.
func (r *Room) Grow(size int64) error {
	d := r.d
	d.files.Lock()
	defer d.files.Unlock()
	d.mu.Lock()
	more := size - r.size
	if more <= 0 {
		d.mu.Unlock()
		return nil
	}
	need, err := d.needLocked(more)
	var parts []string
	var out []*entry
	if err == nil && need > 0 {
		parts = d.oldPartsLocked(need)
		for _, target := range parts {
			need -= d.parts[target].bytes
		}
	}
	if err == nil && need > 0 {
		out, err = d.oldestLocked(need)
	}
	if err == nil {
		for _, target := range parts {
			d.takePartLocked(target)
		}
		for _, e := range out {
			d.dropLocked(e)
		}
		r.size = size
		d.reserved += more
	}
	d.mu.Unlock()
	if err != nil {
		return err
	}
	for _, target := range parts {
		err = errors.Join(err, removePart(target))
	}
	for _, e := range out {
		err = errors.Join(err, e.remove())
		d.tell(e)
	}
	return err
}

// needLocked is how many bytes must be removed so that more fit.
func (d *Disk) needLocked(more int64) (need int64, err error) {
	if d.o.Quota > 0 {
		if more > d.o.Quota {
			return 0, fmt.Errorf("%w: it has %d bytes, and %d more are wanted", ErrQuota, d.o.Quota, more)
		}
		need = d.bytes + d.reserved + more - d.o.Quota
	}
	free, _, err := d.o.Space(d.dir)
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	// What is set aside and was not written yet is counted twice here, on the safe side of a disk that is nearly full.
	return max(need, more+d.min-free, 0), nil
}

// oldestLocked are contents of need bytes in all, or more, that were used longest ago and may be removed.
func (d *Disk) oldestLocked(need int64) (out []*entry, err error) {
	for _, e := range d.byBLAKE3 {
		if e.held == 0 && len(e.Pins) == 0 && e.Sums.Size > 0 {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int {
		return cmp.Or(a.Used.Compare(b.Used), slices.Compare(a.Sums.BLAKE3[:], b.Sums.BLAKE3[:]))
	})
	for i, e := range out {
		if need -= e.Sums.Size; need <= 0 {
			return out[:i+1], nil
		}
	}
	if d.o.Quota > 0 {
		return nil, ErrQuota
	}
	return nil, ErrDiskFull
}

// Release gives the room back: the content is in the store by now, or nowhere.
func (r *Room) Release() {
	r.over.Do(func() {
		r.d.mu.Lock()
		defer r.d.mu.Unlock()
		r.d.reserved -= r.size
	})
}
