package control

import (
	"context"

	"sharer/identity"
)

// Denial is an entry of a deny list.
type Denial struct {
	Entry  string `json:"entry"` // as in a list
	Reason string `json:"reason,omitempty"`
	Ref    string `json:"ref,omitempty"`
	Legal  string `json:"legal,omitempty"`
	List   string `json:"list,omitempty"` // the name of its file
}

// Purge is what Denier.ApplyDeny has removed.
type Purge struct {
	Stored int   `json:"stored"` // contents of the store
	Bytes  int64 `json:"bytes"`
}

// Denier keeps deny lists.
type Denier interface {
	Denials() []Denial
	AddDenial(ctx context.Context, d Denial) error
	RemoveDenial(ctx context.Context, entry string) error
	// SubscribeDeny has a list that somebody publishes hold, and followed, until UnsubscribeDeny.
	SubscribeDeny(ctx context.Context, key identity.PublicKey, name string) error
	UnsubscribeDeny(key identity.PublicKey, name string) error
	// ApplyDeny reads the lists again, and removes what they deny from all that the node keeps; never a file of the user's.
	ApplyDeny(ctx context.Context) (Purge, error)
}

// ServeDeny answers what is asked of deny lists.
func (s *Server) ServeDeny(d Denier) {
	handle(s, "GET /v1/deny", func(context.Context, nothing) ([]Denial, error) { return d.Denials(), nil })
	handle(s, "POST /v1/deny/add", func(ctx context.Context, in Denial) (nothing, error) { return nothing{}, d.AddDenial(ctx, in) })
	handle(s, "POST /v1/deny/remove", func(ctx context.Context, in Denial) (nothing, error) { return nothing{}, d.RemoveDenial(ctx, in.Entry) })
	handle(s, "POST /v1/deny/subscribe", func(ctx context.Context, in denyList) (nothing, error) {
		return nothing{}, d.SubscribeDeny(ctx, in.Key, in.Name)
	})
	handle(s, "POST /v1/deny/unsubscribe", func(_ context.Context, in denyList) (nothing, error) {
		return nothing{}, d.UnsubscribeDeny(in.Key, in.Name)
	})
	handle(s, "POST /v1/deny/apply", func(ctx context.Context, _ nothing) (Purge, error) { return d.ApplyDeny(ctx) })
}

// denyList is a list that somebody publishes.
type denyList struct {
	Key  identity.PublicKey `json:"key"`
	Name string             `json:"name"`
}

// SubscribeDeny has the daemon deny what a published list says, and follow it.
func (c *Client) SubscribeDeny(ctx context.Context, key identity.PublicKey, name string) error {
	return c.Call(ctx, "POST", "/v1/deny/subscribe", denyList{key, name}, nil)
}

// UnsubscribeDeny ends that.
func (c *Client) UnsubscribeDeny(ctx context.Context, key identity.PublicKey, name string) error {
	return c.Call(ctx, "POST", "/v1/deny/unsubscribe", denyList{key, name}, nil)
}

// Denials are the entries of all lists.
func (c *Client) Denials(ctx context.Context) (out []Denial, err error) {
	err = c.Call(ctx, "GET", "/v1/deny", nil, &out)
	return out, err
}

// AddDenial puts an entry into the daemon's own list.
func (c *Client) AddDenial(ctx context.Context, d Denial) error {
	return c.Call(ctx, "POST", "/v1/deny/add", d, nil)
}

// RemoveDenial takes an entry out of the daemon's own list.
func (c *Client) RemoveDenial(ctx context.Context, entry string) error {
	return c.Call(ctx, "POST", "/v1/deny/remove", Denial{Entry: entry}, nil)
}

// ApplyDeny has what is denied removed.
func (c *Client) ApplyDeny(ctx context.Context) (p Purge, err error) {
	err = c.Call(ctx, "POST", "/v1/deny/apply", nil, &p)
	return p, err
}
