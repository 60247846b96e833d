package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sharer/chunk"
	"sharer/identity"
	"sharer/index"
	"sharer/internal/atomicfile"
	"sharer/mirror"
	trees "sharer/mirror/web"
)

// mirrorTrees serves the mirrors as plain trees; nil without mirrors.
func (d *Daemon) mirrorTrees() http.Handler {
	if d.mirrors == nil {
		return nil
	}
	return trees.Handler{Set: d.mirrors, Deny: func(ids ...chunk.ID) (legal bool, reason string, denied bool) {
		e, no := d.Deny().Content(ids...)
		return e.Legal != "", e.Reason, no
	}, DenyKey: func(k [32]byte) (legal bool, reason string, denied bool) {
		e, no := d.Deny().Key(k)
		return e.Legal != "", e.Reason, no
	}}
}

// mirrorsLag says which mirror is further behind than the operator allows.
func (d *Daemon) mirrorsLag() error {
	if d.cfg.MaxLag <= 0 {
		return nil
	}
	now := time.Now()
	for _, l := range d.Mirrors() {
		if lag := l.Lag(now); lag > d.cfg.MaxLag {
			return fmt.Errorf("the mirror %s is %s behind", l.Spec.Name, lag.Round(time.Second))
		}
	}
	return nil
}

const (
	statusFile  = "mirror-status.json"
	statusEvery = 10 * time.Minute // it is signed anew so often at least: it also says that the mirror is alive
	statusLook  = 5 * time.Second
)

// tellStatus signs what mirrors there are, when that has changed and from time to time.
func (d *Daemon) tellStatus() {
	tick := time.NewTicker(statusLook)
	defer tick.Stop()
	var last []byte
	var at time.Time
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-d.statusDue:
		case <-tick.C:
			if time.Since(at) < statusEvery {
				continue
			}
		}
		s := d.mirrorStatus()
		if len(s.Mirrors) == 0 && last == nil {
			continue
		}
		text, err := json.Marshal(s)
		if err == nil && !bytes.Equal(text, last) {
			err = d.publishStatus(text)
		}
		if err != nil && d.ctx.Err() == nil {
			d.log.Warn("the status of mirrors could not be published", "err", err)
		}
		last, at = text, time.Now()
	}
}

// mirrorStatus is what others may know.
func (d *Daemon) mirrorStatus() mirror.Status {
	s := d.mirrors.Status()
	s.Name, s.Contact, s.Sent = d.cfg.MirrorName, d.cfg.MirrorContact, int64(d.Stats().Uploads.Bytes)
	return s
}

func (d *Daemon) publishStatus(text []byte) error {
	path, err := filepath.Abs(filepath.Join(d.cfg.Node.StateDir, statusFile))
	if err == nil {
		err = atomicfile.Write(path, text, atomicfile.How{})
	}
	if err != nil {
		return err
	}
	sums, err := chunk.Sum(d.ctx, bytes.NewReader(text), int64(len(text)), nil, nil)
	if err != nil {
		return err
	}
	f, stamp, err := chunk.OpenRegular(path)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	content := index.Content{SHA256: sums.SHA256, BLAKE3: sums.BLAKE3, Size: sums.Size}
	if err := d.OfferFiles([]index.Entry{{Content: content, Place: index.Place{Path: path, Stamp: stamp}}}); err != nil {
		return err
	}
	_, err = d.Publish(d.ctx, mirror.StatusName, sums)
	return err
}

const (
	hearJobs    = 16 // mirrors that are asked at the same time: of a thousand most may be silent
	hearTimeout = 5 * time.Second
	readTimeout = 20 * time.Second
)

// hearMirrors looks which mirrors of the groups are alive, those whose status was signed lately, and what they say that they carry.
func (d *Daemon) hearMirrors() {
	tick := time.NewTicker(statusEvery / 2)
	defer tick.Stop()
	read := map[identity.PublicKey]int64{} // the number of the status that was read; of the groups' keys
	var links []string
	for {
		now := d.mirrorLinks()
		if !slices.Equal(now, links) {
			clear(read) // of each only what is mirrored here was noted
		}
		links = now
		d.hearAll(read)
		if d.ctx.Err() != nil {
			return
		}
		if d.mirrors.GroupChanged() {
			d.mirrors.Reconsider()
		}
		select {
		case <-d.ctx.Done():
			return
		case <-d.groupDue:
		case <-tick.C:
		}
	}
}

// mirrorLinks are what is mirrored here, in the order of the mirrors' names.
func (d *Daemon) mirrorLinks() (links []string) {
	for _, l := range d.Mirrors() {
		links = append(links, l.Link)
	}
	return links
}

func (d *Daemon) hearAll(read map[identity.PublicKey]int64) {
	group := d.mirrors.Group()
	seqs := make([]int64, len(group))
	var jobs errgroup.Group
	jobs.SetLimit(hearJobs)
	for i, k := range group {
		was := read[k]
		jobs.Go(func() error { seqs[i] = d.hear(k, was); return nil })
	}
	_ = jobs.Wait() // none fails
	clear(read)
	for i, k := range group {
		read[k] = seqs[i]
	}
}

// hear asks for the status of one mirror, reads it unless that was done, and returns the number of the one that was read.
func (d *Daemon) hear(k identity.PublicKey, was int64) int64 {
	ctx, cancel := context.WithTimeout(d.ctx, hearTimeout)
	defer d.mirrors.Asked(k)
	r, err := d.Poll(ctx, k, mirror.StatusName)
	cancel()
	if err != nil {
		return was
	}
	at := time.Unix(r.Seq, 0)
	if now := time.Now(); at.After(now) {
		at = now // a clock that is ahead, or a lie, is worth no more than now
	}
	defer d.mirrors.Heard(k, at) // only when what it says is noted: one that has no version yet takes nothing over from others
	if r.Seq == was {
		return was
	}
	ctx, cancel = context.WithTimeout(d.ctx, readTimeout)
	defer cancel()
	var blake3 chunk.Hash
	if r.BLAKE3 != nil {
		blake3 = *r.BLAKE3
	}
	data, err := fetcher{d.Node}.Page(ctx, blake3, r.SHA256)
	if err != nil {
		return was
	}
	s, err := mirror.ParseStatus(data)
	if err != nil {
		d.log.Debug("the status of another mirror", "key", k.String(), "err", err)
		return r.Seq // it will not be better before the next one
	}
	d.mirrors.Claims(k, s)
	return r.Seq
}
