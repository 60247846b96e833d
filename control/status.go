package control

import (
	"context"
	"encoding/json"
	"time"
)

// Status is one look at the daemon.
type Status struct {
	About    About   `json:"about"`
	Uptime   float64 `json:"uptime_s"`
	Limits   Limits  `json:"limits"`
	Peers    int     `json:"peers"`
	Proven   int     `json:"peers_proven"`   // that have answered
	Unproven int     `json:"peers_unproven"` // heard of, not answered yet; those that the user named are in neither before they answer
	Seeds    int     `json:"seeds"`
	Files    int     `json:"files"`
	Bytes    int64   `json:"bytes"`   // seeded
	Hashing  int     `json:"hashing"` // seeds that are hashed, or compared with the disk
	Jobs     int     `json:"jobs"`    // downloads that run
	Waiting  int     `json:"jobs_waiting"`
	In       uint64  `json:"wire_in"`  // bytes on the wire, since the start
	Out      uint64  `json:"wire_out"` // the same
	Sent     int64   `json:"content_out"`
	Free     int64   `json:"free"` // bytes on the disk of the state folder; -1: not known
	Memory   uint64  `json:"memory"`
	Routines int     `json:"goroutines"`

	Mappings []string `json:"mappings,omitempty"` // what has become of the port at the router, for people
}

// LogLine is a line of the daemon's log.
type LogLine struct {
	Time  time.Time `json:"time"`
	Level string    `json:"level"`
	Text  string    `json:"text"`
}

// Looker tells how the daemon is.
type Looker interface {
	Status() Status
	// Log shows at most last lines of the past, and if follow what comes, until ctx ends.
	Log(ctx context.Context, last int, follow bool, show func(LogLine)) error
}

type logRequest struct {
	Last   int  `json:"last"`
	Follow bool `json:"follow,omitempty"`
}

// ServeLooker answers how the daemon is.
func (s *Server) ServeLooker(d Looker) {
	handle(s, "GET /v1/status", func(ctx context.Context, _ struct{}) (Status, error) {
		st := d.Status()
		st.About = s.aboutFor(ctx)
		return st, nil
	})
	stream(s, "POST /v1/log", maxRequest, func(ctx context.Context, in logRequest, out *Stream) (struct{}, error) {
		return struct{}{}, d.Log(ctx, in.Last, in.Follow, func(l LogLine) { out.Event(l) })
	})
}

// Status is one look at the daemon.
func (c *Client) Status(ctx context.Context) (st Status, err error) {
	err = c.Call(ctx, "GET", "/v1/status", nil, &st)
	return st, err
}

// Log shows the daemon's log.
func (c *Client) Log(ctx context.Context, last int, follow bool, show func(LogLine)) error {
	return c.Stream(ctx, "/v1/log", logRequest{last, follow}, func(text json.RawMessage) error {
		var l LogLine
		err := json.Unmarshal(text, &l)
		show(l)
		return err
	}, nil, nil)
}
