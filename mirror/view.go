package mirror

import (
	"context"
	"errors"
	"io"
	"time"

	"sharer/folder"
	"sharer/identity"
)

// View is the version that a mirror has now, for who reads it. It stays that version.
type View struct {
	Head  Head
	Since time.Time
	Key   identity.PublicKey // of the publisher; zero: a folder that does not change
	Files *folder.Catalogue
	from  Contents
}

// Open opens a file of the version: its content. The error is fs.ErrNotExist for what is not carried.
func (v *View) Open(ctx context.Context, f folder.File) (io.ReadSeekCloser, error) {
	return v.from.Open(ctx, f.BLAKE3, f.Size)
}

// Carries says whether a file of the version is here.
func (v *View) Carries(f folder.File) bool { return v.from.Has(f.BLAKE3) }

// View returns the version of a mirror that is current; nil: there is none, or no such mirror.
func (s *Set) View(ctx context.Context, name string) (*View, error) {
	m, err := s.Find(name)
	if errors.Is(err, ErrNoMirror) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// A new version's manifest is read by the first who asks; the others wait for it.
	m.viewing.Lock()
	defer m.viewing.Unlock()
	m.mu.Lock()
	current, view, key := m.current, m.view, m.spec.Key
	m.mu.Unlock()
	switch {
	case current.Zero():
		return nil, nil
	case view != nil && view.Head == current.Head:
		return view, nil
	}
	files, err := folder.NewCatalogue(ctx, current.ID, m.pages.read)
	if err != nil {
		return nil, err
	}
	view = &View{Head: current.Head, Since: current.Since, Key: key, Files: files, from: s.contents}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.view = view
	return view, nil
}

// Status is what others may know of the mirrors of a node: mirror.json, and, signed, mirror-status.json.
type Status struct {
	V       int                `json:"mirror_status"` // 1
	Key     identity.PublicKey `json:"key"`
	Name    string             `json:"name,omitempty"` // of who runs it, as that says
	Contact string             `json:"contact,omitempty"`
	Time    time.Time          `json:"time"`
	Mirrors []StatusOf         `json:"mirrors"`
	Sent    int64              `json:"sent_bytes"` // of content, since the start: a claim, which nobody can check
}

// StatusOf is one mirror in it.
type StatusOf struct {
	Name     string    `json:"name"`
	Link     string    `json:"link"`
	Seq      int64     `json:"seq"`    // of the version here
	Latest   int64     `json:"latest"` // that the publisher has, as far as is known here
	ID       string    `json:"id"`
	Signed   time.Time `json:"signed,omitzero"`
	Seen     time.Time `json:"seen,omitzero"`
	Complete time.Time `json:"complete,omitzero"`
	Lag      float64   `json:"lag_s"`
	Files    int       `json:"files"`
	Bytes    int64     `json:"bytes"`
	State    Doing     `json:"state"`
	Share    string    `json:"share,omitempty"` // of the files, if not all
	Copies   int       `json:"copies,omitempty"`
}

// StatusName is what a status is published as, under the mirror's own key.
const StatusName = "mirror-status.json"

// Status returns what others may know now. Hooks, folders, and errors stay here.
func (s *Set) Status() Status {
	now := s.now()
	out := Status{V: 1, Key: s.cfg.Self, Time: now.UTC().Truncate(time.Second), Mirrors: []StatusOf{}}
	for _, m := range s.Mirrors() {
		l := m.Look()
		one := StatusOf{
			Name: l.Spec.Name, Link: l.Link, Seq: l.Current.Seq, Latest: l.State.Latest().Seq, Signed: l.Trace.Signed, Seen: l.State.Seen, Complete: l.Trace.Complete,
			Lag: l.Lag(now).Seconds(), Files: l.Trace.Files, Bytes: l.Trace.Bytes, State: l.Doing, Copies: l.Spec.Rules.Copies,
		}
		if !l.Current.Zero() {
			one.ID = "folder/" + l.Current.ID.String()
		}
		if p := l.Spec.Rules.Share; p.Percent > 0 {
			one.Share = p.String()
		}
		out.Mirrors = append(out.Mirrors, one)
	}
	return out
}
