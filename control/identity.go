package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"sharer/identity"
	"sharer/node"
	"sharer/seed"
	"sharer/wire"
)

// Person is who the node is, whom it knows, and what it says in its name.
type Person interface {
	Key() identity.PublicKey
	Find(ctx context.Context, key identity.PublicKey) (identity.Place, error)
	Whois(key identity.PublicKey) (identity.Place, bool)
	Say(ctx context.Context, to identity.PublicKey, text string) (node.Said, error)
	SayAll(ctx context.Context, group, text string) (node.Said, error)
	Nearest(ctx context.Context, most int) []netip.AddrPort
}

// Publisher knows names, and publishes some.
type Publisher interface {
	ResolveAny(ctx context.Context, q node.NameQuery) ([]identity.Record, error)
	Records() []identity.Record
	// PublishPath seeds a file or a folder and publishes it, now and whenever it is found changed.
	PublishPath(ctx context.Context, name string, o seed.Options, emit func(seed.Event)) ([]identity.Record, error)
}

type toPerson struct {
	Key     identity.PublicKey `json:"key,omitzero"`
	Group   string             `json:"group,omitempty"`
	Text    string             `json:"text,omitempty"`
	Most    int                `json:"most,omitempty"`
	Timeout float64            `json:"timeout_s,omitempty"` // 0: none
}

func (p toPerson) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return toPeer{Timeout: p.Timeout}.within(ctx)
}

func (p *toPerson) deadline(s float64) { p.Timeout = s }

type place struct {
	Place identity.Place `json:"place"`
	Known bool           `json:"known"`
}

// ServePerson answers who we are and who others are, and says what it is told to.
func (s *Server) ServePerson(d Person) {
	handle(s, "GET /v1/key", func(context.Context, struct{}) (identity.PublicKey, error) { return d.Key(), nil })
	handle(s, "POST /v1/whois", func(ctx context.Context, in toPerson) (place, error) {
		p, known := d.Whois(in.Key)
		return place{p, known}, nil
	})
	handle(s, "POST /v1/find", func(ctx context.Context, in toPerson) (identity.Place, error) {
		ctx, cancel := in.within(ctx)
		defer cancel()
		return d.Find(ctx, in.Key)
	})
	handle(s, "POST /v1/say", func(ctx context.Context, in toPerson) (node.Said, error) {
		ctx, cancel := in.within(ctx)
		defer cancel()
		return d.Say(ctx, in.Key, in.Text)
	})
	handle(s, "POST /v1/say-all", func(ctx context.Context, in toPerson) (said, error) {
		ctx, cancel := in.within(ctx)
		defer cancel()
		out, err := d.SayAll(ctx, in.Group, in.Text)
		return said{out, errorOf(err)}, nil
	})
	handle(s, "POST /v1/nearest", func(ctx context.Context, in toPerson) ([]netip.AddrPort, error) {
		ctx, cancel := in.within(ctx)
		defer cancel()
		return d.Nearest(ctx, in.Most), nil
	})
}

// said is node.Said, which counts even if there is an error.
type said struct {
	Said  node.Said `json:"said"`
	Error *Error    `json:"error,omitempty"`
}

// Key is node.Node.Key of the daemon; zero if it went away.
func (c *Client) Key() (k identity.PublicKey) {
	if err := c.Call(c.ctx, "GET", "/v1/key", nil, &k); err != nil {
		return identity.PublicKey{}
	}
	return k
}

// Whois is node.Node.Whois by the daemon.
func (c *Client) Whois(key identity.PublicKey) (identity.Place, bool) {
	var p place
	if err := c.Call(c.ctx, "POST", "/v1/whois", toPerson{Key: key}, &p); err != nil {
		return identity.Place{}, false
	}
	return p.Place, p.Known
}

// Find is node.Node.Find by the daemon.
func (c *Client) Find(ctx context.Context, key identity.PublicKey) (p identity.Place, err error) {
	err = c.ask(ctx, "/v1/find", &toPerson{Key: key}, &p)
	return p, err
}

// Say is node.Node.Say by the daemon.
func (c *Client) Say(ctx context.Context, to identity.PublicKey, text string) (out node.Said, err error) {
	err = c.ask(ctx, "/v1/say", &toPerson{Key: to, Text: text}, &out)
	return out, err
}

// SayAll is node.Node.SayAll by the daemon.
func (c *Client) SayAll(ctx context.Context, group, text string) (node.Said, error) {
	var out said
	err := c.ask(ctx, "/v1/say-all", &toPerson{Group: group, Text: text}, &out)
	if err == nil && out.Error != nil {
		err = out.Error
	}
	return out.Said, err
}

// Nearest is node.Node.Nearest by the daemon.
func (c *Client) Nearest(ctx context.Context, most int) (out []netip.AddrPort) {
	if err := c.ask(ctx, "/v1/nearest", &toPerson{Most: most}, &out); err != nil {
		return nil
	}
	return out
}

// record is an identity.Record: the signed message, which says it all, so that nobody on the way need be believed.
type record struct {
	Signed json.RawMessage `json:"SignedMessage"`
}

func recordsOf(rs []identity.Record) []record {
	out := make([]record, len(rs))
	for i, r := range rs {
		out[i] = record{r.Signed.AppendPayload(nil)}
	}
	return out
}

func (r record) record() (identity.Record, error) {
	m, err := wire.ParseSignedMessage(r.Signed)
	if err != nil {
		return identity.Record{}, err
	}
	l, err := identity.Verify(m)
	if err != nil {
		return identity.Record{}, err
	}
	return identity.ReadLatest(l)
}

// verified reads records; err is what came with them.
func verified(rs []record, err error) ([]identity.Record, error) {
	out := make([]identity.Record, 0, len(rs))
	for _, r := range rs {
		one, bad := r.record()
		if bad != nil {
			return out, errors.Join(err, fmt.Errorf("a record of the daemon: %w", bad))
		}
		out = append(out, one)
	}
	return out, err
}

type nameQuery struct {
	Key     identity.PublicKey `json:"key"`
	Names   []string           `json:"names"`
	Seq     int64              `json:"seq,omitempty"`
	Hints   []netip.AddrPort   `json:"hints,omitempty"`
	Older   bool               `json:"older,omitempty"`
	Timeout float64            `json:"timeout_s,omitempty"`
}

func (q *nameQuery) deadline(s float64) { q.Timeout = s }

// records are some, and why there are no others.
type records struct {
	Records []record `json:"records"`
	Error   *Error   `json:"error,omitempty"`
}

type publishRequest struct {
	Name string      `json:"name"`
	Seed SeedRequest `json:"seed"`
}

// ServePublisher answers what names stand for, and publishes.
func (s *Server) ServePublisher(d Publisher) {
	handle(s, "POST /v1/resolve", func(ctx context.Context, in nameQuery) (records, error) {
		ctx, cancel := toPeer{Timeout: in.Timeout}.within(ctx)
		defer cancel()
		rs, err := d.ResolveAny(ctx, node.NameQuery{Key: in.Key, Names: in.Names, Seq: in.Seq, Hints: in.Hints, Older: in.Older})
		return records{recordsOf(rs), errorOf(err)}, nil
	})
	handle(s, "GET /v1/names", func(context.Context, struct{}) ([]record, error) { return recordsOf(d.Records()), nil })
	stream(s, "POST /v1/publish", maxRequest, func(ctx context.Context, in publishRequest, out *Stream) ([]record, error) {
		if c := CallerOf(ctx); !c.Same { // it is signed with the key of who runs the daemon
			return nil, badCaller(c)
		}
		for _, p := range in.Seed.Paths {
			if !filepath.IsAbs(string(p)) {
				return nil, badf("the path %q is not absolute", p)
			}
		}
		o := seed.Options{Paths: texts(in.Seed.Paths), Exclude: in.Seed.Exclude, FollowLinks: in.Seed.FollowLinks, Rehash: in.Seed.Rehash}
		rs, err := d.PublishPath(ctx, in.Name, o, func(e seed.Event) { out.Event(seedEventOf(e)) })
		return recordsOf(rs), err
	})
}

// ResolveAny is node.Node.ResolveAny by the daemon.
func (c *Client) ResolveAny(ctx context.Context, q node.NameQuery) ([]identity.Record, error) {
	var out records
	err := c.ask(ctx, "/v1/resolve", &nameQuery{Key: q.Key, Names: q.Names, Seq: q.Seq, Hints: q.Hints, Older: q.Older}, &out)
	if err == nil && out.Error != nil {
		err = out.Error
	}
	return verified(out.Records, err)
}

// Records is node.Node.Records of the daemon; none if it went away.
func (c *Client) Records() []identity.Record {
	var out []record
	if err := c.Call(c.ctx, "GET", "/v1/names", nil, &out); err != nil {
		return nil
	}
	rs, _ := verified(out, nil) // those before one that does not verify, which no daemon sends
	return rs
}

// PublishPath is daemon.Daemon.PublishPath.
func (c *Client) PublishPath(ctx context.Context, name string, o seed.Options, emit func(seed.Event)) ([]identity.Record, error) {
	in := publishRequest{Name: name, Seed: SeedRequest{Exclude: o.Exclude, FollowLinks: o.FollowLinks, Rehash: o.Rehash}}
	for _, p := range o.Paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, err
		}
		in.Seed.Paths = append(in.Seed.Paths, Path(abs))
	}
	var out []record
	err := c.Stream(ctx, "/v1/publish", in, func(text json.RawMessage) error {
		var e seedEvent
		if err := json.Unmarshal(text, &e); err != nil {
			return err
		}
		if emit != nil {
			emit(e.event())
		}
		return nil
	}, nil, &out)
	return verified(out, err)
}
