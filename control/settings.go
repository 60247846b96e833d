package control

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"sharer/limit"
)

// Limits are the rates that hold, and why.
type Limits struct {
	Now  limit.Rates `json:"now"`
	Text string      `json:"text"`           // the rates or the timetable that was set
	Set  bool        `json:"set"`            // by the command; else by the daemon's flags or settings
	Next time.Time   `json:"next,omitzero"`  // when the timetable changes them
	Then limit.Rates `json:"then,omitempty"` // to
	Cap  *CapUse     `json:"cap,omitempty"`
}

// CapUse is how much of a month's cap is used.
type CapUse struct {
	Cap   limit.Cap   `json:"cap"`
	Spent limit.Spent `json:"spent"`
	Then  int64       `json:"then"` // the rate that holds when it is used up; below 0: nothing
}

// Peer is an entry of the peer table.
type Peer struct {
	Addr       netip.AddrPort `json:"address"`
	RTT        float64        `json:"rtt_s,omitempty"` // 0: not measured
	FirstHeard time.Time      `json:"first_heard,omitzero"`
	LastHeard  time.Time      `json:"last_heard,omitzero"`
	Proven     bool           `json:"proven"`
	Given      bool           `json:"given,omitempty"`
	Banned     bool           `json:"banned,omitempty"`
}

// Bans are the networks that the user has banned, and addresses that he has named as peers for good.
type Bans struct {
	Nets  []netip.Prefix   `json:"nets"`
	Peers []netip.AddrPort `json:"peers,omitempty"`
}

// Settings are what a daemon is told while it runs. All of it outlives it.
type Settings interface {
	Limits() Limits
	SetLimits(text string) (Limits, error) // "default" is what the daemon was started with
	PeerTable() []Peer
	AddPeers(addrs []netip.AddrPort) error
	RemovePeer(addr netip.AddrPort) error // ErrUnknown if it was not added
	Bans() Bans
	Ban(net netip.Prefix) error
	Unban(net netip.Prefix) error // ErrUnknown if it is not banned
}

type setting struct {
	Text  string           `json:"text,omitempty"`
	Peers []netip.AddrPort `json:"peers,omitempty"`
	Net   netip.Prefix     `json:"net,omitzero"`
}

// ServeSettings answers what asks for settings and changes them.
func (s *Server) ServeSettings(d Settings) {
	handle(s, "GET /v1/limits", func(context.Context, struct{}) (Limits, error) { return d.Limits(), nil })
	handle(s, "POST /v1/limits", func(_ context.Context, in setting) (Limits, error) { return d.SetLimits(in.Text) })
	stream(s, "POST /v1/peers", maxRequest, func(_ context.Context, _ struct{}, out *Stream) (struct{}, error) {
		for _, p := range d.PeerTable() {
			out.Event(p)
		}
		return struct{}{}, nil
	})
	handle(s, "POST /v1/peers/add", func(_ context.Context, in setting) (struct{}, error) { return struct{}{}, d.AddPeers(in.Peers) })
	handle(s, "POST /v1/peers/remove", func(_ context.Context, in setting) (struct{}, error) {
		if len(in.Peers) != 1 {
			return struct{}{}, badf("one peer at a time")
		}
		return struct{}{}, d.RemovePeer(in.Peers[0])
	})
	handle(s, "GET /v1/bans", func(context.Context, struct{}) (Bans, error) { return d.Bans(), nil })
	handle(s, "POST /v1/ban", func(_ context.Context, in setting) (struct{}, error) { return struct{}{}, d.Ban(in.Net) })
	handle(s, "POST /v1/unban", func(_ context.Context, in setting) (struct{}, error) { return struct{}{}, d.Unban(in.Net) })
}

// Limits are the daemon's.
func (c *Client) Limits(ctx context.Context) (l Limits, err error) {
	err = c.Call(ctx, "GET", "/v1/limits", nil, &l)
	return l, err
}

// SetLimits changes them.
func (c *Client) SetLimits(ctx context.Context, text string) (l Limits, err error) {
	err = c.Call(ctx, "POST", "/v1/limits", setting{Text: text}, &l)
	return l, err
}

// PeerTable lists who the daemon knows.
func (c *Client) PeerTable(ctx context.Context) (peers []Peer, err error) {
	err = c.Stream(ctx, "/v1/peers", nil, func(text json.RawMessage) error {
		var p Peer
		err := json.Unmarshal(text, &p)
		peers = append(peers, p)
		return err
	}, nil, nil)
	return peers, err
}

// AddPeers has peers asked for ever, also after a restart.
func (c *Client) AddPeers(ctx context.Context, addrs []netip.AddrPort) error {
	return c.Call(ctx, "POST", "/v1/peers/add", setting{Peers: addrs}, nil)
}

// RemovePeer ends that, from the next start on.
func (c *Client) RemovePeer(ctx context.Context, addr netip.AddrPort) error {
	return c.Call(ctx, "POST", "/v1/peers/remove", setting{Peers: []netip.AddrPort{addr}}, nil)
}

// Bans lists whom the user has banned.
func (c *Client) Bans(ctx context.Context) (b Bans, err error) {
	err = c.Call(ctx, "GET", "/v1/bans", nil, &b)
	return b, err
}

// Ban bans a network.
func (c *Client) Ban(ctx context.Context, net netip.Prefix) error {
	return c.Call(ctx, "POST", "/v1/ban", setting{Net: net}, nil)
}

// Unban ends that.
func (c *Client) Unban(ctx context.Context, net netip.Prefix) error {
	return c.Call(ctx, "POST", "/v1/unban", setting{Net: net}, nil)
}
