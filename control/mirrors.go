package control

import (
	"context"

	"sharer/identity"
	"sharer/mirror"
)

// Mirrorer keeps mirrors.
type Mirrorer interface {
	Mirrors() []mirror.Look
	AddMirror(ctx context.Context, spec mirror.Spec) (mirror.Look, error)
	SyncMirror(ctx context.Context, name string, dry bool) (mirror.Report, error)
	TellMirror(name, what string) error
	SetMirrorRules(name string, r mirror.Rules) error
	RemoveMirror(ctx context.Context, name string, data bool) error
	MirrorLog(name string, n int) ([]mirror.Event, error)
	MirrorCopies(ctx context.Context, name string, fewer int) (mirror.Copies, error)
	Invitation(ctx context.Context, key identity.PublicKey, name string) (mirror.Invitation, error)
}

// toMirror is a request about one mirror.
type toMirror struct {
	Name string `json:"name"`
	Dry  bool   `json:"dry,omitempty"`
	What string `json:"what,omitempty"` // pause, resume, approve
	Data bool   `json:"data,omitempty"`
	Last int    `json:"last,omitempty"`
	Less int    `json:"fewer,omitempty"`

	Key   identity.PublicKey `json:"key,omitzero"`
	Rules mirror.Rules       `json:"rules,omitzero"`
}

// nothing is an answer without content.
type nothing struct{}

// ServeMirrors answers what is asked of mirrors.
func (s *Server) ServeMirrors(d Mirrorer) {
	handle(s, "GET /v1/mirrors", func(context.Context, nothing) ([]mirror.Look, error) { return d.Mirrors(), nil })
	handle(s, "POST /v1/mirrors/add", d.AddMirror)
	handle(s, "POST /v1/mirrors/sync", func(ctx context.Context, in toMirror) (mirror.Report, error) {
		return d.SyncMirror(ctx, in.Name, in.Dry)
	})
	handle(s, "POST /v1/mirrors/tell", func(_ context.Context, in toMirror) (nothing, error) {
		return nothing{}, d.TellMirror(in.Name, in.What)
	})
	handle(s, "POST /v1/mirrors/rules", func(_ context.Context, in toMirror) (nothing, error) {
		return nothing{}, d.SetMirrorRules(in.Name, in.Rules)
	})
	handle(s, "POST /v1/mirrors/remove", func(ctx context.Context, in toMirror) (nothing, error) {
		return nothing{}, d.RemoveMirror(ctx, in.Name, in.Data)
	})
	handle(s, "POST /v1/mirrors/invitation", func(ctx context.Context, in toMirror) (mirror.Invitation, error) {
		return d.Invitation(ctx, in.Key, in.Name)
	})
	handle(s, "POST /v1/mirrors/copies", func(ctx context.Context, in toMirror) (mirror.Copies, error) {
		return d.MirrorCopies(ctx, in.Name, in.Less)
	})
	handle(s, "POST /v1/mirrors/log", func(_ context.Context, in toMirror) ([]mirror.Event, error) { return d.MirrorLog(in.Name, in.Last) })
}

// Mirrors is one look at the daemon's mirrors.
func (c *Client) Mirrors(ctx context.Context) (looks []mirror.Look, err error) {
	err = c.Call(ctx, "GET", "/v1/mirrors", nil, &looks)
	return looks, err
}

// AddMirror has the daemon mirror something; an empty Dir is one of its own.
func (c *Client) AddMirror(ctx context.Context, spec mirror.Spec) (look mirror.Look, err error) {
	err = c.Call(ctx, "POST", "/v1/mirrors/add", spec, &look)
	return look, err
}

// SyncMirror has a mirror look for a new version now; dry: and only say what it would change.
func (c *Client) SyncMirror(ctx context.Context, name string, dry bool) (r mirror.Report, err error) {
	err = c.Call(ctx, "POST", "/v1/mirrors/sync", toMirror{Name: name, Dry: dry}, &r)
	return r, err
}

// TellMirror has a mirror pause, resume, or approve what is held.
func (c *Client) TellMirror(ctx context.Context, name, what string) error {
	return c.Call(ctx, "POST", "/v1/mirrors/tell", toMirror{Name: name, What: what}, nil)
}

// SetMirrorRules changes all rules of a mirror.
func (c *Client) SetMirrorRules(ctx context.Context, name string, r mirror.Rules) error {
	return c.Call(ctx, "POST", "/v1/mirrors/rules", toMirror{Name: name, Rules: r}, nil)
}

// RemoveMirror ends a mirror; data: with its tree.
func (c *Client) RemoveMirror(ctx context.Context, name string, data bool) error {
	return c.Call(ctx, "POST", "/v1/mirrors/remove", toMirror{Name: name, Data: data}, nil)
}

// MirrorLog returns the last n events of a mirror, oldest first.
func (c *Client) MirrorLog(ctx context.Context, name string, n int) (events []mirror.Event, err error) {
	err = c.Call(ctx, "POST", "/v1/mirrors/log", toMirror{Name: name, Last: n}, &events)
	return events, err
}

// MirrorCopies counts the copies of a mirror's files, as others tell; those with fewer than that are named.
func (c *Client) MirrorCopies(ctx context.Context, name string, fewer int) (n mirror.Copies, err error) {
	err = c.Call(ctx, "POST", "/v1/mirrors/copies", toMirror{Name: name, Less: fewer}, &n)
	return n, err
}

// Invitation fetches what a publisher wants to have mirrored.
func (c *Client) Invitation(ctx context.Context, key identity.PublicKey, name string) (v mirror.Invitation, err error) {
	err = c.Call(ctx, "POST", "/v1/mirrors/invitation", toMirror{Name: name, Key: key}, &v)
	return v, err
}
