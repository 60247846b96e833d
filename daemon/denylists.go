package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"sharer/chunk"
	"sharer/control"
	"sharer/deny"
	"sharer/identity"
	"sharer/mirror"
	"sharer/node"
)

const (
	denyEvery     = 15 * time.Minute // between two looks at the names of lists; newer versions are told of besides
	denyRetry     = time.Minute
	maxSubscribed = 16 // lists, of a page each: 1 MiB
)

// DenyList is a deny list that somebody publishes, and that the operator has asked for. It is data: lines of deny.Parse, of
// which those that cannot be read deny nothing.
type DenyList struct {
	Key  identity.PublicKey `json:"key"`
	Name string             `json:"name"`
	Seq  int64              `json:"seq"` // of what was fetched last
}

// file is the name of the list in the folder of lists. The key keeps it apart from those of the operator.
func (l DenyList) file() string {
	return "by-" + l.Key.String()[:16] + "-" + mirror.NameFor(l.Name) + ".list"
}

func (l DenyList) is(key identity.PublicKey, name string) bool { return l.Key == key && l.Name == name }

// SubscribeDeny fetches a list, and has it hold and followed from now on. One that nobody has is not followed.
func (d *Daemon) SubscribeDeny(ctx context.Context, key identity.PublicKey, name string) error {
	d.denyLists.Lock()
	defer d.denyLists.Unlock()
	l := DenyList{Key: key, Name: name}
	for _, other := range d.subscribed() {
		switch {
		case other.is(key, name):
			return nil
		case other.file() == l.file():
			return fmt.Errorf("%w: %s is where the list %q of the same publisher is kept", control.ErrBad, l.file(), other.Name)
		}
	}
	if len(d.subscribed()) >= maxSubscribed {
		return fmt.Errorf("%w: more than %d lists", control.ErrBad, maxSubscribed)
	}
	ctx, cancel := context.WithTimeout(ctx, nameTimeout+mirrorFind)
	defer cancel()
	if err := d.refreshDeny(ctx, l); err != nil {
		return err
	}
	for _, r := range d.Records() { // a newer version may have come while this one was fetched, and nobody followed it
		d.denyNews(r)
	}
	return nil
}

// UnsubscribeDeny ends that, and what the list denied holds no more.
func (d *Daemon) UnsubscribeDeny(key identity.PublicKey, name string) error {
	d.denyLists.Lock()
	defer d.denyLists.Unlock()
	if !slices.ContainsFunc(d.subscribed(), func(l DenyList) bool { return l.is(key, name) }) {
		return fmt.Errorf("%w: no list %q of 0x%s", control.ErrUnknown, name, key)
	}
	err := d.saveDenyLists(func(ls []DenyList) []DenyList {
		return slices.DeleteFunc(ls, func(l DenyList) bool { return l.is(key, name) })
	})
	if err == nil {
		err = removeIfThere(filepath.Join(node.DenyDir(d.cfg.Node.StateDir), DenyList{Key: key, Name: name}.file()))
	}
	d.reloadDeny()
	return err
}

func (d *Daemon) subscribed() []DenyList {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.saved.DenyLists)
}

func (d *Daemon) saveDenyLists(change func([]DenyList) []DenyList) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.saved.DenyLists = change(slices.Clone(d.saved.DenyLists))
	return d.saveLocked()
}

func (d *Daemon) reloadDeny() {
	changed, errs := d.Deny().Reload()
	if changed {
		d.reconsider()
	}
	for _, err := range errs {
		d.log.Warn("deny list", "err", err)
	}
}

// refreshDeny fetches a list if there is a newer one than was fetched last. The caller has the lock of the lists.
func (d *Daemon) refreshDeny(ctx context.Context, l DenyList) error {
	r, err := publishers{d.Node}.Resolve(ctx, l.Key, l.Name)
	if err != nil || r.Seq <= l.Seq { // an earlier one would open what is denied
		return err
	}
	var blake3 chunk.Hash
	if r.BLAKE3 != nil {
		blake3 = *r.BLAKE3
	}
	text, err := fetcher{d.Node}.Page(ctx, blake3, r.SHA256)
	if err != nil {
		return err
	}
	if err := deny.WriteList(node.DenyDir(d.cfg.Node.StateDir), l.file(), text); err != nil {
		return err
	}
	d.log.Info("a deny list that is followed has a new version", "name", l.Name, "seq", r.Seq)
	l.Seq = r.Seq
	err = d.saveDenyLists(func(ls []DenyList) []DenyList {
		return append(slices.DeleteFunc(ls, func(o DenyList) bool { return o.is(l.Key, l.Name) }), l)
	})
	d.reloadDeny()
	return err
}

// followDeny keeps the lists as their publishers have them. What cannot be fetched stays as it was.
func (d *Daemon) followDeny() {
	timer := time.NewTimer(denyRetry)
	defer timer.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-timer.C:
		case <-d.denyDue:
		}
		wait := denyEvery
		d.denyLists.Lock()
		for _, l := range d.subscribed() {
			if err := d.refreshDeny(d.ctx, l); err != nil && d.ctx.Err() == nil {
				d.log.Warn("deny list", "name", l.Name, "of", l.Key, "err", err)
				wait = denyRetry
			}
		}
		d.denyLists.Unlock()
		timer.Reset(wait)
	}
}

// denyNews has the lists looked at when one of their names has a newer version.
func (d *Daemon) denyNews(r identity.Record) {
	if slices.ContainsFunc(d.subscribed(), func(l DenyList) bool { return l.is(r.Key, r.Path) && r.Seq > l.Seq }) {
		poke(d.denyDue)
	}
}
