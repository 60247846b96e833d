package control

import (
	"context"
	"encoding/json"
	"time"

	"sharer/chunk"
)

// Item is something that the daemon has: what it seeds, fetches or keeps.
type Item struct {
	Kind   string    `json:"kind"` // "seed", "get", "kept" (in the store), "mirror"
	Job    string    `json:"job,omitempty"`
	Name   string    `json:"name"`
	Path   Path      `json:"path,omitempty"`
	ID     string    `json:"id,omitempty"` // as folder/<hex> or blake3/<hex>; empty: not known yet
	State  string    `json:"state"`        // "seeding", "hashing", "empty", "running", "paused", "waiting", "failed", "done", or what a mirror does
	Error  string    `json:"error,omitempty"`
	Files  int       `json:"files,omitempty"`
	Size   int64     `json:"size"`             // -1: not known
	Have   int64     `json:"have"`             // bytes of Size
	Listed int64     `json:"listed,omitempty"` // bytes of Size that the list of a seeded folder names; 0: not told
	Up     int64     `json:"up"`               // bytes of content sent since the daemon's start
	Rate   float64   `json:"rate,omitempty"`
	Peers  int       `json:"peers"`
	Pinned bool      `json:"pinned,omitempty"`
	Pin    string    `json:"pin_name,omitempty"`
	Added  time.Time `json:"added,omitzero"`
}

// File is a file of an item.
type File struct {
	Path   Path       `json:"path"` // in the item; of a single file its own
	Size   int64      `json:"size"`
	BLAKE3 chunk.Hash `json:"blake3"`
	SHA256 chunk.Hash `json:"sha256"`
}

// filesInLine is how many files go into one event.
const filesInLine = 500

// Known is what is known of a content.
type Known struct {
	ID      string     `json:"id"`
	BLAKE3  chunk.Hash `json:"blake3"`
	SHA256  chunk.Hash `json:"sha256"`
	Size    int64      `json:"size"`           // -1: not known
	Page    int64      `json:"page,omitempty"` // of a folder, bytes of the first page of its list; 0: not known
	Paths   []Path     `json:"paths,omitempty"`
	Holders int        `json:"holders"` // other peers that may have it
	Items   []Item     `json:"items,omitempty"`
}

// Change names items, and what becomes of them.
type Change struct {
	What       string `json:"what"`          // an id, a link, a path, the number of a job, or a name if only one item has it
	Abs        Path   `json:"abs,omitempty"` // What as a path in the folder of the caller
	Name       string `json:"name,omitempty"`
	DeleteData bool   `json:"delete_data,omitempty"`
}

// Changed is what was done.
type Changed struct {
	Items   []Item `json:"items"`
	Deleted []Path `json:"deleted,omitempty"`
	Kept    []Path `json:"kept,omitempty"` // asked to be deleted, and the user's own
}

// Holder is what has items. What it does not know is an ErrUnknown.
type Holder interface {
	Items() []Item
	Files(what string, each func(File) error) error
	Know(what string) (Known, error)
	Remove(ctx context.Context, c Change) (Changed, error)
	Pin(c Change) (Changed, error)
	Unpin(c Change) (Changed, error)
	// Detach makes a job and does not wait for it.
	Detach(f Fetch) (Item, error)
}

// ServeHolder answers questions for what there is.
func (s *Server) ServeHolder(d Holder) {
	stream(s, "POST /v1/items", maxRequest, func(_ context.Context, _ struct{}, out *Stream) (struct{}, error) {
		for _, it := range d.Items() {
			out.Event(it)
		}
		return struct{}{}, nil
	})
	stream(s, "POST /v1/files", maxRequest, func(ctx context.Context, in Change, out *Stream) (struct{}, error) {
		var batch []File // a line for each would cost more than the files
		err := d.Files(in.What, func(f File) error {
			if batch = append(batch, f); len(batch) == filesInLine {
				out.Event(batch)
				batch = batch[:0]
			}
			return ctx.Err()
		})
		if len(batch) > 0 {
			out.Event(batch)
		}
		return struct{}{}, err
	})
	handle(s, "POST /v1/know", func(_ context.Context, in Change) (Known, error) { return d.Know(in.What) })
	handle(s, "POST /v1/remove", func(ctx context.Context, in Change) (Changed, error) {
		if c := CallerOf(ctx); in.DeleteData && !c.Same {
			return Changed{}, badCaller(c)
		}
		return d.Remove(ctx, in)
	})
	handle(s, "POST /v1/pin", func(_ context.Context, in Change) (Changed, error) { return d.Pin(in) })
	handle(s, "POST /v1/unpin", func(_ context.Context, in Change) (Changed, error) { return d.Unpin(in) })
	handle(s, "POST /v1/jobs", func(ctx context.Context, in Fetch) (Item, error) {
		in.Out = false
		if err := in.check(CallerOf(ctx)); err != nil {
			return Item{}, err
		}
		return d.Detach(in)
	})
}

// Items lists what the daemon has.
func (c *Client) Items(ctx context.Context) (items []Item, err error) {
	err = c.Stream(ctx, "/v1/items", nil, func(text json.RawMessage) error {
		var it Item
		err := json.Unmarshal(text, &it)
		items = append(items, it)
		return err
	}, nil, nil)
	return items, err
}

// Files lists the files of an item.
func (c *Client) Files(ctx context.Context, what string, each func(File) error) error {
	return c.Stream(ctx, "/v1/files", Change{What: what}, func(text json.RawMessage) error {
		var batch []File
		if err := json.Unmarshal(text, &batch); err != nil {
			return err
		}
		for _, f := range batch {
			if err := each(f); err != nil {
				return err
			}
		}
		return nil
	}, nil, nil)
}

// Know is what the daemon knows of a content.
func (c *Client) Know(ctx context.Context, what string) (k Known, err error) {
	err = c.Call(ctx, "POST", "/v1/know", Change{What: what}, &k)
	return k, err
}

// Remove ends items.
func (c *Client) Remove(ctx context.Context, ch Change) (done Changed, err error) {
	err = c.Call(ctx, "POST", "/v1/remove", ch, &done)
	return done, err
}

// Pin keeps a content from being removed.
func (c *Client) Pin(ctx context.Context, ch Change) (done Changed, err error) {
	err = c.Call(ctx, "POST", "/v1/pin", ch, &done)
	return done, err
}

// Unpin ends that.
func (c *Client) Unpin(ctx context.Context, ch Change) (done Changed, err error) {
	err = c.Call(ctx, "POST", "/v1/unpin", ch, &done)
	return done, err
}

// Detach makes a job that the daemon goes on with by itself.
func (c *Client) Detach(ctx context.Context, f Fetch) (it Item, err error) {
	err = c.Call(ctx, "POST", "/v1/jobs", f, &it)
	return it, err
}
